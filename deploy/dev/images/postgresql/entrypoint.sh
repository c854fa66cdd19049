#!/bin/bash
# First start on an empty PGDATA: initdb, create the database, run the init scripts. Then, and on every
# later start, the server in the foreground.
set -Eeuo pipefail

die() { echo "entrypoint: $*" >&2 && exit 1; }
setting() { # VAR default: VAR, or else the content of the file that VAR_FILE names, or else the default
  local file_name=$1_FILE
  local file=${!file_name:-}
  [ -z "${!1:-}" ] || [ -z "$file" ] || die "both $1 and $file_name are set"
  if [ -n "$file" ]; then
    printf -v "$1" %s "$(<"$file")"
  else
    printf -v "$1" %s "${!1:-$2}"
  fi
  unset "$file_name"
}

[ "${1:0:1}" != - ] || set -- postgres "$@"
[ "$1" = postgres ] || exec "$@"
case " $* " in *" --help "* | *" -V "* | *" --version "* | *" -C "*) exec "$@" ;; esac

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /var/run/postgresql
  chmod 0700 "$PGDATA"
  chmod 3777 /var/run/postgresql
  find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres:postgres {} +
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  setting POSTGRES_USER postgres
  setting POSTGRES_PASSWORD ''
  setting POSTGRES_DB "$POSTGRES_USER"
  setting POSTGRES_INITDB_ARGS ''
  setting POSTGRES_HOST_AUTH_METHOD ''
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
    die "POSTGRES_PASSWORD is required (or POSTGRES_HOST_AUTH_METHOD=trust)"
  fi
  options=(--pgdata="$PGDATA" --username="$POSTGRES_USER")
  [ -z "$POSTGRES_PASSWORD" ] || options+=(--pwfile=/dev/stdin)
  [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || options+=(--waldir="$POSTGRES_INITDB_WALDIR")
  # The variable holds options that may be quoted, as the official image allows.
  eval 'initdb "${options[@]}" '"$POSTGRES_INITDB_ARGS" <<<"$POSTGRES_PASSWORD"
  echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"

  # The set-up server listens on the unix socket only.
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -w -o "$(printf '%q ' "${@:2}" -c listen_addresses=)" start
  export PGHOST=/var/run/postgresql
  # Scripts of the user may rely on the official image's variables.
  export POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB
  sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --no-password "$@"; }
  if [ "$POSTGRES_DB" != postgres ]; then
    sql -d postgres -q -v "db=$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
  fi
  # shellcheck disable=SC1090 # the user's own scripts
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) sql -d "$POSTGRES_DB" -f "$file" ;;
      *.sql.gz) gunzip -c "$file" | sql -d "$POSTGRES_DB" ;;
      *.sql.xz) xzcat "$file" | sql -d "$POSTGRES_DB" ;;
    esac
  done
  pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGHOST
  echo "entrypoint: database initialised"
fi
unset POSTGRES_PASSWORD
exec "$@"
