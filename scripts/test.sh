#!/usr/bin/env bash
# The whole suite in four lanes at once: most tests wait for processes, containers and disks.
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
# What the acceptance tests do to a market takes little of the CPU and much time, so they are two lanes: those that share
# one market, and those that make markets of their own.
own=()
for name in cluster comparators deaths faults fleet gpus hostile_jobs liar paused provider_life service_unit \
    user_namespaces; do
    own+=("tests/acceptance/test_$name.py")
done
# Beside the money's tests, which wait a lot: the networks', which wait for machines far apart, and the nodes' and the
# REST API's, which are many.
money=(tests/contracts tests/interop tests/wallet tests/netns tests/simulation tests/p2p tests/node tests/coordinator/test_api_*.py)
others=()
for path in tests/acceptance "${money[@]}"; do others+=("--ignore=$path"); done
# These lanes speak no TLS, but every process of theirs would read all certificates that the environment names: 0.7 s.
plain=(-u SSL_CERT_FILE -u SSL_CERT_DIR)

lane() { # name, pytest arguments; replaces the subshell it is called in
    mkdir "$files/${1:0:1}"
    [ "$1" = others ] && plain=()
    # What runs in the background of a script ignores interrupts, unless it is told not to.
    exec env "${plain[@]}" --default-signal=INT "PYTEST_DEBUG_TEMPROOT=$files/${1:0:1}" \
        .venv/bin/pytest -p no:cacheprovider --durations 10 --durations-min 5 "${@:2}"
}

# The longest first: all of them begin with half a minute of imports.
declare -A running
start() { # name, pytest arguments
    lane "$@" >"build/log/$1.log" 2>&1 </dev/null &
    running[$1]=$!
}
start acceptance tests/acceptance "${own[@]/#/--ignore=}"
start devnets "${own[@]}"
start money "${money[@]}"
trap 'kill -INT "${running[@]}" 2>/dev/null' INT TERM
(lane others tests "${others[@]}")
failed=$?
for name in money devnets acceptance; do
    wait "${running[$name]}" || failed=1
    cat "build/log/$name.log"
done
[ $failed = 0 ] && rm -rf "$files"
exit $failed
