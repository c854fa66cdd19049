#!/bin/bash
# First start on an empty data directory: initialise it, create the accounts and the database, run the init scripts.
# Then, and on every later start, the server in the foreground.
set -Eeuo pipefail

die() { echo "entrypoint: $*" >&2 && exit 1; }
setting() { # VAR [default]: VAR, or else the content of the file that VAR_FILE names, or else the default
  local file_name=$1_FILE
  local file=${!file_name:-}
  [ -z "${!1:-}" ] || [ -z "$file" ] || die "both $1 and $file_name are set"
  if [ -n "$file" ]; then
    printf -v "$1" %s "$(<"$file")"
  else
    printf -v "$1" %s "${!1:-${2:-}}"
  fi
  unset "$file_name"
}
option() { # name default: the value of --name=… among the arguments
  local argument value=$2
  for argument in "${arguments[@]}"; do
    case $argument in --"$1"=*) value=${argument#*=} ;; esac
  done
  echo "$value"
}
literal() { # text -> an SQL string
  local text=${1//\\/\\\\}
  echo "'${text//\'/\\\'}'"
}
name() { echo "\`${1//\`/\`\`}\`"; }

case ${1:-} in '' | -*) set -- mysqld "$@" ;; esac
[ "$1" = mysqld ] || exec "$@"
case " $* " in *" --help "* | *" -? "* | *" --version "* | *" -V "* | *" --print-defaults "*) exec "$@" ;; esac

arguments=("$@")
data=$(option datadir /var/lib/mysql)
socket=$(option socket /var/run/mysqld/mysqld.sock)
mkdir -p "$data" "${socket%/*}"
if [ "$(id -u)" = 0 ]; then
  find "$data" "${socket%/*}" /var/lib/mysql-files \! -user mysql -exec chown mysql:mysql {} +
  exec setpriv --reuid=mysql --regid=mysql --init-groups "$0" "$@"
fi

# Name and meaning as in the official image, whose init scripts may call it.
docker_process_sql() { # argument...: SQL from stdin, as root over the socket
  if [ "${1:-}" = --dont-use-mysql-root-password ]; then
    shift
    mysql --no-defaults --protocol=socket --socket="$socket" --user=root --comments "$@"
  else
    MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --no-defaults --protocol=socket --socket="$socket" --user=root --comments \
      ${MYSQL_DATABASE:+--database="$MYSQL_DATABASE"} "$@"
  fi
}

if [ ! -d "$data/mysql" ]; then
  setting MYSQL_ROOT_PASSWORD
  setting MYSQL_ROOT_HOST %
  setting MYSQL_DATABASE
  setting MYSQL_USER
  setting MYSQL_PASSWORD
  if [ -z "$MYSQL_ROOT_PASSWORD" ] && [ -n "${MYSQL_RANDOM_ROOT_PASSWORD:-}" ]; then
    MYSQL_ROOT_PASSWORD=$(head -c 18 /dev/urandom | base64)
    echo "GENERATED ROOT PASSWORD: $MYSQL_ROOT_PASSWORD"
  fi
  [ -n "$MYSQL_ROOT_PASSWORD" ] || [ -n "${MYSQL_ALLOW_EMPTY_PASSWORD:-}" ] ||
    die "MYSQL_ROOT_PASSWORD is required (or MYSQL_RANDOM_ROOT_PASSWORD, or MYSQL_ALLOW_EMPTY_PASSWORD)"
  [ "$MYSQL_USER" != root ] || die "MYSQL_USER can't be root, who is there anyway"
  [ -z "$MYSQL_USER" ] || [ -n "$MYSQL_PASSWORD" ] || die "MYSQL_USER needs a MYSQL_PASSWORD"

  "$@" --initialize-insecure --default-time-zone=SYSTEM
  "$@" --skip-networking --default-time-zone=SYSTEM --mysqlx=OFF &
  server=$!
  until mysqladmin --no-defaults --protocol=socket --socket="$socket" --user=root ping >/dev/null 2>&1; do
    kill -0 $server 2>/dev/null || die "the set-up server has ended"
    sleep 0.1
  done

  # Zones that are no files of MySQL's concern make it warn.
  [ -n "${MYSQL_INITDB_SKIP_TZINFO:-}" ] || mysql_tzinfo_to_sql /usr/share/zoneinfo 2>/dev/null |
    docker_process_sql --dont-use-mysql-root-password --database=mysql
  {
    echo "ALTER USER root@localhost IDENTIFIED BY $(literal "$MYSQL_ROOT_PASSWORD");"
    if [ "$MYSQL_ROOT_HOST" != localhost ]; then
      echo "CREATE USER root@$(literal "$MYSQL_ROOT_HOST") IDENTIFIED BY $(literal "$MYSQL_ROOT_PASSWORD");"
      echo "GRANT ALL ON *.* TO root@$(literal "$MYSQL_ROOT_HOST") WITH GRANT OPTION;"
    fi
    [ -z "$MYSQL_DATABASE" ] || echo "CREATE DATABASE IF NOT EXISTS $(name "$MYSQL_DATABASE");"
    if [ -n "$MYSQL_USER" ]; then
      echo "CREATE USER $(literal "$MYSQL_USER")@'%' IDENTIFIED BY $(literal "$MYSQL_PASSWORD");"
      # An underscore would stand for any character.
      [ -z "$MYSQL_DATABASE" ] ||
        echo "GRANT ALL ON $(name "${MYSQL_DATABASE//_/\\_}").* TO $(literal "$MYSQL_USER")@'%';"
    fi
  } | docker_process_sql --dont-use-mysql-root-password --database=mysql

  # Scripts of the user may rely on the official image's variables.
  export MYSQL_ROOT_PASSWORD MYSQL_DATABASE MYSQL_USER MYSQL_PASSWORD
  # shellcheck disable=SC1090 # the user's own scripts
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) docker_process_sql <"$file" ;;
      *.sql.gz) gunzip -c "$file" | docker_process_sql ;;
      *.sql.xz) xzcat "$file" | docker_process_sql ;;
    esac
  done
  kill $server
  wait $server
  echo "entrypoint: database initialised"
fi
unset MYSQL_ROOT_PASSWORD MYSQL_PASSWORD
exec "$@"
