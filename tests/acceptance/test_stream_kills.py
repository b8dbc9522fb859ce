"""kill -9 of whoever serves a stream: the client is told, pays for what its own socket received, and its provider gets that."""

import contextlib
import json
import os
import signal
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import httpx
import openai
import pytest
from openai import OpenAI
from openai.types import Completion

from acceptance import scripted_server
from acceptance.model_settings import client_account, shipped_catalogue, told_of_models
from acceptance.network import PATIENCE_S, Devnet, neurogrid, until
from acceptance.recording_proxy import Answer, RecordingProxy, recording_proxy
from neurogrid.models import Task
from neurogrid_devnet.demo.money import Money
from neurogrid_marketplace.money import parse_usdc
from neurogrid_marketplace.receipt import verify_receipt

pytestmark = [pytest.mark.processes, pytest.mark.engine]

BARD, SCRIPTED = "bard-1m", "scripted"
USE_IDLE_S = 4
REPLICA_IDLE_S = 10
KINDS = ("use", "replica")
WHO = ("container", "node", "market", "api")
# So many tokens have come when somebody is killed.
BEGUN = 40
TOKENS = 20
# As long as somebody has time to die, or to hang, before a server goes on by itself.
HELD_S = 6.0
NODE_LABEL = "io.neurogrid.node"
_ENTRY = f"""
[[model]]
id = "{SCRIPTED}"
name = "Scripted"
type = "text"
category = "generation"
image = "neurogrid/job:1"
tasks = false
[model.needs]
memory_gb = 0.1
cpu_cores = 1
[model.server]
command = ["python3", "-c", '''
{Path(scripted_server.__file__).read_text("utf-8")}''']
start_s = 60
routes = ["/v1/completions"]
features = ["stream", "usage_in_stream"]
concurrency = 8
retainer_usdc_per_hour = "0.10"
[model.unit_price]
input_per_million = "0.02"
output_per_million = "0.10"
"""


class Stream:
    """A streamed answer, as the official package reads it in a thread of its own.

    Attributes:
        texts: that it has given so far.
        error: that it has raised.
    """

    def __init__(self, client: OpenAI, model: str, prompt: str, tokens: int) -> None:
        self.texts: list[str] = []
        self.finish = ""
        self.error: Exception | None = None
        self._asked = (client, model, prompt, tokens)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        client, model, prompt, tokens = self._asked
        try:
            # By chance one text in 400 ends before its fortieth token; the likeliest tokens go on for ever.
            for chunk in client.completions.create(
                model=model, prompt=prompt, max_tokens=tokens, temperature=0, stream=True
            ):
                for choice in chunk.choices:
                    if choice.text:
                        self.texts.append(choice.text)
                    self.finish = choice.finish_reason or self.finish
        except (openai.OpenAIError, httpx.HTTPError) as error:
            self.error = error

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "it neither goes on nor ends"


class Serving:
    """A devnet that keeps replicas, asked through a proxy that records."""

    def __init__(self, devnet: Devnet, proxy: RecordingProxy, client: OpenAI) -> None:
        self.devnet = devnet
        self.proxy = proxy
        self.client = client
        self._database = devnet.data / "coordinator" / "coordinator.db"
        self.billed_before = self.billed

    @property
    def billed(self) -> int:
        """Tokens that were written, of all leases for use there ever were."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=30)
        ) as database:
            (sum_,) = database.execute("select sum(output_tokens) from use_of_leases").fetchone()
        return int(sum_ or 0)

    def ask(self, model: str, prompt: str, tokens: int) -> tuple[Stream, Answer]:
        """Begin a stream; it, and what comes of it at the proxy."""
        count = len(self.proxy.answers)
        stream = Stream(self.client, model, prompt, tokens)
        until(lambda: len(self.proxy.answers) > count, "it is asked")
        return stream, self.proxy.answers[count]

    def small(self, model: str) -> None:
        """A small request, which is answered whole at once or after what is needed for that."""
        prompt = '{"tokens": 3}' if model == SCRIPTED else "To be"
        stream, answer = self.ask(model, prompt, 3)
        stream.join()
        assert stream.error is None, stream.error
        assert answer.is_whole
        assert answer.texts == 3

    def replica(self, model: str) -> Task:
        """The one that runs."""

        def look() -> Task | None:
            found = self.devnet.client.tasks.list(limit=50).tasks
            name = f"replica of {model}"
            running = [each for each in found if each.name == name and each.phase == "running"]
            return self.devnet.client.tasks.get(running[0].id) if running else None

        task = until(look, f"a replica of {model} runs")
        assert isinstance(task, Task)
        return task

    def asked_to_hold(self, where: str, seconds: float, task: Task) -> tuple[Stream, Answer]:
        """Begin a stream whose server stops there for so long; returns once that server has been asked."""
        name = f"request-{len(self.proxy.answers)}"
        wanted = {"tokens": TOKENS, "hold": where, "seconds": seconds, "name": name}
        stream, answer = self.ask(SCRIPTED, json.dumps(wanted), TOKENS)
        until(lambda: name in self.log_of(task), "its server is asked")
        return stream, answer

    def log_of(self, task: Task) -> str:
        """What a replica's container has said; the engine's word, for its node may be dead."""
        engine = docker.from_env()
        try:
            said: bytes = engine.containers.get(f"neurogrid-{task.leases[-1].id}").logs()
            return said.decode()
        finally:
            engine.close()

    def pid_of(self, who: str, task: Task) -> int:
        """The process that is killed."""
        if who == "container":
            engine = docker.from_env()
            try:
                name = f"neurogrid-{task.leases[-1].id}"
                return int(engine.containers.get(name).attrs["State"]["Pid"])
            finally:
                engine.close()
        return self.devnet.pid(self.name_of(who, task))

    def pids_of(self, who: str, task: Task) -> list[int]:
        """All that stand still: a container's first process has others, which do the work."""
        if who != "container":
            return [self.pid_of(who, task)]
        engine = docker.from_env()
        try:
            shown = engine.containers.get(f"neurogrid-{task.leases[-1].id}").top(ps_args="-eo pid")
            return [int(line[0]) for line in shown["Processes"]]
        finally:
            engine.close()

    def name_of(self, who: str, task: Task) -> str:
        """What the devnet calls it."""
        return self.devnet.node_name(task.node_id) if who == "node" else who

    def until_back(self, who: str, pid: int, task: Task) -> None:
        """Wait until who was killed is there again, where somebody starts it."""
        if who != "container":
            self.devnet.until_restarted(self.name_of(who, task), pid)
        if who == "api":
            until(self._answers, "the coordinator answers")

    def _answers(self) -> bool:
        try:
            return self.devnet.http.get("/status").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def serving(patient: Devnet) -> Iterator[Serving]:
    devnet = patient
    devnet.until_idle()
    before = devnet.until_nothing_owed()
    known = {kind: len(tasks_of(devnet, kind)) for kind in KINDS}
    with (
        told_of_models(
            devnet,
            shipped_catalogue() + _ENTRY,
            account=client_account(devnet),
            replica_idle_s=REPLICA_IDLE_S,
            use_idle_s=USE_IDLE_S,
        ),
        recording_proxy(int(devnet.network.api_url.rpartition(":")[2])) as proxy,
        OpenAI(
            base_url=f"http://127.0.0.1:{proxy.port}/v1",
            api_key=devnet.network.api_key,
            max_retries=0,
            timeout=PATIENCE_S,
        ) as client,
    ):
        made = Serving(devnet, proxy, client)
        yield made
        check_money(made, before, known)


def tasks_of(devnet: Devnet, kind: str) -> list[str]:
    """All tasks of a kind that there were, the newest first."""
    found = devnet.http.get("/tasks", params={"limit": 100}).json()["data"]["tasks"]
    return [each["id"] for each in found if (each["name"] or "").startswith(f"{kind} of ")]


def check_money(serving: Serving, before: Money, known: dict[str, int]) -> None:
    """Everything ends by itself, and what was billed is what was signed, released, and got by who served."""
    devnet = serving.devnet
    until(lambda: not containers(devnet), "no container is left")
    after = devnet.until_nothing_owed()
    new = {kind: tasks_of(devnet, kind) for kind in KINDS}
    new = {kind: found[: len(found) - known[kind]] for kind, found in new.items()}
    released, tokens = 0, 0
    for task_id in new["use"]:
        task = devnet.until_settled(task_id)
        paid = parse_usdc(f"{task.cost:f}")
        released += paid
        if not paid:
            # It was opened at a replica that died meanwhile.
            continue
        found = verify_receipt(devnet.client.tasks.receipt(task_id))
        assert found.billed is not None
        assert found.use is not None
        assert found.use.prices.cost_micro_usdc(found.billed) == paid == found.paid_micro_usdc
        assert devnet.ledger.transaction(found.transaction) is not None
        tokens += found.billed.output_tokens
    assert tokens == serving.billed - serving.billed_before > 0
    kept = sum(parse_usdc(f"{devnet.until_settled(each).cost:f}") for each in new["replica"])
    earned = sum(after.wallets[peer] - amount for peer, amount in before.wallets.items())
    assert earned + after.treasury - before.treasury == released + kept
    assert before.available - after.available == released + kept
    assert after.total == before.total


def containers(devnet: Devnet) -> list[str]:
    """Those that are left of this network's jobs."""
    nodes = {node.peer_id for node in devnet.network.nodes}
    engine = docker.APIClient()
    try:
        # As they are listed: one that is looked at may be gone by then.
        return [
            str(each["Names"])
            for each in engine.containers(all=True, filters={"label": NODE_LABEL})
            if each["Labels"][NODE_LABEL] in nodes
        ]
    finally:
        engine.close()


def check_end(who: str, stream: Stream, answer: Answer) -> None:
    """The client knows that this is not the whole."""
    assert not answer.is_whole
    if who == "api":
        assert isinstance(stream.error, openai.APIConnectionError | httpx.TransportError)
        return
    assert isinstance(stream.error, openai.APIError), stream.error
    assert stream.error.message == answer.events[-1]["error"]["message"]


def check_bill(serving: Serving, billed: int, came: int) -> None:
    """All that came is billed, and nothing else."""
    until(lambda: serving.billed - billed >= came, "what came is noted")
    assert serving.billed - billed == came


# In every run `test_paid_use` kills a container.
@pytest.mark.parametrize(
    "who",
    [
        pytest.param(who, marks=[pytest.mark.nightly] * (who in ("container", "node")))
        for who in WHO
    ],
)
def test_whoever_dies_in_the_middle_leaves_a_clear_end_and_a_bill_for_what_came(
    serving: Serving, who: str
) -> None:
    serving.small(BARD)
    task, billed = serving.replica(BARD), serving.billed
    stream, answer = serving.ask(BARD, "To be, or not", 8000)
    answer.until_texts(BEGUN, PATIENCE_S)
    if who == "api":
        # So many tokens may come in less than the twentieth of a second until they are noted.
        until(lambda: serving.billed > billed, "something of it is noted")
    pid = serving.pid_of(who, task)
    os.kill(pid, signal.SIGKILL)
    stream.join()
    check_end(who, stream, answer)
    serving.until_back(who, pid, task)
    if who == "api":
        # What its coordinator had not noted yet was free.
        assert 0 < serving.billed - billed <= answer.texts
    else:
        check_bill(serving, billed, answer.texts)
    serving.small(BARD)


@pytest.mark.nightly
@pytest.mark.parametrize("who", WHO)
def test_whoever_dies_before_the_first_token_is_replaced_unseen(serving: Serving, who: str) -> None:
    serving.small(SCRIPTED)
    task, billed = serving.replica(SCRIPTED), serving.billed
    stream, answer = serving.asked_to_hold(scripted_server.BEFORE, HELD_S, task)
    pid = serving.pid_of(who, task)
    os.kill(pid, signal.SIGKILL)
    stream.join()
    serving.until_back(who, pid, task)
    if who == "api":
        check_end(who, stream, answer)
        assert serving.billed == billed
    else:
        assert stream.error is None, stream.error
        assert answer.is_whole
        assert answer.texts == TOKENS
        check_bill(serving, billed, TOKENS)
    serving.small(SCRIPTED)


@pytest.mark.nightly
@pytest.mark.parametrize("where", [scripted_server.MIDDLE, scripted_server.END])
@pytest.mark.parametrize("who", WHO)
def test_what_had_come_long_before_somebody_died_is_paid_to_the_last_token(
    serving: Serving, who: str, where: str
) -> None:
    serving.small(SCRIPTED)
    task, billed = serving.replica(SCRIPTED), serving.billed
    stream, answer = serving.asked_to_hold(where, PATIENCE_S, task)
    count = TOKENS // 2 if where == scripted_server.MIDDLE else TOKENS
    answer.until_texts(count, PATIENCE_S)
    until(lambda: serving.billed - billed == count, "what came is noted")
    pid = serving.pid_of(who, task)
    os.kill(pid, signal.SIGKILL)
    stream.join()
    check_end(who, stream, answer)
    serving.until_back(who, pid, task)
    assert answer.texts == count
    check_bill(serving, billed, count)
    serving.small(SCRIPTED)


@pytest.mark.nightly
@pytest.mark.parametrize("who", WHO)
def test_whoever_hangs_in_the_middle_is_given_up_in_time(serving: Serving, who: str) -> None:
    serving.small(SCRIPTED)
    task, billed = serving.replica(SCRIPTED), serving.billed
    stream, answer = serving.asked_to_hold(scripted_server.MIDDLE, HELD_S, task)
    answer.until_texts(TOKENS // 2, PATIENCE_S)
    pids = serving.pids_of(who, task)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        if who == "api":
            # Nobody else could tell its client anything; it goes on where it stood.
            time.sleep(2 * HELD_S)
            os.kill(pids[0], signal.SIGCONT)
        stream.join()
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    if who == "api":
        assert stream.error is None
        assert answer.is_whole
        check_bill(serving, billed, TOKENS)
    else:
        check_end(who, stream, answer)
        check_bill(serving, billed, TOKENS // 2)
    serving.small(SCRIPTED)


# In every run `test_kept_answer_crashes` dies at each commit.
@pytest.mark.nightly
def test_a_request_with_a_key_is_answered_and_billed_once_though_its_coordinator_dies_twice(
    serving: Serving,
) -> None:
    serving.small(BARD)
    task, billed = serving.replica(BARD), serving.billed
    key = {"Idempotency-Key": uuid.uuid4().hex}

    def ask() -> Completion:
        # Not through the proxy, which tells answers apart by their connections. No seed: nobody would write the same text again.
        return direct.completions.create(
            model=BARD, prompt="To be, or not", max_tokens=6000, extra_headers=key
        )

    def kill() -> None:
        pid = serving.pid_of("api", task)
        os.kill(pid, signal.SIGKILL)
        serving.until_back("api", pid, task)

    with OpenAI(
        base_url=f"{serving.devnet.network.api_url}/v1",
        api_key=serving.devnet.network.api_key,
        max_retries=0,
        timeout=PATIENCE_S,
    ) as direct:
        with ThreadPoolExecutor(1) as others:
            first = others.submit(ask)
            time.sleep(0.5)
            assert not first.done()
            kill()
            with pytest.raises((openai.OpenAIError, httpx.HTTPError)):
                first.result(PATIENCE_S)
        assert serving.billed == billed
        answer = ask()
        assert answer.usage is not None
        tokens = answer.usage.completion_tokens
        assert serving.billed - billed == tokens > 0
        kill()
        assert ask() == answer
        assert serving.billed - billed == tokens
        with pytest.raises(openai.ConflictError):
            direct.completions.create(model=BARD, prompt="Or not", extra_headers=key)
    serving.small(BARD)


@pytest.mark.nightly
def test_a_machine_that_is_lost_is_replaced_by_another(serving: Serving) -> None:
    serving.small(SCRIPTED)
    task, billed = serving.replica(SCRIPTED), serving.billed
    stream, answer = serving.asked_to_hold(scripted_server.MIDDLE, PATIENCE_S, task)
    answer.until_texts(TOKENS // 2, PATIENCE_S)
    data = ("--data", str(serving.devnet.data))
    lost = str(task.node_id)
    try:
        gone = neurogrid("devnet", "lose", lost, *data)
        assert gone.returncode == 0, gone.stderr
        stream.join()
        check_end("node", stream, answer)
        check_bill(serving, billed, TOKENS // 2)
        serving.small(SCRIPTED)
        assert serving.replica(SCRIPTED).node_id != lost
    finally:
        back = neurogrid("devnet", "restore", lost, *data)
        assert back.returncode == 0, back.stderr
