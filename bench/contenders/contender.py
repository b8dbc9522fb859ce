"""One contender, from outside: its process, what it is told, and what its processes cost."""

import json
import select
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

_REPOSITORY = Path(__file__).parents[2]
# Far beyond what anything here takes (minutes, for a DHT's nodes to join on a busy machine).
_ANSWER_LIMIT_S = 900
_END_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Order:
    """What one order took.

    Attributes:
        ms: from the request to the award, by the clock of whoever ordered.
        center_cpu_ms, nodes_cpu_ms: CPU of whoever ordered, with the server where there is one,
            and of all nodes.
        answer: everything that the contender said about it.
    """

    ms: float
    center_cpu_ms: float
    nodes_cpu_ms: float
    answer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Joined:
    """What the nodes' connections cost the server, each.

    Attributes:
        rss_kib, uss_kib: memory that it has more, resident and its own.
    """

    cpu_ms: float
    rss_kib: float
    uss_kib: float


class Contender:
    """A module of this package in a process of its own; end it by leaving the block."""

    def __init__(self, python: Path, module: str, *arguments: str) -> None:
        # The peers' libraries warn of what their own dependencies have deprecated.
        self._process = subprocess.Popen(
            [str(python), "-W", "ignore", "-m", f"{__package__}.{module}", *arguments],
            cwd=_REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._name = module
        self._server: int | None = self._hear()["server"]
        self._center: tuple[int, ...] = ()
        self._nodes: tuple[int, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None, "a pipe was asked for"
        self._process.stdin.close()
        try:
            self._process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            for process in _tree(self._process.pid):
                psutil.Process(process).kill()
            self._process.wait()

    def join(self, nodes: int) -> Joined | None:
        """Have the nodes connect; what that cost the server, None where there is none."""
        before = _Load.of(self._server)
        workers = self._tell("join")["nodes"]
        after = _Load.of(self._server)
        self._nodes = tuple(pid for worker in workers for pid in _tree(worker))
        self._center = tuple(set(_tree(self._process.pid)) - set(self._nodes))
        if before is None or after is None:
            return None
        return Joined(
            (after.cpu_ms - before.cpu_ms) / nodes,
            (after.rss_bytes - before.rss_bytes) / 1024 / nodes,
            (after.uss_bytes - before.uss_bytes) / 1024 / nodes,
        )

    def order(self) -> Order:
        """Have one order given."""
        center_ms, nodes_ms = _cpu_ms(self._center), _cpu_ms(self._nodes)
        answer = self._tell("order")
        return Order(
            answer["ms"],
            _cpu_ms(self._center) - center_ms,
            _cpu_ms(self._nodes) - nodes_ms,
            answer,
        )

    def _tell(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None, "a pipe was asked for"
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        output = self._process.stdout
        assert output is not None, "a pipe was asked for"
        # It says one line at a time, so nothing of the next one is buffered here.
        if not select.select([output], [], [], _ANSWER_LIMIT_S)[0]:
            raise TimeoutError(f"{self._name} said nothing for {_ANSWER_LIMIT_S} s")
        line = output.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass(frozen=True, slots=True)
class _Load:
    """What a process has used and holds."""

    cpu_ms: float
    rss_bytes: int
    uss_bytes: int

    @classmethod
    def of(cls, pid: int | None) -> "_Load | None":
        if pid is None:
            return None
        memory = psutil.Process(pid).memory_full_info()
        return cls(_cpu_ms((pid,)), memory.rss, memory.uss)


def _tree(pid: int) -> list[int]:
    """A process and all that it started."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def _cpu_ms(pids: Sequence[int]) -> float:
    """CPU of all threads of these processes, to the nanosecond.

    `psutil` counts in ticks of 10 ms, which is as long as an order takes. Source of the clock's
    number: CPUCLOCK_SCHED of a process, Linux's include/linux/posix-timers.h.
    """
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids) / 1e6
