#!/bin/bash
# First start on an empty data directory: create the root user, run the init scripts. Then, and on every later start, the
# server in the foreground, which asks for credentials where a root user was named.
set -Eeuo pipefail

die() { echo "entrypoint: $*" >&2 && exit 1; }
setting() { # VAR: VAR, or else the content of the file that VAR_FILE names
  local file_name=$1_FILE
  local file=${!file_name:-}
  [ -z "${!1:-}" ] || [ -z "$file" ] || die "both $1 and $file_name are set"
  if [ -n "$file" ]; then
    printf -v "$1" %s "$(<"$file")"
  else
    printf -v "$1" %s "${!1:-}"
  fi
  unset "$file_name"
}

case ${1:-} in '' | -*) set -- mongod "$@" ;; esac
[ "$1" = mongod ] || exec "$@"
case " $* " in *" --help "* | *" -h "* | *" --version "*) exec "$@" ;; esac

data=/data/db bound=
for argument in "${@:2}"; do
  case $argument in
    --dbpath=*) data=${argument#*=} ;;
    --bind_ip*) bound=1 ;;
  esac
done
if [ "$(id -u)" = 0 ]; then
  find "$data" /data/configdb \! -user mongodb -exec chown mongodb:mongodb {} +
  exec setpriv --reuid=mongodb --regid=mongodb --init-groups "$0" "$@"
fi

setting MONGO_INITDB_ROOT_USERNAME
setting MONGO_INITDB_ROOT_PASSWORD
if [ -n "$MONGO_INITDB_ROOT_USERNAME" ] && [ -n "$MONGO_INITDB_ROOT_PASSWORD" ]; then
  set -- "$@" --auth
elif [ -n "$MONGO_INITDB_ROOT_USERNAME$MONGO_INITDB_ROOT_PASSWORD" ]; then
  die "MONGO_INITDB_ROOT_USERNAME and MONGO_INITDB_ROOT_PASSWORD are both needed for a root user"
fi

# The official image's set-up server asks for no credentials; this one does, so they are given where a script gives none.
mongosh() {
  case " $* " in
    *" -u "* | *" --username "* | *" -u="* | *" --username="* | *mongodb://*@*) ;;
    *) [ -z "$MONGO_INITDB_ROOT_USERNAME" ] ||
      set -- --username "$MONGO_INITDB_ROOT_USERNAME" --password "$MONGO_INITDB_ROOT_PASSWORD" --authenticationDatabase admin "$@" ;;
  esac
  command mongosh "$@"
}

if [ ! -e "$data/state.json" ]; then
  FERRETDB_SETUP_USERNAME=$MONGO_INITDB_ROOT_USERNAME FERRETDB_SETUP_PASSWORD=$MONGO_INITDB_ROOT_PASSWORD \
    FERRETDB_SETUP_DATABASE=${MONGO_INITDB_ROOT_USERNAME:+admin} "$@" --bind_ip 127.0.0.1 --port 27017 &
  server=$!
  until (: </dev/tcp/127.0.0.1/27017) 2>/dev/null; do
    kill -0 $server 2>/dev/null || die "the set-up server has ended"
    sleep 0.1
  done

  # Scripts of the user may rely on the official image's variables, and on mongosh.
  export MONGO_INITDB_ROOT_USERNAME MONGO_INITDB_ROOT_PASSWORD MONGO_INITDB_DATABASE=${MONGO_INITDB_DATABASE:-test}
  export -f mongosh
  # shellcheck disable=SC1090 # the user's own scripts
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.js) mongosh --host 127.0.0.1 --port 27017 --quiet "$MONGO_INITDB_DATABASE" "$file" ;;
    esac
  done
  kill $server
  wait $server || true
  echo "entrypoint: database initialised"
fi
unset "${!MONGO_INITDB_@}"
[ -n "$bound" ] || set -- "$@" --bind_ip_all
exec "$@"
