#!/bin/sh
# The first argument is a command of weed; those whose data lies in /data in the official image get that option.
set -eu

# As root, on the volume of somebody else: as user seaweed.
if [ "$(id -u)" = 0 ]; then
  find /data ! -user seaweed -exec chown seaweed:seaweed {} +
  exec su -p -s /bin/sh seaweed -c 'exec "$0" "$@"' -- "$0" "$@"
fi

command=${1:-}
[ $# = 0 ] || shift
case $command in
  master) set -- -logtostderr=true master -mdir=/data -volumePreallocate -volumeSizeLimitMB=1024 "$@" ;;
  volume) set -- -logtostderr=true volume -dir=/data -max=0 "$@" ;;
  server) set -- -logtostderr=true server -dir=/data -volume.max=0 -master.volumePreallocate -master.volumeSizeLimitMB=1024 "$@" ;;
  filer | s3) set -- -logtostderr=true "$command" "$@" ;;
  ?*) set -- "$command" "$@" ;;
esac
exec /usr/bin/weed "$@"
