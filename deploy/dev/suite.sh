# Packages of another suite of Debian's, by an apt that knows that suite only and of no package that is installed, so
# the machine stays as it is. It has the machine's mirror. To be sourced, with CACHE set.

SUITE_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

suite_apt() { # suite argument...
  local root=$CACHE/suite-$1
  apt-get -qq -o Dir="$root" -o Dir::State::status="$root/status" -o APT::Sandbox::User=root \
    -o Acquire::Retries=3 -o APT::Install-Recommends=false "${@:2}"
}

# Downloads the newest of packages and of all that they depend on, and lists their files under a name. What was
# downloaded before stays, for versions vanish from a moving suite.
suite_fetch() { # suite name package...
  local root=$CACHE/suite-$1 mirror
  [ -e "$SUITE_KEYRING" ] || { echo "needs Debian's keys: install debian-archive-keyring" && return 1; }
  mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -n 1) || true
  mkdir -p "$root"/etc/apt/{apt.conf.d,preferences.d,trusted.gpg.d} "$root"/var/lib/apt/lists/partial \
    "$root"/var/cache/apt/archives/partial
  : >"$root/status"
  echo "deb [signed-by=$SUITE_KEYRING] ${mirror:-http://deb.debian.org/debian} $1 main" >"$root/etc/apt/sources.list"
  suite_apt "$1" update && suite_apt "$1" install --yes --download-only "${@:3}" || return
  # What belongs together, for later versions come to lie beside earlier ones.
  suite_apt "$1" install --simulate "${@:3}" |
    sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) [^[]*\[\([^]]*\)\].*/\1_\2_\3.deb/p' | sed 's/:/%3a/' >"$root/$2.files"
}

# The files that suite_fetch listed, where all of them are still there.
suite_files() { # suite name
  local root=$CACHE/suite-$1 file
  [ -s "$root/$2.files" ] || return
  while read -r file; do
    [ -e "$root/var/cache/apt/archives/$file" ] || return
    echo "$root/var/cache/apt/archives/$file"
  done <"$root/$2.files"
}
