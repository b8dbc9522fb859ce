"""What routes are about, each made as in life: an account's tasks, workflows and files, nodes, challenges."""

import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

from solders.pubkey import Pubkey
from sqlalchemy import Connection

from coordinator.api_world import TASK, USDC, Customer, World, node_view
from coordinator.fake_wallet_chain import DAY_S, escrow_account, provider_account, signed_by
from coordinator.records import node_id, wallet
from engine.serving import SERVICE_PORT
from neurogrid_coordinator.files.checkpoints import CheckpointDesk
from neurogrid_coordinator.money.transfer import Transfer, TransferKind
from neurogrid_coordinator.services.file_links import FileLinks, LinkedFile
from neurogrid_coordinator.store import (
    accounts,
    billing,
    challenges,
    evidence,
    failures,
    oauth,
    transfers,
    webhook_deliveries,
    webhooks,
)
from neurogrid_coordinator.store.challenges import Reason
from neurogrid_coordinator.store.failures import FailureFilter
from neurogrid_coordinator.store.ids import new_id
from neurogrid_coordinator.store.webhook_deliveries import DeliveryState
from neurogrid_coordinator.tasks import node_messages
from neurogrid_marketplace.checkpoint_manifest import manifest_of
from neurogrid_marketplace.envelope import seal
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import CheckpointTaken
from neurogrid_marketplace.task import Lease
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.usdc import memo

_TASKS = "/api/v1/tasks"
# Its job lets commands and connections in, and keeps its state.
_OPEN = {
    **TASK,
    "interactive": True,
    "service": {"port": SERVICE_PORT},
    "checkpoint": {"path": "/work", "interval_seconds": 60, "keep": 1},
    "wait_for_node": True,
}
_FILE = "a/b"


@dataclass(frozen=True)
class Thing:
    """Something that a route is about.

    Attributes:
        parameters: of the path, by name; the first is the thing's own.
        body: what a right request about it sends.
        token: of the lease that may have it; "" for what is no node's.
    """

    parameters: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    token: str = ""


# Makes one of this customer's; the text tells several apart.
Maker = Callable[[World, Customer, str], Awaitable[Thing]]


async def nothing(_world: World, _owner: Customer, _text: str) -> Thing:
    """For routes about nothing in particular."""
    return Thing()


async def finished_task(world: World, owner: Customer, text: str) -> Thing:
    """Completed and paid, with a log, an output and a receipt."""
    task_id = await _submitted(owner, TASK)
    await world.start(task_id)
    await world.print(task_id, text)
    output = await world.upload(task_id, _FILE, text.encode())
    await world.finish(task_id, output)
    await world.pay(task_id)
    return Thing({"task_id": task_id, "path": _FILE})


async def waiting_task(_world: World, owner: Customer, _text: str) -> Thing:
    """Waits for a node."""
    return Thing({"task_id": await _submitted(owner, TASK)})


async def running_task(world: World, owner: Customer, text: str) -> Thing:
    """Its job lets its owner in; a checkpoint of it is kept."""
    task_id, lease, token = await _running(world, owner)
    await _kept(world, lease, token, text.encode())
    return Thing({"task_id": task_id, "sequence": "1", "path": _FILE}, token=token)


async def sealed_task(world: World, owner: Customer, text: str) -> Thing:
    """Waits for the key to its input."""
    secret = (await artifact(world, owner, text)).parameters["sha256"]
    sealed = {"path": "in", "sha256": secret, "sealed": True}
    task_id = await _submitted(owner, {**TASK, "inputs": [sealed], "wait_for_node": True})
    lease = (await world.accept(task_id, sealing_key="ab" * 32)).lease
    assert lease is not None
    lease_id = lease.lease_id

    def sign(conn: Connection) -> None:
        for kind in ("award", "accept"):
            envelope = seal(
                lambda _: b"s" * 64,
                network="ng-0123456789abcdef",
                type=kind,
                sender=node_id("one"),
                recipient=node_id("two"),
                session="s",
                sequence=0,
                sent_at_ms=world.now_ms,
                body={},
            )
            evidence.append(conn, lease_id, envelope)

    await world.database.write(sign)
    key = {"lease_id": lease_id, "wrapped_key": "0" * 160}
    return Thing({"task_id": task_id}, json.dumps(key).encode())


async def workflow(_world: World, owner: Customer, text: str) -> Thing:
    """Of one task, queued."""
    body = {"name": text, "tasks": {"only": TASK}}
    answer = await owner.http.post("/api/v1/workflows", json=body)
    assert answer.status_code == 201, answer.text
    return Thing({"workflow_id": answer.json()["data"]["id"]})


async def named_task(_world: World, owner: Customer, text: str) -> Thing:
    """A task that its owner gave an id, queued; who may, may change what they keep with it."""
    own_id = _digest(text.encode())
    body = {"id": own_id, "prompt": text, "model": "talker"}
    answer = await owner.http.post("/runner/api/v1/tasks", json=body)
    assert answer.status_code == 201, answer.text
    return Thing({"own_id": own_id}, b'{"metadata": {"seen": true}}')


async def batch(_world: World, owner: Customer, text: str) -> Thing:
    """Of one task that was not started; who may, may start it, or try again what it is not."""
    body = {"name": text, "tasks": [TASK], "execute": False}
    return await _batch(owner, body)


async def ended_batch(world: World, owner: Customer, text: str) -> Thing:
    """Cancelled before anything of it began."""
    thing = await _batch(owner, {"name": text, "tasks": [TASK], "execute": False})
    answer = await owner.http.post(f"/api/v1/batches/{thing.parameters['batch_id']}/cancel")
    assert answer.json()["data"]["status"] == "cancelled", answer.text
    return Thing(thing.parameters, b'{"cancelled": true}')


async def _batch(owner: Customer, body: dict[str, Any]) -> Thing:
    answer = await owner.http.post("/api/v1/batches", json=body)
    assert answer.status_code == 201, answer.text
    return Thing({"batch_id": answer.json()["data"]["id"]})


async def schedule(_world: World, owner: Customer, text: str) -> Thing:
    """That runs on the first of January; who may, may rename it."""
    body = {"name": text, "schedule": "0 0 1 1 *", "task": TASK}
    answer = await owner.http.post("/api/v1/scheduled-tasks", json=body)
    assert answer.status_code == 201, answer.text
    return Thing({"schedule_id": answer.json()["data"]["id"]}, b'{"name": "another"}')


async def artifact(_world: World, owner: Customer, text: str) -> Thing:
    """A file that was uploaded."""
    thing = await new_file(_world, owner, text)
    url = f"/api/v1/artifacts/{thing.parameters['sha256']}"
    answer = await owner.http.put(url, content=thing.body)
    assert answer.is_success, answer.text
    return thing


async def linked_file(world: World, owner: Customer, text: str) -> Thing:
    """A link to a file, for anybody who has it."""
    made = await artifact(world, owner, text)
    secret = world.tokens.secret_for(b"file links")
    file = LinkedFile(owner.account.id, made.parameters["sha256"], "a.txt")
    return Thing({"word": FileLinks(secret, lambda: int(time.time())).made(file)})


async def new_file(_world: World, _owner: Customer, text: str) -> Thing:
    """A file that nobody has sent yet."""
    return Thing({"sha256": _digest(text.encode())}, text.encode())


async def checkpoint_file(world: World, owner: Customer, text: str) -> Thing:
    """A file of the checkpoint of a running task."""
    _, lease, token = await _running(world, owner)
    data = text.encode()
    await _kept(world, lease, token, data)
    return Thing({"sha256": _digest(data)}, data, token)


async def api_key(world: World, owner: Customer, _text: str) -> Thing:
    """Another key of the account than the one that asks."""
    secret, _ = await world.key_of(owner.account)
    key = await world.database.read(accounts.find_key, secret, world.now_ms)
    return Thing({"key_id": key.id})


async def webhook(world: World, owner: Customer, text: str) -> Thing:
    """With a delivery that has failed, so that it may be sent again."""
    world.web.private["hooks.example.org", 443] = ip_address("127.0.0.1")
    body = {
        "url": "https://hooks.example.org/",
        "events": ["task.completed"],
        "description": text,
    }
    answer = await owner.http.post("/api/v1/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    webhook_id = answer.json()["data"]["id"]

    def fail(conn: Connection) -> str:
        row = webhooks.of_id(conn, webhook_id)
        assert row is not None
        made = webhook_deliveries.add(
            conn, row, kind="task.completed", subject_id="task", at_ms=world.now_ms
        )
        webhook_deliveries.end(conn, made.id, DeliveryState.FAILED, world.now_ms)
        return made.id

    delivery_id = await world.database.write(fail)
    return Thing({"webhook_id": webhook_id, "delivery_id": delivery_id})


async def webhook_url(world: World, _owner: Customer, text: str) -> Thing:
    """Where somebody listens; the body has it told, in document 000's words."""
    world.web.private["hooks.example.org", 443] = ip_address("127.0.0.1")
    url = f"https://hooks.example.org/{_digest(text.encode())}"
    return Thing({}, json.dumps({"url": url, "events": ["task.complete"]}).encode())


async def bolt_request(_world: World, _owner: Customer, text: str) -> Thing:
    """A request to a model, in document 000's words."""
    return Thing({}, json.dumps({"model": "makers/large", "input": text}).encode())


async def bolt_batch(_world: World, _owner: Customer, text: str) -> Thing:
    """Requests to a model, in document 000's words."""
    return Thing({}, json.dumps({"tasks": [{"model": "makers/large", "input": text}]}).encode())


async def application(_world: World, owner: Customer, text: str) -> Thing:
    """One that the account has registered."""
    body = {"name": text[:100], "scopes": ["read"], "redirect_uris": ["https://app.example/"]}
    answer = await owner.http.post("/api/v1/oauth/clients", json=body)
    assert answer.status_code == 201, answer.text
    return Thing({"client_id": answer.json()["data"]["client_id"]})


async def allowed_application(world: World, owner: Customer, text: str) -> Thing:
    """One that the account allows something."""
    client_id = (await application(world, owner, text)).parameters["client_id"]

    def allow(conn: Connection) -> str:
        return oauth.add_grant(
            conn,
            client_id=client_id,
            account_id=owner.account.id,
            scopes=("read",),
            roles=("client",),
            redirect_uri="https://app.example/",
            code=text,
            code_challenge="c" * 43,
            code_until_ms=world.now_ms + 60_000,
            now_ms=world.now_ms,
            expires_at_ms=world.now_ms + 86_400_000,
        )

    return Thing({"grant_id": await world.database.write(allow)})


async def node(_world: World, _owner: Customer, _text: str) -> Thing:
    """A node of the market: everybody's to see."""
    return Thing({"node_id": node_id("one")})


async def provider(_world: World, _owner: Customer, _text: str) -> Thing:
    """A provider: everybody's to see."""
    return Thing({"provider_id": wallet("one")})


async def openai_file(_world: World, owner: Customer, text: str) -> Thing:
    """Requests for a batch of OpenAI's API."""
    answer = await owner.http.post(
        "/v1/files", data={"purpose": "batch"}, files={"file": ("batch.jsonl", _lines(text))}
    )
    assert answer.status_code == 200, answer.text
    return Thing({"file_id": answer.json()["id"]})


async def openai_batch_request(world: World, owner: Customer, text: str) -> Thing:
    """To have such a file answered."""
    file = await openai_file(world, owner, text)
    asked = {
        "input_file_id": file.parameters["file_id"],
        "endpoint": "/v1/completions",
        "completion_window": "24h",
    }
    return Thing({}, json.dumps(asked).encode())


async def openai_batch(world: World, owner: Customer, text: str) -> Thing:
    """Of one request."""
    asked = await openai_batch_request(world, owner, text)
    answer = await owner.http.post("/v1/batches", content=asked.body)
    assert answer.status_code == 200, answer.text
    return Thing({"openai_batch_id": answer.json()["id"]})


def _lines(text: str) -> bytes:
    body = {"model": "small", "prompt": text}
    line = {"custom_id": "one", "method": "POST", "url": "/v1/completions", "body": body}
    return json.dumps(line).encode()


async def model(_world: World, _owner: Customer, _text: str) -> Thing:
    """A model of the catalogue: everybody's to see."""
    return Thing({"model_id": "small"})


async def server_route(_world: World, _owner: Customer, _text: str) -> Thing:
    """What a model's server may be asked."""
    return Thing({"route": "v1/completions"})


async def page(_world: World, _owner: Customer, _text: str) -> Thing:
    """A page of the dashboard, which shows what is there itself."""
    return Thing({"page": "tasks"})


async def challenge(world: World, _owner: Customer, _text: str) -> Thing:
    """A challenge whose evidence is public."""

    def end(conn: Connection) -> str:
        asked = challenges.ask(conn, node_id("one"), Reason.BY_HAND, 0, world.now_ms)
        challenges.keep_evidence(conn, asked, node_id("one"), "0" * 64, b"{}")
        return asked

    return Thing({"challenge_id": await world.database.write(end)})


async def transfer(world: World, owner: Customer, text: str) -> Thing:
    """Waits for a signature; the body brings it."""
    key = KeyPair(hashlib.sha256(text.encode()).digest())
    address = Pubkey.from_bytes(key.public_key)
    draft = await world.wallets.draft(address, [memo(text)])
    made = Transfer(
        id=new_id("transfer"),
        account_id=owner.account.id,
        wallet=key.address,
        kind=TransferKind.DEPOSIT,
        amount_micro=USDC,
        currency="USDC",
        recipient="",
        says=("deposit 1.00 USDC",),
        message=draft.message,
        fee_lamports=draft.fee_lamports,
        last_valid_block_height=draft.last_valid_block_height,
        slot=draft.slot,
        created_at_ms=world.now_ms,
        expires_at_ms=world.now_ms + 3_600_000,
        updated_at_ms=world.now_ms,
    )
    await world.database.write(transfers.insert_new, made, text, None)
    body = {"signed_transaction": signed_by(key, made.unsigned)}
    return Thing({"transfer_id": made.id}, json.dumps(body).encode())


async def staked(world: World, owner: Customer, _text: str) -> Thing:
    """A stake of the account's wallet, of which some may be withdrawn."""
    address = owner.account.wallet
    world.wallets.providers[address] = provider_account(address, staked=USDC, unbonding=USDC)
    world.wallets.now_unix_s = 21 * DAY_S
    return Thing()


async def emptied(world: World, owner: Customer, _text: str) -> Thing:
    """A provider account of the account's wallet of which nothing is left."""
    address = owner.account.wallet
    empty = replace(provider_account(address, staked=0), open_escrows=0)
    world.wallets.providers[address] = empty
    return Thing()


async def resource(world: World, owner: Customer, text: str) -> Thing:
    """A machine of the account's wallet."""
    view = node_view(text, wallet=owner.account.wallet)
    await world.nodes.on_node(view.offer.node_id, "joined", view)
    return Thing({"resource_id": view.offer.node_id})


async def mailbox(_world: World, owner: Customer, text: str) -> Thing:
    """Of a node of the account's, which says nothing."""
    answer = await owner.http.post("/api/v1/provider/mailboxes", json={"node_id": node_id(text)})
    assert answer.status_code == 201, answer.text
    body = json.dumps({"stream": "control", "envelopes": []}).encode()
    return Thing({"mailbox_id": answer.json()["data"]["id"]}, body)


async def unclaimed_lease(world: World, owner: Customer, _text: str) -> Thing:
    """A lease that is over, on a node of the account's wallet, which has not redeemed it."""
    task_id = await _submitted(owner, TASK)
    lease = (await world.start(task_id, owner.account.wallet)).lease
    assert lease is not None
    await world.finish(task_id)
    await staked(world, owner, "")
    world.wallets.escrows[wallet("escrow")] = escrow_account(10 * USDC)
    return Thing({"lease_id": lease.lease_id})


async def invoice(world: World, owner: Customer, text: str) -> Thing:
    """Of a task that was paid."""
    await finished_task(world, owner, text)
    account_id = owner.account.id
    issued = await world.database.write(
        billing.issue, account_id, 0, world.now_ms + 1, world.now_ms
    )
    return Thing({"invoice_id": issued.id})


async def failure(world: World, owner: Customer, text: str) -> Thing:
    """What the account's error log has of a task that failed."""
    task_id = await _submitted(owner, TASK)
    await world.start(task_id)
    await world.finish(task_id, outcome=Outcome.EXIT_NONZERO)
    which = FailureFilter(owner.account.id, task_id)
    found, _ = await world.database.read(
        lambda conn: failures.list_rows(conn, which, limit=1, offset=0)
    )
    return Thing({"error_id": found[0].id})


async def part(_world: World, _owner: Customer, _text: str) -> Thing:
    """A part of the coordinator."""
    return Thing({"service": "database"})


async def _submitted(owner: Customer, body: dict[str, Any]) -> str:
    answer = await owner.http.post(_TASKS, json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["id"])


async def _running(world: World, owner: Customer) -> tuple[str, Lease, str]:
    """A task, its lease and the lease's token."""
    task_id = await _submitted(owner, _OPEN)
    lease = (await world.start(task_id)).lease
    assert lease is not None
    return task_id, lease, world.tokens.token(lease.lease_id)


async def _kept(world: World, lease: Lease, token: str, data: bytes) -> None:
    """Keep a first checkpoint with this file."""
    manifest = manifest_of([OutputFile(_FILE, _digest(data), len(data))])
    client = world.client(token)
    for content in (data, manifest.encoded()):
        url = f"/api/v1/artifacts/{_digest(content)}/checkpoint"
        answer = await client.put(url, content=content)
        assert answer.is_success, answer.text
    taken = CheckpointTaken(lease.lease_id, manifest.checkpoint(1))
    await world.database.write(
        node_messages.take_checkpoint,
        lease.node_id,
        taken,
        world.now_ms,
        await CheckpointDesk(world.blobs).manifest(taken.checkpoint),
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
