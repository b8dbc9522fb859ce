#!/usr/bin/env bash
# Create .venv and install exactly what requirements.lock pins, then this project, editable.
#
# PYTHON names the interpreter (default: the first of python3, python3.13, 3.12, 3.11 that is new enough). The machine's
# own pip and uv configuration (indexes, certificates, proxies) decides where packages come from; the lock's hashes
# decide what is accepted.
source "$(dirname "$0")/step.sh"

is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    # The interpreter itself, not a pyenv shim: a shim's answer changes with the folder it is called from.
    if is_new_enough "$candidate"; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  return 1
}

# fastecdsa, which libp2p needs, has no wheels: it is compiled here against GMP.
need_compiler() {
  local missing=()
  command -v gcc >/dev/null || missing+=(gcc libc6-dev)
  # The header's folder differs between architectures, so ask the compiler.
  { command -v gcc >/dev/null && echo '#include <gmp.h>' | gcc -E - >/dev/null 2>&1; } || missing+=(libgmp-dev)
  [ -e "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] || missing+=(python3-dev)
  [ ${#missing[@]} = 0 ] || need_packages "a C compiler with headers" "${missing[@]}"
}

# Debian's python3 comes without ensurepip until python3-venv is installed.
need_venv() {
  "$python" -c 'import ensurepip, venv' 2>/dev/null || need_packages "Python's venv module" python3-venv
}

# The lock's entries for one package, hashes included, for the one thing that pip installs: uv.
locked() {
  awk -v package="$1" 'index($0, package "==") == 1 {inside = 1} inside {print} !/\\$/ {inside = 0}' requirements.lock
}

create_venv() {
  .venv/bin/python -c '' 2>/dev/null || "$python" -m venv --clear .venv
  if ! .venv/bin/uv --version; then
    locked uv >build/uv.lock
    .venv/bin/python -m pip install --disable-pip-version-check --require-hashes -r build/uv.lock
  fi
}

install_packages() {
  local requirements=(--require-hashes -r requirements.lock)
  # uv does not read pip's configuration. Where only pip knows the way to an index, pip does the work.
  VIRTUAL_ENV=$repository/.venv .venv/bin/uv pip install "${requirements[@]}" ||
    .venv/bin/python -m pip install --disable-pip-version-check "${requirements[@]}"
  # No build isolation: hatchling is in the lock, so nothing unpinned is downloaded to build the project.
  VIRTUAL_ENV=$repository/.venv .venv/bin/uv pip install --offline --no-deps --no-build-isolation --editable .
  # trio-typing, which libp2p imports, also ships stubs from 2023 that hide trio's own types from mypy.
  rm -rf .venv/lib/python*/site-packages/trio-stubs
}

python=$(find_python) || stop "Python 3.11 or newer is needed. On Debian 12 or later: sudo apt-get install python3
or name one: make PYTHON=/path/to/python3.11"
need_venv
need_compiler
step python "$("$python" -c 'import platform; print("Python", platform.python_version())') in .venv" create_venv
step packages "$(grep -c '^[a-zA-Z0-9]' requirements.lock) Python packages, as requirements.lock pins them" install_packages
