# MySQL: that of Debian's sid, with its libraries. MYSQL_ROOT_PASSWORD, MYSQL_USER, MYSQL_PASSWORD, MYSQL_DATABASE and
# their _FILE forms, /docker-entrypoint-initdb.d, a set-up server on the unix socket only.
MYSQL_IDS=999:999 # user and group, as in the official images
TOOLS='mysql|mysqladmin|mysqldump|mysqlcheck|mysqlbinlog|mysqlimport|mysqlshow|mysqlslap|mysql_tzinfo_to_sql|my_print_defaults'

fetch_image() {
  suite_debs sid mysql mysql-server-core mysql-client-core
  suite_files sid mysql | grep -qF "/mysql-server-core_$tag." ||
    { echo "Debian's sid has another MySQL than $tag by now: $(suite_files sid mysql | grep -o 'mysql-server-core_.*')" && return 1; }
}

build_image() {
  local file
  new_root base
  add_user mysql $MYSQL_IDS /var/lib/mysql
  # No Perl: only scripts that nobody needs here are written in it.
  for file in $(suite_files sid mysql | grep -E '/(lib|zlib|mysql)[^/]*$' | grep -vE '/lib(perl|gdbm|db5|sasl2-modules|c-gconv)[^/]*$'); do
    unpack_deb "$root" "$file"
  done
  find "$root/usr/share/mysql" -name errmsg.sys -not -path '*/english/*' -delete
  find "$root/usr/bin" -name 'my*' -o -name 'ib*' -o -name perror -o -name innochecksum | grep -vE "/($TOOLS)$" | xargs rm -f
  rm -f "$root"/usr/lib/mysql/plugin/{*telemetry*,authentication_*_client.so,*group_replication*}
  install -m 755 "$folder/entrypoint.sh" "$root/usr/local/bin/docker-entrypoint.sh"
  install -D -m 644 "$folder/my.cnf" "$root/etc/my.cnf"
  mkdir -p "$root/docker-entrypoint-initdb.d" "$root/etc/mysql/conf.d" "$root"/var/lib/mysql{,-files} "$root/run/mysqld"
  chmod 1777 "$root/var/lib/mysql" "$root/run/mysqld"
  chmod 750 "$root/var/lib/mysql-files"
  ldconfig -r "$root"
  make_image $MYSQL_IDS './var/lib/mysql ./var/lib/mysql-files ./run/mysqld' <<END
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin MYSQL_MAJOR=$tag
VOLUME /var/lib/mysql
EXPOSE 3306 33060
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["mysqld"]
END
  check 'mysqld --version && mysql --version && mysqldump --version && mysqladmin --version && mysql_tzinfo_to_sql /usr/share/zoneinfo/UTC UTC | grep -q INSERT'
}
