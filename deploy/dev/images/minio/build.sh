# MinIO, compiled: the last state of its archived repository, for the module of the release that the image is named by is not
# to be had. Its client is the one that the server's module asks for. MINIO_ROOT_USER, MINIO_ROOT_PASSWORD and
# their _FILE forms, /data, options of minio as arguments. The official image has bash and curl too; this one has bash
# and busybox.
MINIO=github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
MC=github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9

fetch_image() {
  go_program "$MINIO"
  go_program "$MC"
}

build_image() {
  new_root base
  install -m 755 "$(cached go "$MINIO")/minio" "$(cached go "$MC")/mc" "$root/usr/bin/"
  install -m 755 "$folder/entrypoint.sh" "$root/usr/bin/docker-entrypoint.sh"
  mkdir "$root/data"
  make_image 0:0 ./data <<END
LABEL dev.project-services.stand-in.server="MinIO at ${MINIO##*-}"
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin MC_CONFIG_DIR=/tmp/.mc
ENV MINIO_ROOT_USER_FILE=access_key MINIO_ROOT_PASSWORD_FILE=secret_key MINIO_CONFIG_ENV_FILE=config.env
VOLUME /data
EXPOSE 9000
ENTRYPOINT ["/usr/bin/docker-entrypoint.sh"]
CMD ["minio"]
END
  check 'minio --version && mc --version'
}
