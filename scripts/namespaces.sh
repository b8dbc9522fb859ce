#!/usr/bin/env bash
# What tests/netns needs: `ip` and `iptables`, and leave to make network namespaces.
source "$(dirname "$0")/step.sh"

missing=()
command -v ip >/dev/null || missing+=(iproute2)
command -v iptables >/dev/null || missing+=(iptables)
command -v nsenter >/dev/null || missing+=(util-linux)
[ ${#missing[@]} = 0 ] || need_packages "networks to take apart" "${missing[@]}"

probe=ngt-$$-probe
if ! said=$(ip netns add "$probe" 2>&1); then
  stop "tests/netns takes networks apart, for which one has to be root and allowed to make network namespaces:
  $said
Without it: make test TESTS=\"tests -m 'not (namespaces or nightly)'\""
fi
ip netns del "$probe"
