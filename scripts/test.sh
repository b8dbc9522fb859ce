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
# What the acceptance tests do to a market takes little of the CPU and much time, so they are in two lanes: those that share
# one market, and those that make markets of their own.
acceptance=(tests/acceptance tests/engine tests/sdk)
devnets=(tests/p2p tests/interop tests/netns)
for name in cluster comparators deaths faults fleet gpus hostile_jobs liar paused provider_life service_unit stream_kills take_down \
    user_namespaces; do
    devnets+=("tests/acceptance/test_$name.py")
    acceptance+=("--ignore=tests/acceptance/test_$name.py")
done
# What computes more than it waits.
money=(tests/contracts tests/wallet tests/simulation tests/node tests/dashboard tests/typescript tests/functions tests/docs tests/coordinator/test_api_*.py)
others=()
for path in tests/{acceptance,engine,sdk,interop,netns,p2p} "${money[@]}"; do others+=("--ignore=$path"); done
# These lanes speak no TLS, but every process of theirs would read all certificates that the environment names: 0.7 s.
plain=(-u SSL_CERT_FILE -u SSL_CERT_DIR)

lane() { # name, pytest arguments; replaces the subshell it is called in
    mkdir "$files/${1:0:1}"
    [ "$1" = others ] && plain=()
    # What runs in the background of a script ignores interrupts, unless it is told not to.
    exec env "${plain[@]}" --default-signal=INT "PYTEST_DEBUG_TEMPROOT=$files/${1:0:1}" \
        .venv/bin/pytest -p no:cacheprovider --durations 10 --durations-min 5 "${@:2}"
}

declare -A running
start() { # name, pytest arguments
    lane "$@" >"build/log/$1.log" 2>&1 </dev/null &
    running[$1]=$!
}
start acceptance "${acceptance[@]}"
start devnets "${devnets[@]}"
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
