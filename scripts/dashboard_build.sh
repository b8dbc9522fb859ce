#!/usr/bin/env bash
# The dashboard's files, which a coordinator serves at /dashboard, built of dashboard/ where its sources have changed.
#
# They lie in the coordinator's package, so that a wheel has them; no commit does.
source "$(dirname "$0")/step.sh"

scripts/typescript.sh
scripts/javascript.sh dashboard

PATH=$repository/.venv/bin:$PATH
files=$repository/coordinator/neurogrid_coordinator/dashboard_files
# By content: a checkout gives every file a new date.
sources=$(find dashboard/src dashboard/*.{html,js,json} sdk/typescript/dist -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
[ "$(cat "$files/.built" 2>/dev/null)" != "$sources" ] || exit 0

build() {
  (cd dashboard && DASHBOARD_OUT=$files npm run build)
  echo "$sources" >"$files/.built"
}

step dashboard "building the dashboard's pages" build
