# Debian with the tools that make and attach file systems in files.
DEB_FILESYSTEMS=(mount e2fsprogs libext2fs2 libcom-err2 libss2 libblkid1 libmount1 libuuid1 libselinux1 libpcre2-8-0)

fetch_image() { debs "${DEB_FILESYSTEMS[@]}"; }

build_image() {
  local package
  new_root base
  for package in "${DEB_FILESYSTEMS[@]}"; do unpack_deb "$root" "$package"; done
  rm -f "$root"/usr/bin/fallocate
  unpack_deb "$root" util-linux './usr/bin/fallocate'
  ldconfig -r "$root"
  make_image 0:0 ./root <<<'CMD ["bash"]'
  check 'losetup --version && mkfs.ext4 -V && debugfs -V && resize2fs 2>&1 | grep -q Usage && fallocate --version'
}
