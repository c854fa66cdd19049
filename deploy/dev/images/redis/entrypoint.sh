#!/bin/bash
# Options or a configuration file alone mean "redis-server with them". The server runs as user redis.
set -eu

case "${1:-}" in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ]; then
  umask 0077
  # Protected mode would refuse every client from outside the container, so it is off unless the
  # arguments say otherwise, as in the official image.
  case " $* " in
    *" --protected-mode "* | *.conf* | *" --version "* | *" --help "*) ;;
    *) set -- "$@" --protected-mode no ;;
  esac
  if [ "$(id -u)" = 0 ]; then
    find . \! -user redis -exec chown redis:redis {} +
    exec setpriv --reuid=redis --regid=redis --init-groups "$@"
  fi
fi
exec "$@"
