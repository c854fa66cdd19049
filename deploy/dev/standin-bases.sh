#!/usr/bin/env bash
# Builds local stand-ins for the Dockerfile's base images, for machines that reach Debian's packages, crates
# and npm packages but no image registry: standin-bases.sh, as root on Debian. Then
#   docker build --network host --build-arg NODE_BASE=project-services-build-base \
#     --build-arg BUILD_BASE=project-services-build-base \
#     --build-arg RUNTIME_BASE=project-services-runtime-base -t project-services .
# The build base holds this machine's Rust toolchain, Node (as nodejs.org packs it: npm in a folder of its own)
# and CA certificates on a new Debian; the runtime base holds glibc, libgcc and CA certificates, and no shell.
set -Eeuo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export PATH="$PATH:/usr/sbin:/sbin" # a plain `su` leaves root without them
BUILD_BASE=project-services-build-base
RUNTIME_BASE=project-services-runtime-base
CERTIFICATES=etc/ssl/certs/ca-certificates.crt

present=$(docker image ls --format '{{.Repository}}')
if grep -qx $BUILD_BASE <<<"$present" && grep -qx $RUNTIME_BASE <<<"$present"; then
  echo "standin-bases: both are there" >&2
  exit 0
fi
"$here/need.sh" debootstrap:debootstrap update-ca-certificates:ca-certificates

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build=$work/build
runtime=$work/runtime

debootstrap --variant=minbase --include=gcc,libc6-dev,libstdc++6 bookworm "$build" >"$work/log" 2>&1 ||
  { tail -n 20 "$work/log" >&2 && exit 1; }
# This machine's CA certificates, as it may trust more than Debian does, such as a proxy's.
install -D -m 644 "/$CERTIFICATES" "$build/$CERTIFICATES"

# glibc and libgcc are what a Rust program is linked to.
mkdir -p "$runtime"/{etc,tmp,usr/lib,usr/lib64}
ln -s usr/lib usr/lib64 "$runtime"
chmod 1777 "$runtime/tmp"
chroot "$build" dpkg --listfiles libc6 libgcc-s1 | sed -nE 's,^(/usr)?/lib,usr/lib,p' | grep -v /gconv | tar -C "$build" -c --no-recursion -T - | tar -C "$runtime" -x
install -D -m 644 "/$CERTIFICATES" "$runtime/$CERTIFICATES"
echo 'hosts: files dns' >"$runtime/etc/nsswitch.conf"
echo 'nonroot:x:65532:65532::/:/nonexistent' >"$runtime/etc/passwd"
echo 'nonroot:x:65532:' >"$runtime/etc/group"
tar -C "$runtime" --owner=0 --group=0 -c . | docker import - $RUNTIME_BASE >/dev/null

rm -rf "$build"/var/{cache,lib}/apt
tar -C "$(rustc --print sysroot)" --exclude=./share --exclude=./lib/rustlib/src -c . | tar -C "$build/usr/local" --owner=0 --group=0 -x
npm=$(dirname "$(dirname "$(readlink -f "$(type -P npm)")")")
install "$(readlink -f "$(type -P node)")" "$build/usr/local/bin/node"
mkdir -p "$build/usr/local/lib/node_modules"
cp -r "$npm" "$build/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$build/usr/local/bin/npm"
tar -C "$build" -c . | docker import --change "ENV NODE_EXTRA_CA_CERTS=/$CERTIFICATES" - $BUILD_BASE >/dev/null
docker image ls --format '{{.Repository}} {{.Size}}' | grep -x "project-services-.*-base .*" >&2
