"""A model that stays, through everything: from nothing to a stream of tokens, through deaths, and back to nothing."""

import os
import signal
import threading
import time
from typing import Any

import docker
import httpx
import pytest

from acceptance.network import REPLICA_IDLE_S, Devnet, until
from neurogrid.models import Task

pytestmark = [pytest.mark.processes, pytest.mark.engine]

MODEL = "bard-1m"
COMPLETIONS = "/model-servers/v1/completions"


def replicas(devnet: Devnet) -> list[Task]:
    """Those that have not ended."""
    found = devnet.models_client.tasks.list(kind="replica", name=f"replica of {MODEL}").tasks
    return [task for task in found if not task.ended]


def asked(tokens: int) -> dict[str, Any]:
    return {
        "model": MODEL,
        "prompt": "To be, or not",
        "max_tokens": tokens,
        "stream": True,
        "seed": 1,
    }


def tokens_of(devnet: Devnet, tokens: int = 20) -> tuple[str, int]:
    """Ask once; the replica that answered, and how many events its stream had. Its coordinator may be starting."""

    def ask() -> tuple[str, int] | None:
        try:
            with devnet.models_http.stream(
                "POST", COMPLETIONS, json=asked(tokens), timeout=120
            ) as answer:
                text = "".join(answer.iter_text())
        except httpx.TransportError:
            return None
        if answer.status_code != 200:
            return None
        assert text.endswith("data: [DONE]\n\n"), text[-200:]
        return answer.headers["x-neurogrid-task-id"], text.count('"text"')

    found: tuple[str, int] = until(ask, "the model answers")
    return found


def kill_container(devnet: Devnet, task_id: str) -> None:
    lease = devnet.models_client.tasks.get(task_id).leases[-1]
    engine = docker.from_env()
    try:
        pid = engine.containers.get(f"neurogrid-{lease.id}").attrs["State"]["Pid"]
    finally:
        engine.close()
    os.kill(pid, signal.SIGKILL)


def test_a_model_comes_at_a_request_outlives_deaths_and_goes_when_nobody_asks(
    devnet: Devnet,
) -> None:
    devnet.until_idle()
    assert replicas(devnet) == []
    first, events = tokens_of(devnet)
    assert events == 20
    assert [task.id for task in replicas(devnet)] == [first]

    # In the middle of an answer: a clear end, and another replica for the next request.
    begun = threading.Event()

    def kill_it() -> None:
        assert begun.wait(60)
        kill_container(devnet, first)

    killing = threading.Thread(target=kill_it)
    killing.start()
    with devnet.models_http.stream("POST", COMPLETIONS, json=asked(8000)) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_raw()
        next(pieces)
        begun.set()
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)
    killing.join()
    second, _ = tokens_of(devnet)
    assert second != first

    # Its node, and who leads to it: the container goes on, and is found again.
    node = devnet.node_name(devnet.models_client.tasks.get(second).node_id)
    devnet.kill(node)
    tokens_of(devnet)
    devnet.restart_coordinator()
    idle_since_s = time.monotonic()
    tokens_of(devnet)

    replicas_of = devnet.http.get(f"/models/{MODEL}").json()["data"]["replicas"]
    assert (replicas_of["ready"] >= 1, replicas_of["waiting"]) == (True, 0)
    until(lambda: not replicas(devnet), "nobody asks, and it goes")
    assert time.monotonic() - idle_since_s >= REPLICA_IDLE_S
