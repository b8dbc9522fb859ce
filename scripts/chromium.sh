#!/usr/bin/env bash
# The browser that the tests lead through the dashboard.
source "$(dirname "$0")/step.sh"

command -v chromium >/dev/null || need_packages "a browser for the tests" chromium
