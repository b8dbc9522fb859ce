#!/usr/bin/env bash
# What the tests of a node's service judge, install and run its unit with: systemd's tools, and a second system in
# which it runs (tests/acceptance/booted.py); this machine's own systemd need not run.
source "$(dirname "$0")/step.sh"

missing=()
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
[ ${#missing[@]} = 0 ] || need_packages "a systemd for the tests" "${missing[@]}"
