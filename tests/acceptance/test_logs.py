"""At their most talkative the daemons say what they do, and none of what they know in confidence."""

from base64 import b64encode
from pathlib import Path

import pytest

from acceptance.network import JOB_IMAGE, Devnet
from neurogrid import Client
from neurogrid.sealing import KeyStore
from neurogrid_coordinator.files.artifacts import LeaseTokens
from neurogrid_coordinator.setup import IDENTITY_FILE, OPERATOR_FILE, SESSION_FILE
from neurogrid_marketplace import base58
from neurogrid_node.key_files import OPEN_WALLET_FILE
from neurogrid_wallet.keys import KeyPair

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# What a client gives to the market and to the node that runs its job.
PLAIN_INPUT = "plain-input-91c2"
SEALED_INPUT = "sealed-input-5be0"
ENVIRONMENT = "environment-token-3f7a"
ARGUMENT = "argument-secret-e214"
PRINTED = "printed-secret-77d1"


def forms(seed: bytes) -> list[str]:
    """How a key might be written."""
    numbers = list(seed)
    return [seed.hex(), base58.encode(seed), b64encode(seed).decode()[:42], str(numbers)[1:-1]]


def test_no_secret_is_in_any_log(devnet: Devnet, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text(PLAIN_INPUT)
    (tmp_path / "sealed").write_text(SEALED_INPUT)
    script = f"cat /inputs/* > /outputs/all; echo {PRINTED}; echo {ARGUMENT} $TOKEN"
    keys = KeyStore(tmp_path / "keys")
    content_keys = []
    leases = []
    network = devnet.data / "network.json"
    with Client(network=network, keys_directory=tmp_path / "keys") as client:
        for sealed in (False, True):
            task = client.tasks.create(
                docker_image=JOB_IMAGE,
                command=["sh", "-c", script],
                max_price_per_hour="1.00",
                timeout_seconds=60,
                env={"TOKEN": ENVIRONMENT},
                inputs={"in": tmp_path / ("sealed" if sealed else "plain")},
                sealed=sealed,
            )
            kept = keys.load(task.id)
            assert (kept is not None) == sealed
            content_keys += [kept.content_key] if kept is not None else []
            client.tasks.wait(task.id)
            task = devnet.until_settled(task.id)
            assert task.status == "completed", task.error
            leases += [lease.id for lease in task.leases]

    coordinator = devnet.data / "coordinator"
    files = [coordinator / name for name in (IDENTITY_FILE, OPERATOR_FILE, SESSION_FILE)]
    for folder in (devnet.data / "nodes").iterdir():
        files += [folder / IDENTITY_FILE, folder / OPEN_WALLET_FILE]
    session = KeyPair.read_solana_file(coordinator / SESSION_FILE)
    tokens = LeaseTokens(session.derive(b"artifact tokens").seed)
    secrets = [PLAIN_INPUT, SEALED_INPUT, ENVIRONMENT, ARGUMENT, PRINTED, devnet.network.api_key]
    secrets += [form for file in files for form in forms(KeyPair.read_solana_file(file).seed)]
    secrets += [form for key in content_keys for form in forms(bytes.fromhex(key))]
    secrets += [tokens.token(lease).partition(".")[2] for lease in leases]
    assert all(len(secret) > 10 for secret in secrets)

    logs = {path.name: path.read_text() for path in (devnet.data / "logs").iterdir()}
    assert [name for name, text in logs.items() for it in secrets if it in text] == []
    # They were talkative, and about these leases.
    everything = "".join(logs.values())
    assert " DEBUG " in everything
    for lease in leases:
        assert f"lease {lease}: accepted -> preparing" in everything
        assert f"lease {lease} is settled" in everything
