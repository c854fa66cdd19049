# Root file systems and the images that are made of them, for build-images.sh.

DEB_BASE=(libc6 libc-bin libgcc-s1 libstdc++6 bash libtinfo6 busybox-static util-linux libcap-ng0 libsmartcols1 tzdata locales)

unpack_deb() { # root file|package [tar member pattern...]
  local root=$1 deb=$2
  [ -f "$deb" ] || deb=$(compgen -G "$CACHE/deb/${2}_*.deb" | tail -n 1)
  shift 2
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --wildcards \
    --exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*' \
    --exclude='./usr/share/lintian*' --exclude='./usr/share/bash-completion*' --exclude='./usr/share/info*' \
    --exclude='./usr/share/menu*' --exclude='*/gconv/*' "$@"
}
unpack() { # npm|pip spec directory
  mkdir -p "$3"
  case $1 in
    npm) tar -xz -C "$3" -f "$(cached npm "$2")"/*.tgz ;;
    pip) python3 -m zipfile -e "$(cached pip "$2")"/*.whl "$3" ;;
  esac
}

# $scratch/busybox: busybox and time zones, for servers that need nothing else; like Alpine, but without musl.
# $scratch/base: with glibc and one UTF-8 locale, bash, setpriv and prlimit.
make_bases() {
  local root=$scratch/busybox dir applet package
  debs "${DEB_BASE[@]}"
  mkdir -p "$root"/{dev,etc,home,mnt,proc,root,run,sys,tmp,usr/local/bin,var/lib,var/tmp}
  for dir in bin sbin lib lib64; do
    mkdir -p "$root/usr/$dir"
    ln -s "usr/$dir" "$root/$dir"
  done
  ln -s ../run "$root/var/run"
  chmod 1777 "$root/tmp" "$root/var/tmp"
  unpack_deb "$root" busybox-static './bin/*'
  for applet in $("$root/bin/busybox" --list); do
    case $applet in busybox | init | linuxrc | dpkg | dpkg-deb | rpm) continue ;; esac
    ln -s busybox "$root/bin/$applet"
  done
  unpack_deb "$root" tzdata
  rm -rf "$root"/usr/share/zoneinfo/{right,posix}
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  printf 'PRETTY_NAME="local service image"\nID=debian\nVERSION_ID="12"\n' >"$root/etc/os-release"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"

  root=$scratch/base
  cp -a "$scratch/busybox" "$root"
  for package in libc6 libgcc-s1 libstdc++6 libtinfo6 libcap-ng0 libsmartcols1; do unpack_deb "$root" $package; done
  unpack_deb "$root" libc-bin './usr/lib/locale*' './usr/bin/getent' './usr/bin/locale' './sbin/ldconfig' './etc/ld.so.conf*'
  unpack_deb "$root" bash './bin/*'
  unpack_deb "$root" util-linux './usr/bin/setpriv' './usr/bin/prlimit'
  rm -rf "$root"/usr/share/{gcc,gdb,xml,perl5,python3}
  # busybox's own sh would prefer its applets to real programs such as setpriv.
  ln -sf bash "$root/bin/sh"

  unpack_deb "$scratch" locales './usr/share/i18n/locales/*' './usr/share/i18n/charmaps/UTF-8.gz'
  # localedef warns about harmless things and then exits with 1; what counts is the file.
  I18NPATH="$scratch/usr/share/i18n" localedef --no-archive -i en_US -c -f UTF-8 "$root/usr/lib/locale/en_US.utf8" 2>/dev/null || true
  [ -s "$root/usr/lib/locale/en_US.utf8/LC_COLLATE" ]
}

new_root() { # base|busybox -> $root
  root=$work/root
  cp -a "$scratch/$1" "$root"
}
add_user() { # name uid:gid home
  echo "$1:x:$2::$3:/bin/sh" >>"$root/etc/passwd"
  echo "$1:x:${2#*:}:" >>"$root/etc/group"
}

# Turns $root into $image, with the Dockerfile instructions from stdin. The directories named belong to the
# server's user, all else to root.
make_image() { # uid:gid "directories"
  { printf 'FROM scratch\nADD root.tar /\nLABEL dev.project-services.stand-in=%s\n' "$(version_of "$image")" && cat; } >"$work/Dockerfile"
  tar -C "$root" --owner=0 --group=0 -cf "$work/root.tar" .
  # shellcheck disable=SC2086 # a list of words
  tar -C "$root" --owner="${1%:*}" --group="${1#*:}" --no-recursion -rf "$work/root.tar" $2
  # The classic builder: it is in every engine, BuildKit's client may be a package of its own.
  tar -C "$work" -c Dockerfile root.tar | DOCKER_BUILDKIT=0 docker build -t "$image" -
  rm -rf "$root" "$work/root.tar"
}

# A program that does not load fails the build here, and not the first service that uses it.
check() { # command
  local said
  said=$(docker run --rm --network none --entrypoint sh "$image" -c "$1" 2>&1) ||
    { echo "$said" && docker image rm --force "$image" && return 1; }
  say "built $image: $(head -n 1 <<<"$said")"
}
