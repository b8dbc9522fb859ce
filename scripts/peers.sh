#!/usr/bin/env bash
# What `make bench` measures us beside, apart from the project, each in an environment that nothing else uses:
#   peers.sh order     NATS (Debian's server, unpacked but not installed) and hivemind (about 5 GB)
#   peers.sh workers   Dask and Ray (about 0.5 GB)
#   peers.sh models    LiteLLM's proxy (about 0.6 GB)
#   peers.sh vastai    Vast.ai's command
#   peers.sh dstack    dstack's command
source "$(dirname "$0")/step.sh"

# The newest at the time of writing. They are measured, not depended on: not in the lock.
case $1 in
order)
  environment=build/peers
  packages=(hivemind==1.1.12 nats-py==2.16.0)
  scripts/debian_files.sh nats-server
  ;;
workers)
  environment=build/workers
  packages=(distributed==2026.8.0 ray==2.60.0)
  ;;
models)
  environment=build/litellm
  packages=('litellm[proxy]==1.105.6')
  ;;
vastai)
  environment=build/vastai
  packages=(vastai==1.9.1)
  ;;
dstack)
  environment=build/dstack
  packages=(dstack==0.22.5)
  ;;
esac

[ "$(cat $environment/.installed 2>/dev/null)" != "${packages[*]}" ] || exit 0

install_packages() {
  .venv/bin/uv venv --clear --python .venv/bin/python $environment
  .venv/bin/uv pip install --python $environment/bin/python "${packages[@]}"
  echo "${packages[*]}" >$environment/.installed
}

step peers "${packages[*]}" install_packages
