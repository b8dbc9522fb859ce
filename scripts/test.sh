#!/usr/bin/env bash
# The whole suite in two lanes at once: the acceptance tests, which mostly wait for processes and containers, and all
# the others. With arguments: just pytest with those.
set -u
cd "$(dirname "$0")/.." || exit 1
[ $# = 0 ] || exec .venv/bin/pytest "$@"

log=build/log/acceptance.log
mkdir -p build/log
# Each lane has a place of its own for its tests' files: pytest clears its old ones away, also under another's feet.
# Short, because Unix sockets lie in it.
files=$(mktemp -d /tmp/ng-XXXXXX)
mkdir "$files/a" "$files/o"
PYTEST_DEBUG_TEMPROOT="$files/a" .venv/bin/pytest -p no:cacheprovider tests/acceptance >"$log" 2>&1 </dev/null &
acceptance=$!
trap 'kill -INT $acceptance 2>/dev/null' INT TERM
PYTEST_DEBUG_TEMPROOT="$files/o" .venv/bin/pytest --durations 25 --durations-min 5 tests --ignore tests/acceptance
others=$?
wait $acceptance
accepted=$?
cat "$log"
[ $others = 0 ] && [ $accepted = 0 ] && rm -rf "$files"
