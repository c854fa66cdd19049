#!/bin/bash
# mongod's command line, for FerretDB. What FerretDB has nothing for is dropped.
set -eu

data=/data/db address=127.0.0.1 port=27017 auth=false
while [ $# -gt 0 ]; do
  case $1 in
    --dbpath=* | --port=* | --bind_ip=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
    --dbpath) data=$2 && shift ;;
    --port) port=$2 && shift ;;
    --bind_ip) address=$2 && shift ;;
    --bind_ip_all) address='' ;;
    --auth) auth=true ;;
    --version | --help) exec ferretdb "$1" ;;
  esac
  shift
done
# One address or all.
case $address in *,* | \* | 0.0.0.0 | ::) address='' ;; esac

export FERRETDB_HANDLER=sqlite FERRETDB_SQLITE_URL="file:$data/" FERRETDB_STATE_DIR="$data" FERRETDB_DEBUG_ADDR=-
export FERRETDB_LISTEN_ADDR="$address:$port" FERRETDB_TEST_ENABLE_NEW_AUTH=$auth FERRETDB_TELEMETRY=disable
export FERRETDB_LOG_LEVEL="${FERRETDB_LOG_LEVEL:-error}"
exec ferretdb
