"""The SDK against the real api, over a real socket."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

import neurogrid
from coordinator.api_world import USDC, Customer, World
from coordinator.records import node_id
from coordinator.served import ServedWorld
from neurogrid import Client
from neurogrid.models import Task
from neurogrid_coordinator.store import usage
from neurogrid_coordinator.store.usage import Said
from neurogrid_marketplace.usage import GpuUse, LeaseUsage


@pytest.fixture
def alice(api: ServedWorld) -> Customer:
    return api.run(lambda world: world.customer("alice"))


@pytest.fixture
def client(api: ServedWorld, alice: Customer) -> Iterator[Client]:
    with Client(alice.key, api.address, retries_max=2) as client:
        yield client


def create(client: Client) -> Task:
    """Document 003's call, word for word but for its image."""
    return client.tasks.create(
        name="Task Name",
        type="cpu",
        resource_requirements={"cpu_cores": 4, "gpu_memory_gb": 0, "ram_gb": 1, "storage_gb": 50},
        docker_image="your-registry/image:tag",
        command=["python", "script.py"],
        max_price_per_hour="10.00",  # USDC
        timeout_seconds=3600,
        priority="high",  # or "normal", "low"
    )


def test_the_documents_calls_work_as_written(client: Client, api: ServedWorld) -> None:
    task = create(client)
    assert (task.status, task.phase, task.priority) == ("pending", "queued", "high")
    assert task.max_price_per_hour == Decimal("10.00")
    assert task.created_at.tzinfo is not None
    assert client.tasks.get(task.id).id == task.id
    tasks = client.tasks.list(status="pending", limit=50, offset=0)
    assert [item.id for item in tasks] == [task.id]
    assert (len(tasks), tasks.total) == (1, 1)
    (same,) = client.tasks.list(kind="container", name=task.name, created_after=task.created_at)
    assert same.id == task.id
    assert client.tasks.list(created_before=task.created_at).total == 0
    assert client.tasks.list(model="small").total == 0
    api.run(lambda world: world.start(task.id))
    api.run(lambda world: world.print(task.id, "one\ntwo\n"))
    assert client.tasks.get_logs(task.id, lines=1, follow=False) == "two\n"
    assert "".join(client.tasks.all_logs(task.id)) == "one\ntwo\n"
    assert client.tasks.get(task.id).status == "running"
    assert client.tasks.cancel(task.id).result == "cancelling"


def test_a_task_is_followed_to_its_end_and_its_files_fetched(
    client: Client, api: ServedWorld, tmp_path: Path
) -> None:
    source = tmp_path / "corpus.txt"
    source.write_text("some words")
    task = client.tasks.create(
        docker_image="neurogrid/job:1",
        max_price_per_hour="1.00",
        inputs={"data/corpus.txt": source},
        env={"LEVEL": "9"},
    )
    assert [(item.path, item.size) for item in task.inputs] == [("data/corpus.txt", 10)]
    assert client.artifacts.upload(source).created is False

    async def live(world: World) -> None:
        await world.start(task.id)
        await world.print(task.id, "working\n")
        await asyncio.sleep(0.3)
        await world.print(task.id, "done\n")
        outputs = [
            await world.upload(task.id, "a/words.json", b'{"some": 1}'),
            await world.upload(task.id, "big", b"x" * 900_000),
        ]
        await world.finish(task.id, *outputs)

    living = threading.Thread(target=lambda: api.run(live))
    living.start()
    updates = list(client.tasks.stream(task.id))
    assert [update.type for update in updates][-1] == "task.completed"
    assert "running" in [update.status for update in updates]
    assert (updates[-1].progress, updates[-1].node_id) == (100.0, node_id("one"))
    assert "".join(client.tasks.get_logs(task.id, follow=True)) == "working\ndone\n"
    living.join()
    done = client.tasks.wait(task.id, timeout_s=5)
    assert (done.ended, done.status, done.exit_code) == (True, "completed", 0)
    assert done.cost == Decimal("0.001")
    assert [output.path for output in client.tasks.outputs(task.id)] == ["a/words.json", "big"]
    written = client.tasks.download(task.id, tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == [
        "a/words.json",
        "big",
    ]
    assert written[0].read_bytes() == b'{"some": 1}'
    assert written[1].stat().st_size == 900_000
    with pytest.raises(neurogrid.NotFoundError):
        client.tasks.download(task.id, tmp_path / "out", paths=["nothing"])
    with pytest.raises(neurogrid.NotSettledError) as unsettled:
        client.tasks.receipt(task.id)
    assert "escrow" in unsettled.value.missing[0]
    api.run(lambda world: world.pay(task.id, b"{}\n"))
    assert client.tasks.receipt(task.id) == b"{}\n"
    assert client.tasks.cancel(task.id).result == "deleted"


def test_every_documented_error_has_its_exception(client: Client, api: ServedWorld) -> None:
    with pytest.raises(neurogrid.TaskNotFoundError) as missing:
        client.tasks.get("task_1")
    assert missing.value.task_id == "task_1"
    with pytest.raises(neurogrid.ProviderUnavailableError) as unavailable:
        client.tasks.create(
            docker_image="a", max_price_per_hour="10", resource_requirements={"cpu_cores": 99}
        )
    explanation = unavailable.value.explanation
    assert explanation is not None
    assert explanation.relaxation is not None
    assert explanation.relaxation.constraint == "cpu_cores"
    with pytest.raises(neurogrid.InvalidRequestError) as invalid:
        client.tasks.create(docker_image="A B", max_price_per_hour="10")
    assert invalid.value.field == "docker_image"
    assert invalid.value.code == "INVALID_REQUEST"
    poor = api.run(lambda world: world.customer("poor", deposit=USDC))
    with Client(poor.key, api.address) as short:
        with pytest.raises(neurogrid.InsufficientFundsError) as funds:
            create(short)
        assert (funds.value.needed, funds.value.available) == ("10.00", "1.00")
        assert funds.value.details["currency"] == "USDC"
    with Client("ng_wrong", api.address) as stranger, pytest.raises(neurogrid.AuthenticationError):
        stranger.account()
    client.tasks.create(docker_image="a", max_price_per_hour="1", idempotency_key="k")
    with pytest.raises(neurogrid.ConflictError) as conflict:
        client.tasks.create(docker_image="b", max_price_per_hour="1", idempotency_key="k")
    assert conflict.value.code == "IDEMPOTENCY_MISMATCH"
    reader = api.run(lambda world: world.customer("reader", scopes=("read",)))
    with (
        Client(reader.key, api.address) as only_reads,
        pytest.raises(neurogrid.PermissionDeniedError),
    ):
        create(only_reads)


def test_the_market_and_the_account(client: Client) -> None:
    # Document 003's call, but for where.
    found = client.providers.search(
        gpu_memory_min=8, cpu_cores_min=4, max_price=15.00, location="eu-west"
    )
    assert (found.total, found.providers[0].price_per_hour) == (2, Decimal("1.40"))
    assert client.providers.get(found.providers[0].id).nodes
    assert client.providers.search(available=False).total == 0
    nodes = client.nodes.list(region="eu-west")
    assert nodes.total == 2
    node = client.nodes.get(nodes.nodes[0].id)
    assert node.gpu_info is not None
    assert node.gpu_info.model == "NVIDIA L4"
    explanation = client.explain(docker_image="a", max_price_per_hour="0.01")
    assert (explanation.matching, explanation.clearing_price_per_hour) == (0, Decimal("0.10"))
    strict = client.explain(
        docker_image="a", max_price_per_hour="1", where="gpu.memory >= 40GB and region = eu-west"
    )
    assert strict.relaxation is not None
    assert [step.nodes for step in strict.relaxation.steps] == [2]
    estimate = client.estimate(docker_image="a", max_price_per_hour="1", where="ram >= 1GB")
    assert estimate.price_per_hour is not None
    assert estimate.price_per_hour.expected == Decimal("0.10")
    assert client.prices(hours=1).classes == []
    account = client.account()
    assert account.name == "alice"
    assert account.balance.available == Decimal(100)


def test_waiting_ends_with_the_callers_patience(client: Client) -> None:
    task = create(client)
    with pytest.raises(neurogrid.WaitTimeout):
        client.tasks.wait(task.id, timeout_s=0.3)
    assert client.tasks.get(task.id).status == "pending"


def test_an_address_where_nobody_listens_is_named(api: ServedWorld) -> None:
    with (
        Client("ng_x", "http://127.0.0.1:9", retries_max=0) as client,
        pytest.raises(neurogrid.ConnectionFailed, match=r"http://127\.0\.0\.1:9"),
    ):
        client.account()


def test_a_workflow_asks_a_model_about_what_another_task_leaves(client: Client) -> None:
    workflow = client.workflows.submit(
        {
            "cut": {"docker_image": "neurogrid/job:1", "max_price_per_hour": "1.00"},
            "hear": {
                "kind": "model",
                "model": "ear",
                "file": neurogrid.TaskOutput("cut", "a/speech.wav"),
            },
        },
    )
    cut, hear = workflow.tasks
    shown = client.tasks.get(hear.id)
    awaited = next(each for each in shown.inputs if each.from_task)
    assert (awaited.path, awaited.from_task, awaited.output) == (
        *("speech.wav", cut.id, "a/speech.wav"),
    )
    assert (shown.phase, hear.key) == ("waiting", "hear")


def test_a_workflow_is_submitted_followed_and_cancelled(
    client: Client, api: ServedWorld, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("some words")
    job = {"docker_image": "neurogrid/job:1", "max_price_per_hour": "1.00"}
    workflow = client.workflows.submit(
        {
            "train": {**job, "inputs": {"corpus.txt": corpus}},
            "test": {**job, "inputs": {"m": neurogrid.TaskOutput("train", "model.bin")}},
        },
        name="Train and test",
        idempotency_key="mine",
    )
    train, test = workflow.tasks
    assert (train.key, train.phase, test.key, test.phase) == (
        "train",
        "queued",
        "test",
        "waiting",
    )
    assert (workflow.status, workflow.ended, workflow.counts) == ("pending", False, {"pending": 2})
    (awaited,) = client.tasks.get(test.id).inputs
    assert (awaited.sha256, awaited.from_task, awaited.output) == (None, train.id, "model.bin")
    assert [item.id for item in client.tasks.list(workflow_id=workflow.id)] == [test.id, train.id]
    with pytest.raises(neurogrid.WaitTimeout):
        client.workflows.wait(workflow.id, timeout_s=0.05)

    async def live(world: World) -> None:
        await world.start(train.id)
        await world.finish(train.id, await world.upload(train.id, "model.bin", b"weights"))

    api.run(live)
    assert client.tasks.get(test.id).inputs[0].size == 7
    after = client.tasks.create(
        docker_image="neurogrid/job:1",
        max_price_per_hour="1.00",
        depends_on=[test.id],
        inputs={"again": neurogrid.TaskOutput(train.id, "model.bin")},
    )
    assert after.depends_on == [test.id, train.id]
    assert client.workflows.cancel(workflow.id).result == "cancelled"
    done = client.workflows.wait(workflow.id, timeout_s=5)
    assert (done.status, done.cost) == ("cancelled", Decimal("0.001"))
    assert client.workflows.list().workflows[0].id == workflow.id
    failed = client.tasks.get(after.id)
    assert failed.error is not None
    assert failed.error.code == "DEPENDENCY_CANCELLED"
    with pytest.raises(neurogrid.NotFoundError):
        client.workflows.get("flow_nobody")
    with pytest.raises(neurogrid.ConflictError, match="been cancelled"):
        client.tasks.create(
            docker_image="neurogrid/job:1", max_price_per_hour="1.00", depends_on=[test.id]
        )


def test_a_task_is_changed_while_it_waits_and_executed_again_when_it_has_ended(
    client: Client, api: ServedWorld
) -> None:
    task = create(client)
    # Document 003's call, word for word.
    result = client.tasks.update(task.id, max_price_per_hour="15.00", priority="high")
    assert result.max_price_per_hour == Decimal("15.00")
    result = client.tasks.update(
        task.id,
        deadline=datetime(2099, 1, 1, tzinfo=UTC),
        resource_requirements={"cpu_cores": 1},
        where="score >= 0",
        idempotency_key="once",
    )
    assert result.deadline == datetime(2099, 1, 1, tzinfo=UTC)
    assert result.resource_requirements is not None
    assert (result.resource_requirements.cpu_cores, result.constraints) == (1, "score >= 0")
    assert client.tasks.update(task.id, deadline=None).deadline is None
    with pytest.raises(neurogrid.InsufficientFundsError) as poor:
        client.tasks.update(task.id, max_price_per_hour="1000")
    assert (poor.value.needed, poor.value.available) == ("1000.00", "100.00")
    assert client.tasks.execute(task.id).id == task.id
    api.run(lambda world: world.start(task.id))
    with pytest.raises(neurogrid.ConflictError):
        client.tasks.update(task.id, priority="low")
    api.run(lambda world: world.finish(task.id))
    again = client.tasks.execute(task.id, name="Once more", idempotency_key="again")
    assert (again.execution_of, again.name, again.phase) == (task.id, "Once more", "queued")
    repeated = client.tasks.execute(task.id, name="Once more", idempotency_key="again")
    assert repeated.id == again.id
    with pytest.raises(neurogrid.TaskNotFoundError):
        client.tasks.update("task_none", name="x")


def test_what_a_job_uses_is_fetched(client: Client, api: ServedWorld) -> None:
    task = create(client)
    # Document 003's call, word for word.
    metrics = client.tasks.get_metrics(task.id)
    assert (metrics.status, metrics.samples, metrics.summary.samples) == ("pending", [], 0)
    lease = api.run(lambda world: world.start(task.id)).lease
    assert lease is not None
    told = Said(lease.lease_id, LeaseUsage(2_000, 2**20, gpus=(GpuUse("GPU-1", 50),)), 2**21)
    api.run(
        lambda world: world.database.write(
            usage.add, node_id("one"), told, world.now_ms, is_last=False
        )
    )
    metrics = client.tasks.get_metrics(task.id)
    assert (metrics.summary.cpu_seconds, metrics.summary.memory_peak_bytes) == (2.0, 2**21)
    assert (metrics.samples[0].gpu_usage, metrics.samples[0].gpus[0].id) == (50.0, "GPU-1")
    assert client.tasks.get_metrics(task.id, limit=0).samples == []
    with pytest.raises(neurogrid.TaskNotFoundError):
        client.tasks.get_metrics("task_none")
