#!/usr/bin/env bash
# What the tests need beside packages and an engine: images are built while packages of the system are installed, for the
# one takes the CPU and the other waits.
source "$(dirname "$0")/step.sh"

make --no-print-directory models >"$log_folder/images.log" 2>&1 </dev/null &
building=$!
installed=0
make --no-print-directory compiler javascript dashboard chromium namespaces systemd postgresql nginx || installed=$?
built=0
wait $building || built=$?
cat "$log_folder/images.log"
exit $((installed | built))
