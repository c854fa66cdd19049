#!/usr/bin/env bash
# Makes sure that commands exist: need.sh COMMAND:PACKAGE[,PACKAGE...] ...
# Installs the Debian packages of the missing ones, and does nothing at all when none is missing.
set -Eeuo pipefail

export PATH="$PATH:/usr/sbin:/sbin" # a plain `su` leaves root without them
export DEBIAN_FRONTEND=noninteractive

missing=()
for need in "$@"; do
  type -P "${need%%:*}" >/dev/null && continue
  IFS=, read -ra packages <<<"${need#*:}"
  missing+=("${packages[@]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  echo "Missing here: ${missing[*]}. Install them, or run this as root on Debian or Ubuntu." >&2
  exit 1
fi

echo "Installing ${missing[*]}" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt_get() { apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@" </dev/null >>"$log" 2>&1; }
# The package lists of a fresh machine are empty or old. One broken source among them need not matter.
apt_get update || true
if ! apt_get install -y --no-install-recommends "${missing[@]}"; then
  cat "$log" >&2
  exit 1
fi
