#!/usr/bin/env bash
# What `make bench` measures us beside, apart from the project: NATS (Debian's server, unpacked but not installed) and
# hivemind (with all that it needs, about 5 GB) in build/peers, an environment that nothing else uses.
source "$(dirname "$0")/step.sh"

environment=build/peers
# The newest at the time of writing. They are measured, not depended on: not in the lock.
packages=(hivemind==1.1.12 nats-py==2.16.0)

scripts/debian_files.sh nats-server
[ "$(cat $environment/.installed 2>/dev/null)" != "${packages[*]}" ] || exit 0

install_packages() {
  .venv/bin/uv venv --clear --python .venv/bin/python $environment
  .venv/bin/uv pip install --python $environment/bin/python "${packages[@]}"
  echo "${packages[*]}" >$environment/.installed
}

step peers "${packages[*]}" install_packages
