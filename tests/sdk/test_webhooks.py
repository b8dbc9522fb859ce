"""Webhooks in the SDK and in ``neurogrid webhooks``, against the real api and a receiver of the test's."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import pytest
from click.testing import CliRunner, Result

import neurogrid
from coordinator.api_world import Customer, World
from coordinator.receiver import Receiver, receiving, status
from coordinator.served import ServedWorld
from neurogrid import Client, verify_webhook
from neurogrid.cli.group import neurogrid as command
from neurogrid_coordinator.api.event_views import webhook_body
from neurogrid_coordinator.webhooks.delivery import WebhookDelivery
from neurogrid_coordinator.webhooks.sender import WebhookSender

Run = Callable[..., Result]
SECRET = "your-webhook-secret"


@pytest.fixture
def alice(api: ServedWorld) -> Customer:
    return api.run(lambda world: world.customer("alice"))


@pytest.fixture
def receiver(api: ServedWorld) -> Iterator[Receiver]:
    """A receiver, and the process that delivers to it."""
    stack = AsyncExitStack()

    async def start(world: World) -> Receiver:
        found = await stack.enter_async_context(receiving(world))
        delivery = WebhookDelivery(
            database=world.database,
            feed=world.feed,
            sender=WebhookSender(world.web.outbound()),
            body_of=webhook_body,
            now_ms=lambda: time.time_ns() // 1_000_000,
        )
        running = asyncio.create_task(delivery.run())

        async def stop() -> None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        stack.push_async_callback(stop)
        return found

    yield api.run(start)
    api.run(lambda _: stack.aclose())


@pytest.fixture
def client(api: ServedWorld, alice: Customer) -> Iterator[Client]:
    with Client(alice.key, api.address, retries_max=2) as client:
        yield client


@pytest.fixture
def run(api: ServedWorld, alice: Customer) -> Run:
    def run(*arguments: str) -> Result:
        environment = {"NEUROGRID_API_URL": api.address, "NEUROGRID_API_KEY": alice.key}
        return CliRunner().invoke(command, ("webhooks", *arguments), env=environment)

    return run


def test_a_webhook_is_made_tested_changed_and_deleted(client: Client, receiver: Receiver) -> None:
    hooks = client.webhooks
    made = hooks.create(
        receiver.url, ["task.completed"], secret=SECRET, max_attempts=1, idempotency_key="k"
    )
    assert (made.secret, made.state, made.retries.max_attempts) == (SECRET, "active", 1)
    again = hooks.create(
        receiver.url, ["task.completed"], secret=SECRET, max_attempts=1, idempotency_key="k"
    )
    assert again.id == made.id
    delivery = hooks.wait(hooks.test(made.id))
    assert (delivery.state, delivery.log[0].status) == ("delivered", 200)
    assert delivery.log[0].answer == "thanks"
    (received,) = receiver.received
    assert verify_webhook(received.body, received.headers, SECRET)
    assert not verify_webhook(received.body + b" ", received.headers, SECRET)
    assert hooks.redeliver(made.id, delivery.id).id == delivery.id
    assert hooks.wait(delivery).attempts == 2
    changed = hooks.update(made.id, events=["task.failed"], description="later")
    assert (changed.events, changed.url) == (["task.failed"], made.url)
    assert hooks.pause(made.id).state == "paused"
    assert hooks.resume(made.id).state == "active"
    assert hooks.rotate_secret(made.id).secret != SECRET
    assert [hook.id for hook in hooks.list(state="active").webhooks] == [made.id]
    assert hooks.deliveries(made.id, event="task.completed").total == 1
    assert "task.progress" in {event.name for event in hooks.events()}
    hooks.delete(made.id)
    with pytest.raises(neurogrid.NotFoundError):
        hooks.get(made.id)
    with pytest.raises(neurogrid.InvalidRequestError, match="was not found"):
        hooks.create("https://nowhere.example.org/", ["task.completed"])


def test_verification_takes_only_what_is_signed_and_recent() -> None:
    import hashlib
    import hmac

    body, now_s = b'{"id": 1}', int(time.time())

    def headers(stamp: str, data: bytes) -> dict[str, str]:
        mac = hmac.new(SECRET.encode(), data, hashlib.sha256).hexdigest()
        return {"X-Signature": mac, "X-Timestamp": stamp}

    good = headers(str(now_s), f"{now_s}.".encode() + body)
    assert verify_webhook(body, good, SECRET)
    assert verify_webhook(body.decode(), good, SECRET)
    assert not verify_webhook(body, good, "another-webhook-secret")
    old = headers("1000", b"1000." + body)
    assert not verify_webhook(body, old, SECRET)
    assert verify_webhook(body, old, SECRET, tolerance_s=None)
    plain = headers("", body)
    assert verify_webhook(body, plain, SECRET, payload_only=True)
    assert not verify_webhook(body, plain, SECRET)
    for broken in (
        {},
        {"X-Signature": "é"},
        {**good, "X-Timestamp": "\u0661"},
        {"x-signature": ""},
    ):
        assert not verify_webhook(body, broken, SECRET)


def test_the_command_makes_tests_and_shows_webhooks(run: Run, receiver: Receiver) -> None:
    made = run("create", receiver.url, "--event", "task.completed", "--max-attempts", "1")
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith("whsec_")
    hook_id = json.loads(run("list", "--json").stdout)["webhooks"][0]["id"]
    assert hook_id in run("list").stdout
    assert receiver.url in run("show", hook_id).stdout
    tested = run("test", hook_id, "--event", "node.status")
    assert tested.exit_code == 0, tested.output
    assert "200" in tested.stdout
    receiver.answers = [status(503), status(200)]
    failed = run("test", hook_id)
    assert failed.exit_code == 1
    assert "it answers 503" in failed.stdout
    rows = json.loads(run("deliveries", hook_id, "--json").stdout)["deliveries"]
    assert [row["state"] for row in rows] == ["failed", "delivered"]
    assert rows[0]["id"] in run("deliveries", hook_id).stdout
    assert "503" in run("deliveries", hook_id, rows[0]["id"]).stdout
    assert run("redeliver", hook_id, rows[0]["id"]).exit_code == 0
    assert "paused" in run("pause", hook_id).stdout
    assert "active" in run("resume", hook_id).stdout
    assert "later" in run("update", hook_id, "--description", "later").stdout
    assert run("rotate-secret", hook_id).stdout.startswith("whsec_")
    assert "task.progress" in run("events").stdout
    assert "deleted" in run("delete", hook_id).stdout
    assert run("show", hook_id).exit_code == 4
    wrong = run("create", receiver.url, "--event", "task.eaten")
    assert wrong.exit_code == 2
