#!/usr/bin/env bash
# Sees to it that a Docker Engine answers.
#   docker-up.sh up     an engine that answers is left alone; else installs one if needed, and starts it
#   docker-up.sh down   stops the engine that `up` started, and no other (its containers stop with it)
#   docker-up.sh host   prints the address of the engine that the docker command uses
# ENGINE_STATE holds the pid, the lock and the log of an engine that `up` started.
set -Eeuo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export PATH="$PATH:/usr/sbin:/sbin" # a plain `su` leaves root without them
STATE=${ENGINE_STATE:-/run/project-services-engine}
SOCKET=/var/run/docker.sock

say() { echo "docker-up: $*" >&2; }

# Asks the docker command, because it knows both DOCKER_HOST and the current context.
answers() { timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
host() { docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || echo "${DOCKER_HOST:-unix://$SOCKET}"; }

# A zombie keeps its /proc entry until it is reaped, so a name alone does not mean that it runs.
runs() { # pid name
  [ -n "$1" ] && [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}
pid_in() { cat "$1" 2>/dev/null || true; }

up() {
  if answers; then
    say "an engine answers at $(host); left alone"
    return
  fi
  if command -v docker >/dev/null && [ "$(host | sed 's,^unix:///run/,unix:///var/run/,')" != "unix://$SOCKET" ]; then
    say "no engine answers at $(host); unset DOCKER_HOST or change the docker context to use a local one"
    return 1
  fi
  if [ "$(id -u)" != 0 ]; then
    say "no engine answers at $SOCKET for user $(id -un); start one, or run this as root"
    return 1
  fi

  # Pulling needs CA certificates, and where the kernel has AppArmor on, containers need its parser.
  packages=(docker:docker.io dockerd:docker.io iptables:iptables update-ca-certificates:ca-certificates)
  if grep -qs Y /sys/module/apparmor/parameters/enabled; then packages+=(apparmor_parser:apparmor); fi
  "$here/need.sh" "${packages[@]}"

  mkdir -p "$STATE"
  (
    # Held until the engine answers, so that two of these never start two engines.
    flock -w 90 9 || { say "another start is stuck (it holds $STATE/lock)" && exit 1; }
    start
    await
  ) 9>"$STATE/lock"
}

start() {
  # Another `up` may have been faster, or an engine may be on its way.
  if answers || runs "$(pid_in /var/run/docker.pid)" dockerd; then return; fi
  if [ -d /run/systemd/system ]; then
    systemctl start docker
    return
  fi
  # A killed engine leaves pid files behind, and the next one refuses to start while such a pid exists.
  rm -f /var/run/docker.pid
  local containerd=/var/run/docker/containerd/containerd.pid
  runs "$(pid_in $containerd)" containerd || rm -f $containerd
  # A session of its own: Ctrl-C in the terminal that started it is not meant for it.
  setsid dockerd --host "unix://$SOCKET" </dev/null >"$STATE/dockerd.log" 2>&1 9>&- &
  echo $! >"$STATE/dockerd.pid"
}

await() {
  for _ in $(seq 300); do
    if answers; then
      say "the engine answers at $(host)"
      return
    fi
    sleep 0.1
  done
  say "the engine did not answer within 30 s; the end of its log:"
  tail -n 20 "$STATE/dockerd.log" >&2 || true
  return 1
}

down() {
  local pid
  pid=$(pid_in "$STATE/dockerd.pid")
  if ! runs "$pid" dockerd; then
    say "no engine was started by this script; nothing to stop"
    return
  fi
  kill "$pid"
  for _ in $(seq 300); do
    if ! runs "$pid" dockerd; then
      rm -f "$STATE/dockerd.pid"
      say "stopped"
      return
    fi
    sleep 0.1
  done
  say "the engine (pid $pid) still runs after 30 s"
  return 1
}

case ${1:-up} in
  up | down | host) "${1:-up}" ;;
  *) say "usage: docker-up.sh [up|down|host]" && exit 2 ;;
esac
