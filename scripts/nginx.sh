#!/usr/bin/env bash
# The reverse proxy that configs/nginx.conf is for; the tests start one of their own.
source "$(dirname "$0")/step.sh"

command -v nginx >/dev/null || need_packages "a reverse proxy for the tests" nginx-light
