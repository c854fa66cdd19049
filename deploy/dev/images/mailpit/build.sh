# Mailpit, compiled. Upstream's release builds the scripts of the web page with npm and the module lacks them: the
# API, SMTP, POP3 and /readyz are real, the page stays empty.
MAILPIT=1.33.1

fetch_image() { go_program "github.com/axllent/mailpit@v$MAILPIT" -X "github.com/axllent/mailpit/config.Version=v$MAILPIT"; }

build_image() {
  new_root busybox
  install -m 755 "$(cached go "github.com/axllent/mailpit@v$MAILPIT")/mailpit" "$root/mailpit"
  ln -s /mailpit "$root/usr/sbin/sendmail"
  make_image 0:0 ./root <<'END'
EXPOSE 1025/tcp 1110/tcp 8025/tcp
HEALTHCHECK --interval=15s --start-period=10s CMD ["/mailpit", "readyz"]
ENTRYPOINT ["/mailpit"]
END
  check '/mailpit version --no-release-check'
}
