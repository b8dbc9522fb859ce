"""What a market's processes have more after many jobs: memory, threads, descriptors, containers, files.

Beside them a loop of docker-py alone, which runs a container of the same image for every tenth of our jobs.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression
from typing import Any

import docker
import psutil

from neurogrid_node.container.spec import LABEL_NODE

from .market import Market, wait_until_settled
from .report import Figure, beside
from .starts import IMAGE

# A sample is taken when a round of jobs is over and let go of.
_ROUND = 100
_BARE_EACH = 10
# So many rounds at an end are one value: the least of them is what is kept.
_ROUNDS_AT_AN_END = 3
_LET_GO_LIMIT_S = 30
_LOOK_INTERVAL_S = 0.5
_BARE = "docker-py alone"
# Of the node's two cores, so that all of a round find room.
_CORES = 2.0
_CORES_LEAST = 0.05


@dataclass(frozen=True, slots=True)
class _Held:
    """What a process holds, and how many jobs it had done by then."""

    jobs: int
    private_kib: float
    threads: int
    descriptors: int

    @classmethod
    def by(cls, process: psutil.Process, jobs: int) -> "_Held":
        uss = process.memory_full_info().uss / 1024
        return cls(jobs, uss, process.num_threads(), process.num_fds())


def measure(market: Market, directory: Path, jobs: int, at_once: int) -> list[Figure]:
    """Run the jobs on the market's only node.

    Args:
        directory: the devnet's.
        jobs: in all. The first half fills caches; memory is judged by the second.
        at_once: how many of them run at the same time.
    """
    (node,) = market.network["nodes"]
    coordinator = market.network["coordinator"]
    ours = {
        "node": psutil.Process(node["pid"]),
        "api": psutil.Process(coordinator["api_pid"]),
        "market": psutil.Process(coordinator["market_pid"]),
    }
    client = docker.from_env()
    bare = _Bare()
    held: dict[str, list[_Held]] = {name: [] for name in (*ours, _BARE)}
    started_s = time.monotonic()
    failed = 0
    try:
        with ThreadPoolExecutor(at_once) as workers:
            for done in range(0, jobs, _ROUND):
                of_round = min(_ROUND, jobs - done)
                running = [workers.submit(_run, market, at_once) for _ in range(of_round)]
                for _ in range(0, of_round, _BARE_EACH):
                    bare.run()
                failed += sum(not job.result() for job in running)
                _wait_until_let_go(client, node["peer_id"])
                for name, process in ours.items():
                    held[name].append(_Held.by(process, done + of_round))
                held[_BARE].append(_Held.by(psutil.Process(bare.pid), bare.jobs))
                _say(done + of_round, time.monotonic() - started_s, held)
        left = len(_containers(client, node["peer_id"]))
        files = _files(directory)
        disk_kib = _disk_kib(directory / "nodes"), _disk_kib(directory / "coordinator")
    finally:
        bare.close()
        client.close()
    assert ours["node"].pid == market.node_pid(), "it is the same process"
    return [
        *(_growth(name, held, jobs) for name in ours),
        _more("threads", lambda of: of.threads, held, jobs),
        _more("descriptors", lambda of: of.descriptors, held, jobs),
        Figure("jobs_not_completed", failed, "", "", None, None, jobs),
        Figure("containers_left", left, "", _BARE, 0, None, jobs),
        Figure("workspaces_and_logs_left", files, "", _BARE, 0, None, jobs),
        Figure("node_disk_kib", disk_kib[0], "KiB", "", None, None, jobs),
        Figure("coordinator_disk_kib", disk_kib[1], "KiB", "", None, None, jobs),
    ]


def _growth(name: str, held: dict[str, list[_Held]], jobs: int) -> Figure:
    suffix = "" if name == "node" else f"_{name}"
    return beside(
        f"growth_kib_per_1000_jobs{suffix}",
        _slope(held[name]),
        "KiB",
        _BARE,
        _slope(held[_BARE]),
        jobs,
    )


def _slope(samples: list[_Held]) -> float:
    """KiB of private memory that a thousand jobs add, by least squares over the second half."""
    late = samples[len(samples) // 2 :]
    if len(late) < 2:
        raise SystemExit(f"memory is judged by several rounds of {_ROUND} jobs: ask for more jobs")
    return linear_regression(
        [each.jobs / 1000 for each in late], [each.private_kib for each in late]
    ).slope


def _more(
    what: str, count: Callable[[_Held], int], held: dict[str, list[_Held]], jobs: int
) -> Figure:
    """What stays, of the node: the least of the last rounds less the least of the first."""

    def grown(samples: list[_Held]) -> int:
        counts = [count(each) for each in samples]
        return min(counts[-_ROUNDS_AT_AN_END:]) - min(counts[:_ROUNDS_AT_AN_END])

    return Figure(
        f"more_{what}_after", grown(held["node"]), "", _BARE, grown(held[_BARE]), None, jobs
    )


def _run(market: Market, at_once: int) -> bool:
    """One job, to its settlement; whether it completed."""
    cores = max(_CORES_LEAST, _CORES / at_once)
    task_id = market.submit(IMAGE, ["/bin/true"], cpu_cores=round(cores, 2))
    task = wait_until_settled(market, task_id, look_interval_s=_LOOK_INTERVAL_S)
    return bool(task["status"] == "completed")


class _Bare:
    """docker-py alone, in a process of its own.

    Attributes:
        jobs: how many containers it has run.
    """

    def __init__(self) -> None:
        self.jobs = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.contenders.bare_jobs", IMAGE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._hear()

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self) -> None:
        """One container, from start to end."""
        assert self._process.stdin is not None, "a pipe was asked for"
        self._process.stdin.write("1\n")
        self._process.stdin.flush()
        self._hear()
        self.jobs += 1

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _hear(self) -> None:
        assert self._process.stdout is not None, "a pipe was asked for"
        if not self._process.stdout.readline():
            raise RuntimeError(f"docker-py's loop ended with {self._process.wait()}")


def _say(jobs: int, passed_s: float, held: dict[str, list[_Held]]) -> None:
    mib = ", ".join(f"{name} {of[-1].private_kib / 1024:.1f}" for name, of in held.items())
    print(f"  {jobs} jobs in {passed_s:.0f} s; MiB: {mib}", flush=True)


def _containers(client: docker.DockerClient, node_id: str) -> list[Any]:
    return client.containers.list(all=True, filters={"label": f"{LABEL_NODE}={node_id}"})


def _wait_until_let_go(client: docker.DockerClient, node_id: str) -> None:
    """A lease is settled a moment before its node has forgotten it."""
    deadline_s = time.monotonic() + _LET_GO_LIMIT_S
    while _containers(client, node_id) and time.monotonic() < deadline_s:
        time.sleep(0.05)


def _files(directory: Path) -> int:
    """What leases have left on the node's disk."""
    node = directory / "nodes"
    return sum(1 for _ in node.glob("*/workspaces/lease*")) + sum(1 for _ in node.glob("*/logs/*"))


def _disk_kib(directory: Path) -> int:
    """What its files take."""
    return sum(file.stat().st_blocks for file in directory.rglob("*") if file.is_file()) // 2
