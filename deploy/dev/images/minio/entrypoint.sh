#!/bin/sh
# A command of minio, or its options, alone mean "minio with them".
[ "${1:-minio}" = minio ] || set -- minio "$@"
exec "$@"
