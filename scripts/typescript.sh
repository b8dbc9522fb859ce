#!/usr/bin/env bash
# sdk/typescript/dist, built of its sources where they have changed. The dashboard and the tests take it from there.
source "$(dirname "$0")/step.sh"

scripts/javascript.sh sdk/typescript

PATH=$repository/.venv/bin:$PATH
folder=sdk/typescript
# By content: a checkout gives every file a new date.
sources=$(find $folder/src $folder/tsconfig*.json $folder/package-lock.json -type f -print0 | sort -z | xargs -0 sha256sum)
[ "$(cat $folder/dist/.built 2>/dev/null)" != "$sources" ] || exit 0

build() {
  rm -rf $folder/dist
  (cd $folder && npm run build)
  echo "$sources" >$folder/dist/.built
}

step sdk "building $folder" build
