#!/usr/bin/env bash
# The whole suite in two lanes at once: the acceptance tests, which mostly wait for processes and containers, and all
# the others. Each lane takes about half of the time. With arguments: just pytest with those.
set -u
cd "$(dirname "$0")/.." || exit 1
[ $# = 0 ] || exec .venv/bin/pytest "$@"

log=build/log/acceptance.log
mkdir -p build/log
.venv/bin/pytest -p no:cacheprovider tests/acceptance >"$log" 2>&1 </dev/null &
acceptance=$!
trap 'kill -INT $acceptance 2>/dev/null' INT TERM
.venv/bin/pytest tests --ignore tests/acceptance
others=$?
wait $acceptance
accepted=$?
cat "$log"
[ $others = 0 ] && [ $accepted = 0 ]
