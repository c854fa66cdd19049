#!/usr/bin/env bash
# Runs a command beside a Docker Engine of its own, the newest that Debian's newer suites have:
#   newest-engine.sh COMMAND [ARGUMENT...]
# ENGINE_SUITE is the suite (default sid; trixie has an older one). Nothing is installed: the packages are
# laid over /usr in a mount namespace that only the engine and the command see. They are in a network
# namespace too, for that is where the engine publishes ports, so the command has no network beyond it; and
# in a process namespace, so that all of it ends with the command. The engine that answers already is asked
# for its service images, and is otherwise left alone. For root on x86-64.
# CACHE_DIR keeps the packages (default ~/.cache/project-services/images), for those of sid move and vanish.
set -Eeuo pipefail
export LC_ALL=C
export PATH="$PATH:/usr/sbin:/sbin" # a plain `su` leaves root without them

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
CACHE=${CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/project-services/images}
SUITE=${ENGINE_SUITE:-sid}
PACKAGES=(docker.io docker-cli iptables)

. "$here/suite.sh"

say() { echo "newest-engine: $*" >&2; }

# Packages ----------------------------------------------------------------------------------------

# Leaves the packages of the newest engine in the cache, and in $packages their files.
fetch() {
  local log=$work/apt.log
  if suite_fetch "$SUITE" engine "${PACKAGES[@]}" >"$log" 2>&1; then
    :
  elif suite_files "$SUITE" engine >/dev/null; then
    tail -n 5 "$log" >&2
    say "Debian's $SUITE can't be had as it is now; this is the engine that was kept"
  else
    tail -n 20 "$log" >&2
    say "the engine can't be downloaded from Debian's $SUITE, and none is kept in $CACHE. A version that is gone" \
      "from the mirror is gone: try again when its index is new, or with ENGINE_SUITE=trixie"
    return 1
  fi
  # The engine's own and libraries; not the init system that one of them would like.
  mapfile -t packages < <(suite_files "$SUITE" engine | grep -E '/(docker|containerd|runc|iptables|tini|lib)[^/]*$')
}

unpack() { # root
  local package
  for package in "${packages[@]}"; do
    dpkg-deb --extract "$package" "$1"
  done
}

# Namespaces --------------------------------------------------------------------------------------

# The first process of the namespaces: what it leaves behind ends with it. The images come by descriptor 3.
inside() { # work command argument...
  local work=$1 dir engine status=0
  shift
  trap 'exit 130' INT TERM
  for dir in bin sbin lib libexec; do
    [ ! -d "$work/root/usr/$dir" ] || mount -t overlay -o "lowerdir=$work/root/usr/$dir:/usr/$dir" newest-engine "/usr/$dir"
  done
  # An engine would use a containerd that it finds running.
  mkdir -p /run/containerd
  mount -t tmpfs none /run/containerd
  ip link set lo up

  export DOCKER_HOST=unix://$work/docker.sock
  echo '{}' >"$work/daemon.json"
  dockerd --host "$DOCKER_HOST" --config-file "$work/daemon.json" --data-root "$work/data" --exec-root "$work/exec" \
    --pidfile "$work/docker.pid" --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/${work##*/}" \
    </dev/null >"$work/dockerd.log" 2>&1 3<&- &
  engine=$!
  for _ in $(seq 300); do
    if ! kill -0 $engine 2>/dev/null || docker version >/dev/null 2>&1; then break; fi
    sleep 0.1
  done
  if ! docker load --quiet <&3 >/dev/null; then
    say "the engine does not work; the end of its log:"
    tail -n 20 "$work/dockerd.log" >&2
    return 1
  fi
  exec 3<&-
  say "$(docker version --format 'Engine {{.Server.Version}}, API {{.Server.APIVersion}}'), $(docker info --format '{{.Driver}}')"

  "$@" || status=$?
  kill $engine
  wait $engine || true
  return $status
}

# What namespaces don't take with them.
clean() {
  local cgroup
  for cgroup in /sys/fs/cgroup/"${work##*/}" /sys/fs/cgroup/*/"${work##*/}"; do
    [ ! -d "$cgroup" ] || find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
  rm -rf "$work"
}

if [ "${1:-}" = --inside ]; then
  inside "${@:2}"
  exit
fi

[ $# -gt 0 ] || { say "usage: newest-engine.sh COMMAND [ARGUMENT...]" && exit 2; }
if [ "$(id -u)" != 0 ] || [ "$(dpkg --print-architecture 2>/dev/null)" != amd64 ]; then
  say "needs root on Debian or Ubuntu on x86-64"
  exit 1
fi
"$here/need.sh" unshare:util-linux ip:iproute2 docker:docker.io

work=$(mktemp -d /tmp/newest-engine-XXXXXX)
trap clean EXIT
fetch
unpack "$work/root"
mapfile -t images < <("$here/service-images.sh" list all)
unshare --mount --net --pid --fork --kill-child --mount-proc \
  "${BASH_SOURCE[0]}" --inside "$work" "$@" 3< <(docker save "${images[@]}")
