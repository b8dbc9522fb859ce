"""Which coordinator a client talks to, and with which key."""

import json
from pathlib import Path

import pytest

from neurogrid.errors import ConfigurationError
from neurogrid.profile import Profile, find_profile

DEVNET = Profile("http://127.0.0.1:1", "ng_devnet")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "network.json"
    path.write_text(json.dumps({"api_url": DEVNET.base_url, "api_key": DEVNET.api_key}))
    return path


def test_the_environment_may_name_a_devnet(network: Path) -> None:
    assert find_profile(environment={"NEUROGRID_NETWORK": str(network)}) == DEVNET


def test_a_devnet_goes_before_an_address_in_the_environment(network: Path) -> None:
    variables = {"NEUROGRID_API_URL": "https://other", "NEUROGRID_API_KEY": "ng_other"}
    assert find_profile(network=network, environment=variables) == DEVNET
    named = {**variables, "NEUROGRID_NETWORK": str(network)}
    assert find_profile(environment=named) == DEVNET


def test_who_passes_address_and_key_needs_no_devnet_to_be_there() -> None:
    gone = {"NEUROGRID_NETWORK": "/nowhere/network.json"}
    profile = find_profile(base_url="https://other/api/v1", api_key="ng_other", environment=gone)
    assert profile == Profile("https://other", "ng_other")
    with pytest.raises(ConfigurationError, match="can't be read"):
        find_profile(environment=gone)


def test_an_empty_name_is_none() -> None:
    with pytest.raises(ConfigurationError, match="no coordinator is named"):
        find_profile(environment={"NEUROGRID_NETWORK": ""})
