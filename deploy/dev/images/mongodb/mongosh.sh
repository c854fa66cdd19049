#!/bin/sh
NODE_COMPILE_CACHE=/usr/local/lib/mongosh/compiled exec node /usr/local/lib/mongosh/mongosh.js "$@"
