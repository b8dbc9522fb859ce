"""A provider's program from its resource to its pay, and what goes wrong on the way; tests/acceptance has it with real money."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.market_nodes import demand
from neurogrid import ConfigurationError, ConflictError, ConnectionFailed, NotFoundError, Provider
from neurogrid.errors import IntegrityError
from neurogrid_marketplace.bid import Decline, DeclineCode
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.input_seal import SealTarget, wrap_key
from neurogrid_marketplace.job import InputFile
from neurogrid_marketplace.messages import (
    Accept,
    Deny,
    Event,
    EventKind,
    Heartbeat,
    Hello,
    Log,
    Result,
)
from neurogrid_marketplace.sealed_file import FileSealer
from sdk.fake_market import ADDRESS, INPUT, JOB, FakeMarket, machine, next_offer, program


@pytest.fixture
def market() -> FakeMarket:
    return FakeMarket()


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    folder = tmp_path / "outputs"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "answer.txt").write_text("42\n")
    return folder


ANSWER = hashlib.sha256(b"42\n").hexdigest()


def accepted(market: FakeMarket, provider: Provider) -> str:
    """A task of a new resource, accepted; its id."""
    resource = machine(provider)
    market.auction()
    task = next_offer(provider)
    return provider.tasks.accept(task.id, resource_id=resource.id).id


def running(market: FakeMarket, provider: Provider) -> str:
    """The same, started."""
    task_id = accepted(market, provider)
    market.start(task_id)
    provider.tasks.wait_for_job(task_id, timeout_seconds=20)
    return provider.tasks.start(task_id, container_id="c1").id


def result(market: FakeMarket) -> Result:
    """The end that was told."""
    market.until(lambda: finished(market), "its end is told")
    return finished(market)[0]


def finished(market: FakeMarket) -> list[Result]:
    events = [one for _, one in market.heard if isinstance(one, Event)]
    return [one.result for one in events if one.result is not None]


def test_a_task_goes_from_the_award_to_its_pay(
    market: FakeMarket, outputs: Path, tmp_path: Path
) -> None:
    with program(market, tmp_path) as provider:
        resource = machine(provider, region="here")
        assert (resource.status, resource.specifications.cpu_cores) == ("available", 4)
        hello = market.hear(Hello)
        assert (hello.offer.wallet, hello.offer.region) == (ADDRESS, "here")
        market.auction()
        offered = next_offer(provider)
        assert (offered.status, offered.resource_id) == ("offered", resource.id)
        task = provider.tasks.accept(offered.id, resource_id=resource.id)
        assert (task.status, task.cpu_cores) == ("accepted", 1)
        market.hear(Accept)
        market.start(task.id)
        job = provider.tasks.wait_for_job(task.id, timeout_seconds=20)
        assert (job.docker_image, job.command) == ("neurogrid/job:1", ["echo", "hello"])
        (placed,) = provider.tasks.download_inputs(task.id, tmp_path / "inputs")
        assert placed.read_bytes() == INPUT
        started = provider.tasks.start(
            task.id, container_id="c1", resource_usage={"cpu_cores": 4, "gpu_memory_gb": 8}
        )
        assert (started.status, started.container_id) == ("running", "c1")
        provider.tasks.log(task.id, "grüße\n")
        shown = provider.tasks.update_progress(task.id, progress=65, metrics={"cpu_usage": 85.5})
        assert (shown.progress, shown.stop_reason) == (65, None)

        def beats() -> bool:
            told = [one for _, one in market.heard if isinstance(one, Heartbeat) and one.leases]
            return any(one.leases[0].progress_permille == 650 for one in told)

        market.until(beats, "its progress is told")
        done = provider.tasks.complete(
            task.id, result_hash=ANSWER, execution_time_seconds=0, outputs=outputs
        )
        assert (done.status, done.outcome) == ("reported", "completed")
        told = result(market)
        assert [(one.path, one.sha256) for one in told.outputs] == [("sub/answer.txt", ANSWER)]
        assert (told.metered_ms, told.logs_bytes) == (0, len("grüße\n".encode()))
        assert told.logs_sha256 == hashlib.sha256("grüße\n".encode()).hexdigest()
        assert market.files[ANSWER] == b"42\n"
        assert "".join(one.text for _, one in market.heard if isinstance(one, Log)) == "grüße\n"
        market.pay(task.id)
        paid = provider.tasks.wait_until_paid(task.id, timeout_seconds=20)
        assert (paid.status, str(paid.earned)) == ("closed", "0.000005")
        assert provider.tasks.held() == []
        assert not list((tmp_path / "state").rglob("lease_*"))


def test_sealed_inputs_are_opened_by_the_machine_that_was_awarded_alone(
    market: FakeMarket, tmp_path: Path
) -> None:
    content_key = b"k" * 32
    sealer = FileSealer(content_key, b"s" * 32)
    sealed = sealer.header + sealer.seal(INPUT, is_last=True)
    digest = hashlib.sha256(sealed).hexdigest()
    market.files[digest] = sealed
    inputs = (InputFile("in.txt", digest, len(sealed), sealed=True),)
    job = replace(JOB, inputs=inputs)
    with program(market, tmp_path) as provider:
        resource = machine(provider)
        market.auction(job)
        task = next_offer(provider)
        provider.tasks.accept(task.id, resource_id=resource.id)
        key = market.hear(Accept).sealing_key
        target = SealTarget(task.id, resource.id, job.hash(), key)
        market.start(task.id, job, wrap_key(content_key, target))
        provider.tasks.wait_for_job(task.id, timeout_seconds=20)
        (placed,) = provider.tasks.download_inputs(task.id, tmp_path / "inputs")
        assert placed.read_bytes() == INPUT
        market.files[digest] = sealed[:-1] + b"x"
        with pytest.raises(IntegrityError, match="does not open"):
            provider.tasks.download_inputs(task.id, tmp_path / "again")
        assert not list((tmp_path / "again").iterdir())
        failed = provider.tasks.fail(task.id, "INPUT_UNREADABLE", "sealed for another")
        assert failed.outcome == "input_unreadable"


def test_its_results_are_fetched_from_where_it_keeps_them(
    market: FakeMarket, outputs: Path, tmp_path: Path
) -> None:
    with program(market, tmp_path) as provider:
        task_id = running(market, provider)
        stored = str(outputs / "sub" / "answer.txt")
        with pytest.raises(IntegrityError):
            provider.tasks.complete(task_id, result_hash="0" * 64, result_storage_url=stored)
        assert provider.tasks.get(task_id).status == "collecting"
        provider.tasks.complete(task_id, result_hash=ANSWER, result_storage_url=stored)
        assert [one.path for one in result(market).outputs] == ["answer.txt"]


def test_a_result_without_a_file_is_refused_and_the_task_goes_on(
    market: FakeMarket, tmp_path: Path
) -> None:
    with program(market, tmp_path) as provider:
        task_id = running(market, provider)
        with pytest.raises(ValueError, match="a hash alone is no result"):
            provider.tasks.complete(task_id, result_hash=ANSWER)
        with pytest.raises(ValueError, match="needs its result_hash"):
            provider.tasks.complete(task_id, result_storage_url="http://x/y")
        with pytest.raises(ConflictError, match="and not for 3600 s"):
            provider.tasks.complete(task_id, execution_time_seconds=3600)
        assert provider.tasks.get(task_id).status == "running"
        # A job that leaves no files is a job.
        assert provider.tasks.complete(task_id).outcome == "completed"
        assert result(market).outputs == ()


def test_complete_twice_is_complete_once(market: FakeMarket, outputs: Path, tmp_path: Path) -> None:
    with program(market, tmp_path) as provider:
        task_id = running(market, provider)
        first = provider.tasks.complete(task_id, outputs=outputs)
        assert provider.tasks.complete(task_id, outputs=tmp_path) == first
        with pytest.raises(ConflictError, match="has ended as completed already"):
            provider.tasks.fail(task_id)
        with pytest.raises(ConflictError, match=r"is over \(completed\)"):
            provider.tasks.update_progress(task_id, 50)
        with pytest.raises(ConflictError, match="has no log any more"):
            provider.tasks.log(task_id, "x")
        market.pay(task_id)
        provider.tasks.wait_until_paid(task_id, timeout_seconds=20)
        assert provider.tasks.complete(task_id, outputs=outputs).status == "closed"
        assert len({one.number for _, one in market.heard if isinstance(one, Event)}) == 3


def test_what_failed_is_told_with_a_fault_that_the_market_takes(
    market: FakeMarket, tmp_path: Path
) -> None:
    with program(market, tmp_path) as provider:
        task_id = running(market, provider)
        for code, why in [
            ("CLIENT_IS_BAD", "is no error code; there are EXECUTION_ERROR"),
            ("NODE_LOST", "is not for a provider to say"),
            ("COMPLETED", "is not for a provider to say"),
            ("IMAGE_NOT_FOUND", "of a task that never ran, and this one was started"),
        ]:
            with pytest.raises(ValueError, match=why):
                provider.tasks.fail(task_id, error_code=code)
        assert provider.tasks.get(task_id).status == "running"
        failed = provider.tasks.fail(
            task_id, error_code="EXECUTION_ERROR", error_message="Container crashed", exit_code=3
        )
        assert failed.outcome == "exit_nonzero"
        told = result(market)
        assert (told.outcome, told.exit_code) == (Outcome.EXIT_NONZERO, 3)
        assert told.message == "Container crashed"
        assert provider.tasks.fail(task_id, error_code="execution_error") == failed
        with pytest.raises(ConflictError, match="has ended as exit_nonzero already"):
            provider.tasks.complete(task_id)


def test_what_can_not_be_started_fails_before_it_is_paid(
    market: FakeMarket, tmp_path: Path
) -> None:
    with program(market, tmp_path) as provider:
        task_id = accepted(market, provider)
        with pytest.raises(ConflictError, match="its escrow is being opened"):
            provider.tasks.start(task_id)
        with pytest.raises(ConflictError, match="its escrow is being opened"):
            provider.tasks.download_inputs(task_id, tmp_path)
        market.start(task_id)
        provider.tasks.wait_for_job(task_id, timeout_seconds=20)
        with pytest.raises(ConflictError, match="it was not started"):
            provider.tasks.update_progress(task_id, 10)
        with pytest.raises(ConflictError, match="it was not started"):
            provider.tasks.complete(task_id)
        with pytest.raises(ValueError, match="this one was not: say START_FAILED"):
            provider.tasks.fail(task_id)
        assert provider.tasks.fail(task_id, "START_FAILED", "no disk").outcome == "start_failed"
        assert (result(market).metered_ms, result(market).message) == (0, "no disk")


def test_a_task_of_another_program_is_unknown(market: FakeMarket, tmp_path: Path) -> None:
    with program(market, tmp_path) as provider:
        resource = machine(provider)
        other = "lease_" + "9" * 32
        for act in (
            lambda: provider.tasks.accept(other, resource_id=resource.id),
            lambda: provider.tasks.accept(other, resource_id="resource_123"),
            lambda: provider.tasks.start(other),
            lambda: provider.tasks.update_progress(other, 1),
            lambda: provider.tasks.complete(other),
            lambda: provider.tasks.fail(other),
            lambda: provider.resources.delete("resource_123"),
        ):
            with pytest.raises(NotFoundError):
                act()


def test_a_task_that_nobody_accepts_is_denied_and_can_not_be_accepted_later(
    market: FakeMarket, tmp_path: Path
) -> None:
    with program(market, tmp_path) as provider:
        resource = machine(provider)
        market.auction()
        task = next_offer(provider)
        denied = market.hear(Deny)
        assert (denied.lease_id, denied.code) == (task.id, DeclineCode.NOT_READY)
        with pytest.raises(NotFoundError, match="within two seconds"):
            provider.tasks.accept(task.id, resource_id=resource.id)
        assert provider.tasks.held() == []


def test_a_task_that_was_ended_has_to_stop(market: FakeMarket, tmp_path: Path) -> None:
    with program(market, tmp_path) as provider:
        task_id = running(market, provider)
        market.stop(task_id)
        market.until(lambda: provider.tasks.get(task_id).status == "stopping", "it has to stop")
        assert provider.tasks.update_progress(task_id, 5).stop_reason == "cancelled"
        assert provider.tasks.fail(task_id).outcome == "cancelled"
        assert result(market).message == "cancelled by the coordinator"


@pytest.mark.parametrize("step", ["accepted", "ready", "running", "collecting", "reported"])
def test_a_program_or_a_coordinator_that_dies_between_two_calls_loses_nothing(
    market: FakeMarket, outputs: Path, tmp_path: Path, step: str
) -> None:
    provider = program(market, tmp_path)
    resource = machine(provider)

    def dies(at: str) -> None:
        """Both do."""
        nonlocal provider
        if at == step:
            before = market.opened
            market.forget_mailbox()
            market.until(lambda: market.opened > before, "the program is connected again")
            provider.close()
            provider = program(market, tmp_path)
            assert machine(provider).id == resource.id
            assert [one.id for one in provider.tasks.held()] == [task.id]

    market.auction()
    task = next_offer(provider)
    provider.tasks.accept(task.id, resource_id=resource.id)
    dies("accepted")
    assert provider.tasks.accept(task.id, resource_id=resource.id).id == task.id
    market.start(task.id)
    provider.tasks.wait_for_job(task.id, timeout_seconds=20)
    dies("ready")
    provider.tasks.start(task.id, container_id="c1")
    provider.tasks.log(task.id, "one\n")
    dies("running")
    provider.tasks.log(task.id, "two\n")
    if step == "collecting":
        with pytest.raises(FileNotFoundError):
            provider.tasks.complete(task.id, result_hash=ANSWER, result_storage_url="/nowhere")
    dies("collecting")
    provider.tasks.complete(task.id, outputs=outputs)
    dies("reported")
    assert provider.tasks.complete(task.id, outputs=outputs).status == "reported"
    market.pay(task.id)
    assert provider.tasks.wait_until_paid(task.id, timeout_seconds=20).outcome == "completed"
    provider.close()
    assert {one.logs_bytes for one in finished(market)} == {len("one\ntwo\n")}
    kinds = [
        one.kind
        for one in {one.number: one for _, one in market.heard if isinstance(one, Event)}.values()
    ]
    assert kinds == [EventKind.PREPARING, EventKind.STARTED, EventKind.FINISHED]


def test_a_clock_that_is_wrong_is_said_to_be_wrong(tmp_path: Path) -> None:
    ahead = FakeMarket(skew_ms=10 * 60_000)
    with (
        program(ahead, tmp_path) as provider,
        pytest.raises(ConnectionFailed, match="set both clocks"),
    ):
        machine(provider)


def test_what_is_said_twice_ends_the_connection_and_nothing_more(
    market: FakeMarket, tmp_path: Path
) -> None:
    with program(market, tmp_path) as provider:
        task_id = running(market, provider)
        before, letter = market.opened, market.newest_letter()
        market.deliver(letter["envelope"], letter["stream"])
        market.until(lambda: market.opened > before, "it is connected again")
        assert provider.tasks.get(task_id).status == "running"
        assert provider.tasks.complete(task_id).outcome == "completed"


def test_two_programs_do_not_run_one_machine(market: FakeMarket, tmp_path: Path) -> None:
    with program(market, tmp_path) as first, program(market, tmp_path) as second:
        resource = machine(first)
        with pytest.raises(ConflictError, match="another program runs this machine"):
            machine(second)
        assert first.resources.get(resource.id).status == "available"
        first.resources.delete(resource.id)
        assert machine(second).id == resource.id


def test_a_resource_is_paused_priced_anew_and_taken_away(
    market: FakeMarket, tmp_path: Path
) -> None:
    with program(market, tmp_path) as provider:
        resource = machine(provider)
        changed = provider.resources.update(
            resource.id, pricing={"per_hour": "10.00"}, status="paused"
        )
        assert changed.status == "paused"
        assert changed.pricing.per_hour == 10
        market.say(demand(7))
        assert market.hear(Decline).code is DeclineCode.NOT_ACCEPTING
        provider.resources.update(resource.id, pricing={"per_hour": "0.50"}, status="available")
        market.auction()
        task = next_offer(provider)
        provider.tasks.accept(task.id, resource_id=resource.id)
        with pytest.raises(ConflictError, match="has 1 task that are not paid yet"):
            provider.resources.delete(resource.id)
        market.stop(task.id)


def test_keys_are_needed_and_only_a_wallet_signs(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no wallet is given"):
        Provider("ng_key", base_url="http://market")
    file = tmp_path / "wallet.json"
    file.write_text(json.dumps([1, 2, 3]))
    with pytest.raises(ConfigurationError, match="64 numbers"):
        Provider("ng_key", file, "http://market")


def test_nothing_is_run_for_an_escrow_that_the_chain_does_not_show(
    market: FakeMarket, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="the market's program is not known"):
        machine(program(market, tmp_path, rpc_url="http://127.0.0.1:9"))
    known = (ADDRESS, ADDRESS)
    with program(market, tmp_path, rpc_url="http://127.0.0.1:9", program=known) as provider:
        task_id = accepted(market, provider)
        market.start(task_id)
        with pytest.raises(ConflictError, match="not the one of this lease"):
            provider.tasks.wait_for_job(task_id, timeout_seconds=20)
        assert result(market).outcome is Outcome.ESCROW_UNSEEN
        with pytest.raises(ConflictError, match="is over"):
            provider.tasks.start(task_id)
