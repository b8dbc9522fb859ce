#!/usr/bin/env bash
# clang-16, which compiles the on-chain program to exactly the committed bytes (contracts-client/program).
source "$(dirname "$0")/step.sh"

command -v clang-16 >/dev/null || need_packages "the on-chain program's compiler" clang-16
