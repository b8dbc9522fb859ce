"""Runs a model's server as a node does: hardened, and in a network that leads nowhere. Its host alone reaches it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import docker
import httpx
from docker.models.containers import Container

from neurogrid_marketplace.model_catalogue import Model

# A busy machine compiles and loads for a while.
_READY_S = 90


@dataclass(frozen=True)
class Served:
    """A server that is ready; ``loading`` is what `/health` said before it was."""

    url: str
    container: Container
    loading: list[int]

    def load(self) -> dict[str, int]:
        """What it has to do."""
        told: dict[str, int] = httpx.get(f"{self.url}/load").json()
        return told

    def until_idle(self) -> None:
        """Wait until it computes nothing more; fails when that takes longer than a few tokens do."""
        end = time.monotonic() + 10
        while self.load()["server_load"]:
            assert time.monotonic() < end, "it still computes"
            time.sleep(0.02)


@contextmanager
def served(model: Model, *arguments: str) -> Iterator[Served]:
    """The server of an entry of the catalogue.

    Args:
        arguments: after its command's.
    """
    server = model.server
    assert server is not None
    engine = docker.from_env()
    network = engine.networks.create(f"neurogrid-test-{time.monotonic_ns()}", internal=True)
    container = None
    try:
        container = engine.containers.run(
            model.image,
            [*server.command, *arguments],
            detach=True,
            network=network.name,
            read_only=True,
            user="10001:10001",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            pids_limit=64,
            init=True,
            tmpfs={"/tmp": "size=64m"},
            mem_limit=model.needs.memory_bytes,
            memswap_limit=model.needs.memory_bytes,
        )
        container.reload()
        address = container.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"]
        url = f"http://{address}:{server.port}"
        yield Served(url, container, _wait(url + server.health_path, container))
    except BaseException:
        if container is not None:
            print(container.logs(tail=100).decode("utf-8", "replace"))
        raise
    finally:
        if container is not None:
            container.remove(force=True)
        network.remove()
        engine.close()


def _wait(health: str, container: Container) -> list[int]:
    said: list[int] = []
    end = time.monotonic() + _READY_S
    while True:
        try:
            said.append(httpx.get(health).status_code)
        except httpx.TransportError:
            said.append(0)
        if said[-1] == 200:
            return said
        container.reload()
        log = container.logs().decode()
        assert container.status == "running", log
        assert time.monotonic() < end, log
        time.sleep(0.05)


def refused(answers: Sequence[httpx.Response]) -> list[tuple[int, str | None, str | None]]:
    """Status, field and code of each refusal."""
    errors = [(each.status_code, each.json()["error"]) for each in answers]
    assert all(error["message"] for _, error in errors)
    return [(status, error["param"], error["code"]) for status, error in errors]
