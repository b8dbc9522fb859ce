#!/usr/bin/env bash
# The whole suite in three lanes at once, each about a third of it: most tests wait for processes, containers and disks.
# With arguments: just pytest with those.
set -u
cd "$(dirname "$0")/.." || exit 1
[ $# = 0 ] || exec .venv/bin/pytest "$@"

mkdir -p build/log
# Each lane has a place of its own for its tests' files: pytest clears its old ones away, also under another's feet.
# Short, because Unix sockets lie in it.
files=$(mktemp -d /tmp/ng-XXXXXX)
# Beside the money's tests, which are done first: the networks', which wait for machines far apart.
money=(tests/contracts tests/interop tests/wallet tests/netns tests/simulation)
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
lane money "${money[@]}" >build/log/money.log 2>&1 </dev/null &
settlement=$!
trap 'kill -INT $acceptance $settlement 2>/dev/null' INT TERM
# shellcheck disable=SC2068 # one option for each of them
(lane others tests ${money[@]/#/--ignore=} --ignore tests/acceptance)
failed=$?
wait $settlement || failed=1
cat build/log/money.log
wait $acceptance || failed=1
cat build/log/acceptance.log
[ $failed = 0 ] && rm -rf "$files"
exit $failed
