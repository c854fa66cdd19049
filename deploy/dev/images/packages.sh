# Downloads into the cache, for build-images.sh. What is there is not fetched again.

mkdir -p "$CACHE"/{deb,npm,pip,go}

# Runs one command at a time of those that write the same files.
alone() { # name command...
  (
    flock 9
    "${@:2}"
  ) 9>"$CACHE/.$1.lock"
}

# Debian 12's packages are whatever version apt offers.
debs() { alone deb debs_missing "$@"; } # package...
debs_missing() {
  local package missing=()
  for package in "$@"; do
    compgen -G "$CACHE/deb/${package}_*.deb" >/dev/null || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  cd "$CACHE/deb"
  # An old package list names versions that are gone.
  apt-get -qq -o APT::Sandbox::User=root download "${missing[@]}" ||
    { apt-get -qq update && apt-get -qq -o APT::Sandbox::User=root download "${missing[@]}"; }
}

# Packages of another suite with what they depend on, as they are on the day of the first download.
suite_debs() { # suite name package...
  suite_files "$1" "$2" >/dev/null || alone "$1" suite_fetch "$@" ||
    { echo "Debian's $1 does not have ${*:3} as it is now, and none is kept in $CACHE/suite-$1" && return 1; }
}

cached() { echo "$CACHE/$1/${2//[@\/=]/_}"; } # npm|pip|go spec -> directory

fetch() { alone "$1-${2//[@\/=]/_}" fetch_missing "$@"; } # npm|pip spec
fetch_missing() {
  local to
  to=$(cached "$1" "$2")
  [ ! -d "$to" ] || return 0
  rm -rf "$to.part"
  mkdir -p "$to.part"
  cd "$to.part"
  case $1 in
    npm) npm pack --silent "$2" ;;
    # The tags are pinned, so that the wheel does not depend on this machine's Python.
    pip) pip3 download -q --no-deps --only-binary :all: --python-version 3.11 --implementation cp \
      --platform manylinux_2_34_x86_64 --platform manylinux_2_28_x86_64 "$2" ;;
  esac
  mv "$to.part" "$to"
}

# Go programs are compiled here, without C, and kept; what they were compiled from is not.
GO=1.26 # or newer: what the programs ask for

with_go() { # argument...
  local go
  go=$(go_command)
  CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='-modcacherw -buildvcs=false' GOMODCACHE=$scratch/go/modules GOCACHE=$scratch/go/build \
    "$go" "$@"
}
go_program() { # package@version linker-flag...
  local to flags="-s -w ${*:2}"
  to=$(cached go "$1")
  [ ! -d "$to" ] || return 0
  rm -rf "$to.part"
  mkdir -p "$to.part"
  GOBIN=$to.part with_go install -trimpath -ldflags "$flags" "$1"
  mv "$to.part" "$to"
}
go_module() { # module@version -> the directory of its source
  with_go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p'
}

# The Go that is there, or else Debian's, unpacked into the cache.
go_command() {
  local found kept=$CACHE/go/toolchain
  found=$(go env GOVERSION 2>/dev/null) || true
  if printf '%s\n' "$GO" "${found#go}" | sort --check=silent --version-sort; then
    type -P go
    return
  fi
  suite_debs sid go golang-go >&2
  alone go unpack_go "$kept" >&2
  compgen -G "$kept/usr/lib/go-*/bin/go" || { echo "Debian's golang-go has no compiler in it" >&2 && return 1; }
}
unpack_go() { # directory
  [ ! -d "$1" ] || return 0
  local file
  for file in $(suite_files sid go); do dpkg-deb --extract "$file" "$1.part"; done
  mv "$1.part" "$1"
}
