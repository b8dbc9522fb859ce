"""Addresses from three others, and the JSON files that carry them."""

import json
from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from neurogrid_contracts.deployment import Deployment, Market

DEPLOYMENT = Deployment(Pubkey([1] * 32), Pubkey([2] * 32), Pubkey([3] * 32))
OWNER = Pubkey([4] * 32)


def test_addresses_differ_by_kind_owner_and_market() -> None:
    other_market = Deployment(DEPLOYMENT.program_id, DEPLOYMENT.usdc_mint, OWNER)
    addresses = [
        DEPLOYMENT.config,
        DEPLOYMENT.provider(OWNER),
        DEPLOYMENT.client(OWNER),
        DEPLOYMENT.client(DEPLOYMENT.admin),
        DEPLOYMENT.vault(DEPLOYMENT.client(OWNER)),
        DEPLOYMENT.vault(DEPLOYMENT.provider(OWNER)),
        DEPLOYMENT.escrow(OWNER, bytes(32)),
        DEPLOYMENT.escrow(OWNER, b"x" * 32),
        DEPLOYMENT.escrow(DEPLOYMENT.admin, bytes(32)),
        DEPLOYMENT.token_account(OWNER),
        other_market.config,
        other_market.client(OWNER),
    ]
    assert len(set(addresses)) == len(addresses)


def test_addresses_are_those_of_the_documented_seeds() -> None:
    config, _ = Pubkey.find_program_address(
        [b"config", bytes(DEPLOYMENT.admin), bytes(DEPLOYMENT.usdc_mint)], DEPLOYMENT.program_id
    )
    client, _ = Pubkey.find_program_address(
        [b"client", bytes(config), bytes(OWNER)], DEPLOYMENT.program_id
    )
    escrow, _ = Pubkey.find_program_address(
        [b"escrow", bytes(client), b"x" * 32], DEPLOYMENT.program_id
    )
    assert DEPLOYMENT.config == config
    assert DEPLOYMENT.client(OWNER) == client
    assert DEPLOYMENT.escrow(OWNER, b"x" * 32) == escrow


@pytest.mark.parametrize("job_id", [b"", b"x" * 31, b"x" * 33])
def test_a_job_id_has_32_bytes(job_id: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        DEPLOYMENT.escrow(OWNER, job_id)


def test_a_market_survives_its_file(tmp_path: Path) -> None:
    market = Market("http://127.0.0.1:8899", DEPLOYMENT)
    market.save(tmp_path / "market.json")
    assert Market.load(tmp_path / "market.json") == market
    assert [path.name for path in tmp_path.iterdir()] == ["market.json"]


def test_the_file_may_hold_other_keys(tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    path.write_text(json.dumps({**Market("https://rpc", DEPLOYMENT).to_json(), "api_url": "x"}))
    assert Market.load(path).deployment == DEPLOYMENT


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"program_id": None}, "program_id is missing"),
        ({"usdc_mint": 7}, "usdc_mint is missing or not a string"),
        ({"admin": "not base58!"}, "admin is not a base58 address"),
        ({"rpc_url": "ftp://nowhere"}, "rpc_url"),
        ({"rpc_url": 7}, "rpc_url"),
    ],
)
def test_a_malformed_file_says_which_field(change: dict[str, object], reason: str) -> None:
    value: dict[str, object] = {**Market("http://rpc", DEPLOYMENT).to_json(), **change}
    with pytest.raises(ValueError, match=reason):
        Market.from_json(value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_file_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "market.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"."):
        Market.load(path)
