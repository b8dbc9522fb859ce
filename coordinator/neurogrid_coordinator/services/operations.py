"""Operations: tasks of kind "operation", from what is asked for to what came of it.

An operation is a container job like any other: its image, command and resources follow from its name and
parameters (marketplace `operations`). Its result is read from the file that its program leaves.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.conditions import Clause, Condition, Operator, Where
from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.fields import PeerId
from neurogrid_marketplace.operations import (
    OPERATIONS,
    RESULT_BYTES_MAX,
    RESULT_FILE,
    Operation,
    memory_bytes,
    whole_parameters,
)
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.verification import UNVERIFIED, Verification

from ..files.artifacts import BlobStore
from ..store import task_lists
from ..store.accounts import Account
from ..store.database import Database
from ..store.feed import Feed
from ..store.task_lists import TaskFilter
from ..store.tasks import TaskRow
from .errors import InvalidRequest
from .result_wait import ResultWait, output_bytes
from .submission import OPERATION_KIND, OperationAsked, Submission
from .tasks import Tasks

_PROGRAM = ("python3", "/opt/neurogrid/operation.py")
# Of the result, the image's temporary files, and a log.
_DISK_BYTES = 100 * 10**6
# A machine's own words for its processor, and for a GPU, after the node's id.
CPU_DEVICE = "cpu"
GPU_DEVICE = "gpu"
_DEVICE_SEPARATOR = ":"
_PREFERENCES = ("auto", "gpu", "cpu")
_Seconds = Annotated[float, Meta(ge=0, le=10**9)]


@dataclass(frozen=True, slots=True)
class OperationSettings:
    """What the operator says of operations.

    Attributes:
        image: that has their program.
        max_price_micro_usdc_per_hour, timeout_s: of those who do not say.
        wait_s: how long who waits for a result waits, at most; time in the queue included.
    """

    image: str = "neurogrid/operations:1"
    max_price_micro_usdc_per_hour: int = 500_000
    timeout_s: int = 240
    wait_s: int = 300


@dataclass(frozen=True, slots=True)
class OperationWanted:
    """An operation, as asked for; None: the operator's default.

    Attributes:
        parameters: some or all.
        device: where it shall run: "auto", "gpu", "cpu", a node's id, or a device of a node's (`device_id`).
        cpu_millis: thousandths of a core.
        where: further conditions on nodes.
    """

    operation: str
    parameters: Mapping[str, Json] = field(default_factory=dict)
    device: str = "auto"
    name: str = ""
    priority: int = 5
    cpu_millis: int = 1000
    max_price_micro_usdc_per_hour: int | None = None
    timeout_s: int | None = None
    queue_timeout_s: int | None = None
    regions: tuple[str, ...] = ()
    where: Where = ()
    wait_for_node: bool = False
    verification: Verification = UNVERIFIED
    idempotency_key: str | None = None


class Output(msgspec.Struct, frozen=True):
    """What an operation computed.

    Attributes:
        checksum: of all its numbers, by hash function.
        verified: whether it passes the program's own check.
    """

    checksum: Annotated[str, Meta(max_length=128)]
    verified: bool


class Measured(msgspec.Struct, frozen=True):
    """What its program measured: of the operation alone, without start and checks."""

    execution_time_s: _Seconds
    throughput: Annotated[float, Meta(ge=0)]
    throughput_unit: Annotated[str, Meta(max_length=64)]
    memory_used_mb: Annotated[float, Meta(ge=0, le=10**9)]


class OperationResult(msgspec.Struct, frozen=True):
    """What the program left. Read from a node, so it is only what that says.

    Attributes:
        measured: None where results are compared with others' (`submission_of`).
    """

    device_used: Annotated[str, Meta(pattern=r"^(cpu|gpu)\Z")]
    output: Output
    measured: Measured | None = None


@dataclass(frozen=True, slots=True)
class OperationRun:
    """A task of an operation; ``result`` is None before it has completed, or where it can't be read."""

    row: TaskRow
    result: OperationResult | None

    @property
    def device_used(self) -> str:
        """The device's id; "" where it is not known yet."""
        if self.result is None or self.row.node_id is None:
            return ""
        return device_id(self.row.node_id, self.result.device_used)

    @property
    def execution_time_s(self) -> float:
        """As its program measured it; 0 where it did not."""
        measured = self.result.measured if self.result is not None else None
        return measured.execution_time_s if measured is not None else 0.0


@dataclass(frozen=True, slots=True)
class OperationPage:
    """Some operations, newest first; ``total`` counts all of the account."""

    runs: tuple[OperationRun, ...]
    total: int


def device_id(node_id: str, device: str) -> str:
    """How a device of a node is called: ``12D3Koo…:cpu``, ``12D3Koo…:gpu0``."""
    return f"{node_id}{_DEVICE_SEPARATOR}{device}"


def submission_of(wanted: OperationWanted, settings: OperationSettings) -> Submission:
    """The container job that an operation is.

    Raises:
        InvalidRequest: there is no such operation, parameter or device.
    """
    try:
        operation = Operation(wanted.operation)
    except ValueError:
        there = ", ".join(each.value for each in Operation)
        raise InvalidRequest(
            f"operation: there is no {wanted.operation[:64]!r}; there are {there}", "operation"
        ) from None
    try:
        parameters = whole_parameters(operation, wanted.parameters)
    except InvalidValue as error:
        raise InvalidRequest(f"parameters.{error}", "parameters") from error
    where = (*wanted.where, *_device(wanted.device))
    if OPERATIONS[operation].runtime:
        where = (*where, _one("runtime", Operator.HAS, OPERATIONS[operation].runtime))
    command = [*_PROGRAM, operation.value, json.dumps(parameters, separators=(",", ":"))]
    if wanted.verification.mode is not VerifyMode.NONE:
        # How long it took differs from machine to machine, and results are compared by their bytes.
        command.append("--reproducible")
    price = wanted.max_price_micro_usdc_per_hour
    # Libraries start a thread for each core that they see, and they see all of the machine's.
    threads = str(max(1, wanted.cpu_millis // 1000))
    return Submission(
        image=settings.image,
        max_price_micro_usdc_per_hour=(
            settings.max_price_micro_usdc_per_hour if price is None else price
        ),
        timeout_s=wanted.timeout_s or settings.timeout_s,
        requirements=Requirements(
            cpu_millis=wanted.cpu_millis,
            memory_bytes=memory_bytes(operation, parameters),
            disk_bytes=_DISK_BYTES,
            regions=wanted.regions,
        ),
        queue_timeout_s=wanted.queue_timeout_s,
        name=wanted.name or operation.value,
        priority=wanted.priority,
        command=tuple(command),
        environment={"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
        where=where,
        wait_for_node=wanted.wait_for_node,
        verification=wanted.verification,
        operation=OperationAsked(operation, parameters, wanted.device),
        idempotency_key=wanted.idempotency_key,
    )


def _device(device: str) -> Where:
    """The condition that a wish for a device comes to."""
    if device in _PREFERENCES:
        # The program computes on processors. "gpu" prefers, and its result says what was used.
        return ()
    node_id, _, part = device.partition(_DEVICE_SEPARATOR)
    try:
        msgspec.convert(node_id, PeerId)
    except msgspec.ValidationError:
        raise InvalidRequest(
            f"device_preference: is auto, gpu, cpu, a node's id or a device's, not {device[:64]!r}",
            "device_preference",
        ) from None
    if part not in ("", CPU_DEVICE):
        raise InvalidRequest(
            "device_preference: operations compute on processors, not on GPUs yet; "
            f"{device_id(node_id, CPU_DEVICE)} would do",
            "device_preference",
        )
    return (_one("node.id", Operator.EQUAL, node_id),)


def _one(attribute: str, operator: Operator, value: str) -> Clause:
    return Clause((Condition(attribute, operator, (value,)),))


class Operations:
    """What clients do with operations beyond what they do with tasks.

    Args:
        stopping: set when the coordinator stops; nobody waits for a result then.
    """

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        blobs: BlobStore,
        tasks: Tasks,
        settings: OperationSettings,
        stopping: asyncio.Event,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._wait = ResultWait(tasks, feed, settings.wait_s, stopping)
        self._settings = settings

    def submission(self, wanted: OperationWanted) -> Submission:
        """As `submission_of`, with the operator's settings."""
        return submission_of(wanted, self._settings)

    async def run(self, account: Account, wanted: OperationWanted) -> OperationRun:
        """Submit an operation and wait until it has ended; see `ResultWait.run`."""
        return await self._run(await self._wait.run(account, self.submission(wanted)))

    async def list(self, account: Account, *, limit: int, offset: int) -> OperationPage:
        """The account's operations, newest first."""
        which = TaskFilter(account.id, kinds=frozenset({OPERATION_KIND}))

        def read(conn: Connection) -> tuple[list[TaskRow], int]:
            rows = task_lists.list_rows(conn, which, limit=limit, offset=offset)
            return rows, task_lists.count(conn, which)

        rows, total = await self._database.read(read)
        return OperationPage(tuple([await self._run(row) for row in rows]), total)

    async def _run(self, row: TaskRow) -> OperationRun:
        return OperationRun(row, await self._result(row))

    async def _result(self, row: TaskRow) -> OperationResult | None:
        data = await output_bytes(row, self._blobs, RESULT_FILE, RESULT_BYTES_MAX)
        return None if data is None else _decoded(data)


def _decoded(data: bytes) -> OperationResult | None:
    try:
        return msgspec.json.decode(data, type=OperationResult)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
