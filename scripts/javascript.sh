#!/usr/bin/env bash
# The libraries that each folder's package-lock.json pins, in its node_modules; without arguments, of every such folder.
#
# Node.js and npm are Python packages of requirements.lock, so that everybody has the same. npm's own configuration decides
# where libraries come from; the locks' hashes decide what is accepted.
source "$(dirname "$0")/step.sh"

PATH=$repository/.venv/bin:$PATH
[ $# != 0 ] || set -- $(git ls-files '*package-lock.json' | xargs -rn 1 dirname)

for folder in "$@"; do
  stamp=$folder/node_modules/.installed
  # By content: a checkout gives every file a new date.
  wanted=$(cd "$folder" && sha256sum package.json package-lock.json .npmrc)
  [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || continue

  install_libraries() {
    (cd "$folder" && npm ci --no-progress)
    echo "$wanted" >"$stamp"
  }

  step npm "$(grep -c '"integrity"' "$folder/package-lock.json") JavaScript packages, as $folder/package-lock.json pins them" install_libraries
done
