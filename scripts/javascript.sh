#!/usr/bin/env bash
# Node.js, npm, and the libraries that tests/interop/js/package-lock.json pins, in its node_modules.
#
# npm's own configuration decides where they come from; the lock's hashes decide what is accepted.
source "$(dirname "$0")/step.sh"

folder=tests/interop/js
stamp=$folder/node_modules/.installed

missing=()
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
[ ${#missing[@]} = 0 ] || need_packages "JavaScript, for other people's Solana clients," "${missing[@]}"

# By content: a checkout gives every file a new date.
wanted=$(sha256sum $folder/package.json $folder/package-lock.json $folder/.npmrc)
[ "$(cat $stamp 2>/dev/null)" != "$wanted" ] || exit 0

install_libraries() {
  (cd $folder && npm ci --no-progress)
  echo "$wanted" >$stamp
}

step npm "$(grep -c '"integrity"' $folder/package-lock.json) JavaScript packages, as package-lock.json pins them" install_libraries
