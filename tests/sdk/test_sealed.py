"""Sealed inputs, from files to a wrapped key, against the real api; the node is played by hand."""

import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from coordinator.api_world import Customer, World, node_view
from coordinator.served import ServedWorld, served_in_thread
from marketplace.keys import Person, person
from marketplace.story import COORDINATOR, signed
from neurogrid import Client
from neurogrid.cli import submit_values
from neurogrid.cli.group import neurogrid
from neurogrid.errors import ApiError, IntegrityError, ProviderUnavailableError
from neurogrid.models import Task
from neurogrid_coordinator.store import evidence, tasks
from neurogrid_marketplace.auction import RankedBid
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.input_seal import SEALED_INPUTS, SealTarget, unwrap_key
from neurogrid_marketplace.messages import Accept, Award
from neurogrid_marketplace.messages import Result as JobResult
from neurogrid_marketplace.registry_auth import REGISTRY_AUTH, RegistryAuth, auth_input
from neurogrid_marketplace.sealed_file import FileOpener
from neurogrid_marketplace.task_events import Accepted, AuctionClosed, Due, Finished

NODE, MALLORY = person("sealing node"), person("mallory")
PRIVATE_KEY = X25519PrivateKey.from_private_bytes(b"n" * 32)
SEALING_KEY = PRIVATE_KEY.public_key().public_bytes_raw().hex()
SECRET = b"nobody but the node may read this: 4f1d8a\n" * 5000
CREATE: dict[str, Any] = {
    "docker_image": "neurogrid/job:1",
    "max_price_per_hour": "1.00",
    "command": ["cat", "/inputs/secret"],
    "env": {"LEVEL": "9"},
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_in_thread(tmp_path / "api") as world:
        world.world.market.views = [node_view("one", privacy=(SEALED_INPUTS,))]
        yield world


@pytest.fixture
def alice(api: ServedWorld) -> Customer:
    return api.run(lambda world: world.customer("alice"))


@pytest.fixture
def client(api: ServedWorld, alice: Customer, tmp_path: Path) -> Iterator[Client]:
    keys = tmp_path / "state" / "neurogrid" / "sealed-keys"
    with Client(alice.key, api.address, retries_max=1, keys_directory=keys) as client:
        yield client


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


@dataclass(frozen=True)
class Lies:
    """What a coordinator, or whoever plays a node, makes of an accept."""

    signer: Person = NODE
    sealing_key: str = SEALING_KEY
    job_hash: str = ""
    forged: bool = False


def award(api: ServedWorld, task_id: str, lies: Lies | None = None) -> SealTarget:
    """Queued to starting: a node took the task and named its key."""
    lies = lies or Lies()

    async def run(world: World) -> SealTarget:
        task = await world.step(task_id, Due(world.now_ms))
        demand = demand_of(task)
        bid = Bid(demand.demand_id, demand.hash(), 360_000, 100, 2**50, NODE.address)
        ranked = RankedBid(NODE.peer_id, bid, "b" * 64, 360_000, 360_000)
        task = await world.step(task_id, AuctionClosed(demand.demand_id, (ranked,), ""))
        assert task.lease is not None
        lease_id = task.lease.lease_id
        terms = Award(
            lease_id,
            demand.demand_id,
            demand.hash(),
            "b" * 64,
            (),
            360_000,
            1,
            demand.timeout_s,
            demand.voucher_interval_s,
            lies.job_hash or demand.job_hash,
        )
        accept = Accept(lease_id, terms.hash(), lies.sealing_key)
        accepted = signed(lies.signer, COORDINATOR, accept)
        if lies.forged:
            other = X25519PrivateKey.generate().public_key().public_bytes_raw().hex()
            accepted = replace(accepted, body={**accepted.body, "sealing_key": other})
        for envelope in (signed(COORDINATOR, NODE, terms), accepted):
            await world.database.write(evidence.append, lease_id, envelope)
        await world.step(task_id, Accepted(lease_id, accept.sealing_key))
        return SealTarget(lease_id, NODE.peer_id, terms.job_hash, accept.sealing_key)

    return api.run(run)


def submitted(client: Client, secret: Path) -> Task:
    return client.tasks.create(**CREATE, inputs={"secret": secret}, sealed=True)


def stored_files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def test_the_coordinator_stores_ciphertext_and_the_node_alone_gets_the_key(
    api: ServedWorld, client: Client, secret: Path, tmp_path: Path
) -> None:
    task = submitted(client, secret)
    assert (task.sealed, task.needs_key, task.inputs[0].sealed) == (True, False, True)
    assert client.keys.tasks() == [task.id]
    assert not client.keys.send(task.id), "nobody needs it yet"
    target = award(api, task.id)
    assert client.tasks.get(task.id).needs_key
    assert client.keys.send(task.id)
    assert not client.keys.send(task.id), "it is there"
    row = api.run(lambda world: world.database.read(lambda conn: tasks.get(conn, task.id)))
    assert row is not None
    assert row.state.lease is not None
    content_key = unwrap_key(row.state.lease.wrapped_key, PRIVATE_KEY, target)
    opener = FileOpener(content_key)
    sealed = client._transport.send("GET", f"/artifacts/{row.job.inputs[0].sha256}").content
    assert opener.feed(sealed) + opener.finish() == SECRET
    files = stored_files(tmp_path / "api")
    assert any(sealed in content for content in files), "the search looks where they are"
    for content in files:
        assert SECRET[:40] not in content
        assert content_key not in content
        assert content_key.hex().encode() not in content


def test_a_job_that_reaches_hosts_gets_its_key_too(
    api: ServedWorld, client: Client, secret: Path
) -> None:
    network = {"allow": ["Example.org", "*.example.com:8443"]}
    task = client.tasks.create(
        **CREATE, inputs={"secret": secret}, sealed=True, network=network, wait_for_node=True
    )
    award(api, task.id)
    assert client.keys.send(task.id)


@pytest.mark.parametrize(
    ("lies", "words"),
    [
        (Lies(signer=MALLORY), "another node than it was offered to"),
        (Lies(forged=True), "signature"),
        (Lies(job_hash="0" * 64), "another job than the one that was submitted"),
        # To a point of small order anything is sealed for everybody.
        (Lies(sealing_key="0" * 64), "a sealing key that is none"),
    ],
    ids=["node", "key", "job", "no key"],
)
def test_a_coordinator_that_swaps_node_key_or_job_gets_no_key(
    api: ServedWorld, client: Client, secret: Path, lies: Lies, words: str
) -> None:
    task = submitted(client, secret)
    award(api, task.id, lies)
    with pytest.raises(IntegrityError, match=words):
        client.tasks.wait(task.id, timeout_s=1)
    assert client.tasks.get(task.id).needs_key


def test_the_key_lies_in_a_file_of_ones_own_until_the_task_has_ended(
    api: ServedWorld, client: Client, secret: Path, tmp_path: Path
) -> None:
    task = submitted(client, secret)
    (path,) = (tmp_path / "state").rglob("task_*")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    client.tasks.cancel(task.id)
    assert client.tasks.wait(task.id).status == "cancelled"
    assert client.keys.tasks() == []


def test_waiting_and_following_send_the_key(api: ServedWorld, client: Client, secret: Path) -> None:
    task = submitted(client, secret)
    award(api, task.id)
    for update in client.tasks.stream(task.id):
        if update.type == "task.needs_key":
            break
    assert not client.tasks.get(task.id).needs_key


def test_what_does_not_fit_a_sealed_task_is_refused(
    api: ServedWorld, client: Client, secret: Path
) -> None:
    with pytest.raises(TypeError, match="local files"):
        client.tasks.create(**CREATE, inputs={"secret": "a" * 64}, sealed=True)
    verified = {"mode": "quorum", "runs": 3}
    with pytest.raises(ApiError, match="further runs, which would have no key"):
        client.tasks.create(**CREATE, inputs={"secret": secret}, sealed=True, verification=verified)
    plain = client.tasks.create(**CREATE, inputs={"secret": secret})
    with pytest.raises(ApiError, match="no sealed inputs") as refused:
        client._transport.send("GET", f"/tasks/{plain.id}/key")
    assert refused.value.code == "CONFLICT"
    task = submitted(client, secret)
    body = {"lease_id": "lease_" + "0" * 32, "wrapped_key": "0" * 160}
    with pytest.raises(ApiError, match="needs no key now"):
        client._transport.send("POST", f"/tasks/{task.id}/key", json=body)
    with pytest.raises(ApiError, match="160 lower-case hex digits"):
        client._transport.send("POST", f"/tasks/{task.id}/key", json=body | {"wrapped_key": ""})
    other = api.run(lambda world: world.customer("bob"))
    with Client(other.key, api.address, retries_max=1) as bob, pytest.raises(ApiError) as hidden:
        bob._transport.send("GET", f"/tasks/{task.id}/key")
    assert hidden.value.status == 404


def test_a_market_whose_nodes_open_nothing_sealed_is_told_before_anything_is_paid(
    api: ServedWorld, client: Client, secret: Path
) -> None:
    api.world.market.views = [node_view("one")]
    with pytest.raises(ProviderUnavailableError, match="sealed_inputs"):
        submitted(client, secret)


def test_credentials_of_an_images_registry_travel_as_a_sealed_input(
    api: ServedWorld, client: Client, secret: Path, tmp_path: Path
) -> None:
    auth = RegistryAuth("tenant", "hunter2-9c41")
    credentials = (auth.username, auth.password)
    with pytest.raises(ProviderUnavailableError, match="registry_auth"):
        client.tasks.create(**CREATE, registry_auth=credentials)
    api.world.market.views = [node_view("one", privacy=(SEALED_INPUTS, REGISTRY_AUTH))]
    task = client.tasks.create(**CREATE, inputs={"secret": secret}, registry_auth=credentials)
    assert [item.sealed for item in task.inputs] == [True, True]
    target = award(api, task.id)
    assert client.keys.send(task.id)
    row = api.run(lambda world: world.database.read(lambda conn: tasks.get(conn, task.id)))
    assert row is not None
    assert row.state.lease is not None
    wanted = auth_input(row.job)
    assert wanted is not None
    opener = FileOpener(unwrap_key(row.state.lease.wrapped_key, PRIVATE_KEY, target))
    sealed = client._transport.send("GET", f"/artifacts/{wanted.sha256}").content
    assert RegistryAuth.from_bytes(opener.feed(sealed) + opener.finish()) == auth
    for content in stored_files(tmp_path):
        assert auth.password.encode() not in content


def test_credentials_are_never_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "auth"
    path.write_text("tenant:hunter2\n")
    monkeypatch.setenv("MY_REGISTRY", "other:hunter3")
    read = submit_values.registry_auth
    assert read(None, "images.example.com/me/tool:1") is None
    assert read(str(path), "images.example.com/me/tool:1") == ("tenant", "hunter2")
    assert read("env:MY_REGISTRY", "images.example.com/me/tool:1") == ("other", "hunter3")
    for wrong, words in (
        ("env:NO_SUCH", "NO_SUCH is not set"),
        ("tenant:hunter2", "name a file, or env:NAME"),
        (str(tmp_path), "name a file"),
    ):
        with pytest.raises(click.BadParameter, match=words):
            read(wrong, "images.example.com/me/tool:1")


def test_keys_serve_goes_on_where_the_submitter_went_away(
    api: ServedWorld, alice: Customer, client: Client, secret: Path, tmp_path: Path
) -> None:
    task = submitted(client, secret)
    environment = {
        "NEUROGRID_API_URL": api.address,
        "NEUROGRID_API_KEY": alice.key,
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(neurogrid, arguments, env=environment)

    assert run("keys", "list").stdout == f"{task.id}\n"
    job = ("submit", "neurogrid/job:1", "--max-price", "1.00", "--sealed")
    mixed = run(*job, "--input-from", f"{task.id}:out.txt")
    assert (mixed.exit_code, "goes with files of yours" in mixed.output) == (2, True)
    strange = run("keys", "serve", "task_" + "0" * 32)
    assert (strange.exit_code, "is not on this machine" in strange.output) == (1, True)
    with ThreadPoolExecutor(1) as beside:
        serving = beside.submit(run, "keys", "serve", task.id)
        target = award(api, task.id)
        deadline = time.monotonic() + 60
        while client.tasks.get(task.id).needs_key:
            assert time.monotonic() < deadline, "the key was not served"
        state = api.run(lambda world: world.state(task.id))
        assert state.lease is not None
        # Once more the same key for the same lease is no error: an answer may have been lost.
        again = {"lease_id": target.lease_id, "wrapped_key": state.lease.wrapped_key}
        client._transport.send("POST", f"/tasks/{task.id}/key", json=again)
        client.tasks.cancel(task.id)
        ended = JobResult(Outcome.CANCELLED, -1, "", 0)
        api.run(lambda world: world.step(task.id, Finished(target.lease_id, ended)))
        assert serving.result(20).exit_code == 1
    assert client.keys.tasks() == []
