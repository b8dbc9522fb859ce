"""The SDK signs what the coordinator wants signed, where it has the wallet's key."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

import neurogrid
from coordinator.api_world import TASK, World, keys_of
from coordinator.fake_wallet_chain import signed_by
from coordinator.served import ServedWorld
from neurogrid.errors import AuthenticationError, ConfigurationError
from neurogrid.signing import RequestSigner
from neurogrid_coordinator.store import accounts
from neurogrid_wallet.keys import KeyPair

_ARGUMENTS: dict[str, Any] = {
    name: TASK[name]
    for name in (
        "name",
        "type",
        "resource_requirements",
        "docker_image",
        "command",
        "max_price_per_hour",
        "timeout_seconds",
    )
}


def test_a_client_with_the_key_signs_tasks_and_files_and_one_without_is_told(
    api: ServedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def careful(world: World) -> tuple[str, KeyPair]:
        alice = await world.customer("alice")
        await world.database.write(accounts.set_signs_writes, alice.account.id, True)
        return alice.key, alice.wallet

    key, wallet = api.run(careful)
    file = tmp_path / "id.json"
    file.write_text(json.dumps([*wallet.seed, *wallet.public_key]))
    data = tmp_path / "data"
    data.write_bytes(b"some bytes")
    with neurogrid.Client(key, api.address) as client, pytest.raises(AuthenticationError) as told:
        client.tasks.create(**_ARGUMENTS)
    assert told.value.code == "SIGNATURE_REQUIRED"
    monkeypatch.setenv("NEUROGRID_WALLET_KEY", str(file))
    with neurogrid.Client(key, api.address) as client:
        made = [client.tasks.create(**_ARGUMENTS) for _ in range(3)]
        assert len({task.id for task in made}) == 3
        assert client.artifacts.upload(data).size == 10
        assert client.tasks.cancel(made[0].id).id == made[0].id


def test_a_provider_with_the_key_asks_for_what_its_wallet_is_to_sign(
    api: ServedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = api.run(lambda world: world.customer("owner", roles=("provider",)))
    file = tmp_path / "id.json"
    file.write_text(json.dumps([*owner.wallet.seed, *owner.wallet.public_key]))
    monkeypatch.setenv("NEUROGRID_WALLET_KEY", str(file))
    with neurogrid.Client(owner.key, api.address) as client:
        provider = client.provider
        # Document 003's calls, with less money.
        assert provider.resources.list(type="gpu", status="available").total == 0
        with pytest.raises(neurogrid.NotFoundError):
            provider.resources.get("resource_1")
        assert provider.tasks.list().total == 0
        summary = provider.earnings.get_summary(start_date="2025-01-01", end_date="2025-01-31")
        assert (str(summary.paid), summary.jobs, summary.end_date) == ("0.00", 0, "2025-01-31")
        payout = provider.payouts.request(
            amount="5.00", currency="USDC", wallet_address=keys_of("cold").address
        )
        assert (payout.kind, payout.status) == ("payout", "awaiting_signature")
        history = provider.payouts.get_history(limit=50)
        assert [one.id for one in history.payouts] == [payout.id]
        assert provider.staking.get_status().registered is False
        assert provider.staking.stake(amount="5.00", currency="USDC").kind == "stake"
        with pytest.raises(neurogrid.InsufficientFundsError):
            provider.staking.unstake(amount="500.00", currency="USDC")
        with pytest.raises(neurogrid.ConflictError):
            provider.staking.withdraw()
        with pytest.raises(neurogrid.NotFoundError):
            provider.earnings.claim("lease_1")
        assert provider.earnings.list_jobs(status="open").total == 0
        assert payout.transaction is not None
        signed = signed_by(owner.wallet, base64.b64decode(payout.transaction))
        assert provider.submit(payout.id, signed).status == "submitted"
        assert provider.get_transfer(payout.id).signature


def test_the_same_request_twice_has_two_timestamps() -> None:
    signer = RequestSigner(bytes(32))
    made = [signer.headers("n", "POST", "/x", "0" * 64) for _ in range(3)]
    assert len({headers["X-Timestamp"] for headers in made}) == 3


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"a": 1}', "[300]", "["])
def test_what_is_no_key_file_is_named_without_its_content(tmp_path: Path, content: str) -> None:
    path = tmp_path / "id.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="no Solana key file"):
        RequestSigner.read(path)
    with pytest.raises(ConfigurationError, match="can't be read"):
        RequestSigner.read(tmp_path / "none.json")
