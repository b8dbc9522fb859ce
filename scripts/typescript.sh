#!/usr/bin/env bash
# sdk/typescript/dist, built of its sources where they have changed. The dashboard and the tests take it from there.
source "$(dirname "$0")/step.sh"

# Two may want it at once; the second finds it done.
exec 9>"$repository/build/typescript.lock"
flock 9

scripts/javascript.sh sdk/typescript

PATH=$repository/.venv/bin:$PATH
folder=sdk/typescript
# By content: a checkout gives every file a new date.
sources=$(find $folder/src $folder/tsconfig*.json $folder/package-lock.json -type f -print0 | sort -z | xargs -0 sha256sum)
stamp=$folder/node_modules/.built
[ "$(cat $stamp 2>/dev/null)" != "$sources" ] || [ ! -f $folder/dist/index.js ] || exit 0

build() {
  rm -rf $folder/dist
  (cd $folder && npm run build)
  echo "$sources" >$stamp
}

step sdk "building $folder" build
