#!/usr/bin/env bash
# A PostgreSQL server for the tests, which start one of their own from Debian's programs; the machine's need not run.
source "$(dirname "$0")/step.sh"

compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null ||
  need_packages "a PostgreSQL server for the tests" postgresql
