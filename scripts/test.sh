#!/usr/bin/env bash
# The whole suite in three lanes at once, each about a third of it: most tests wait for processes, containers and disks.
# With arguments: just pytest with those.
set -u
cd "$(dirname "$0")/.." || exit 1
[ $# = 0 ] || exec .venv/bin/pytest "$@"

# Tests start processes by the hundred. Where nobody keeps bytecode on the disk, each of them compiles all that it
# imports, for half of the CPU that its start takes.
unset PYTHONDONTWRITEBYTECODE

mkdir -p build/log
# Each lane has a place of its own for its tests' files: pytest clears its old ones away, also under another's feet.
# Short, because Unix sockets lie in it.
files=$(mktemp -d /tmp/ng-XXXXXX)
# Beside the money's tests, which wait a lot: the networks', which wait for machines far apart, and the nodes' and the
# REST API's, which are many.
money=(tests/contracts tests/interop tests/wallet tests/netns tests/simulation tests/p2p tests/node)
api=tests/coordinator/test_api_*.py
# These lanes speak no TLS, but every process of theirs would read all certificates that the environment names: 0.7 s.
plain=(-u SSL_CERT_FILE -u SSL_CERT_DIR)

lane() { # name, pytest arguments; replaces the subshell it is called in
    mkdir "$files/${1:0:1}"
    [ "$1" = others ] && plain=()
    # What runs in the background of a script ignores interrupts, unless it is told not to.
    exec env "${plain[@]}" --default-signal=INT "PYTEST_DEBUG_TEMPROOT=$files/${1:0:1}" \
        .venv/bin/pytest -p no:cacheprovider --durations 10 --durations-min 5 "${@:2}"
}

lane acceptance tests/acceptance >build/log/acceptance.log 2>&1 </dev/null &
acceptance=$!
# shellcheck disable=SC2086 # one argument for each file
lane money "${money[@]}" $api >build/log/money.log 2>&1 </dev/null &
settlement=$!
trap 'kill -INT $acceptance $settlement 2>/dev/null' INT TERM
# shellcheck disable=SC2068 # one option for each of them
(lane others tests ${money[@]/#/--ignore=} --ignore tests/acceptance --ignore-glob "tests/coordinator/test_api_*")
failed=$?
wait $settlement || failed=1
cat build/log/money.log
wait $acceptance || failed=1
cat build/log/acceptance.log
[ $failed = 0 ] && rm -rf "$files"
exit $failed
