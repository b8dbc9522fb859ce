"""Fakes of what a lease's runner works with. test_fakes.py holds them to what the real ones do.

They outlive a runner, as the engine, the chain and the coordinator outlive the daemon: a restart in a
test is a new runner over the same fakes and the same journal.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypeVar

import trio

from neurogrid_marketplace.canonical import sha256_hex
from neurogrid_marketplace.checkpoint import Checkpoint
from neurogrid_marketplace.checkpoint_manifest import Manifest
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.lease import Collected, ContainerRunning, NodeLease, Ran, Served
from neurogrid_marketplace.messages import (
    Acknowledge,
    Attach,
    CheckpointTaken,
    CoordinatorLeaseMessage,
    Event,
    Log,
    Message,
    NodeLeaseMessage,
    Start,
    VoucherMessage,
    to_body,
    type_name,
)
from neurogrid_marketplace.service import Service
from neurogrid_marketplace.usage import LeaseUsage
from neurogrid_node.journal import Journal, JournalThread
from neurogrid_node.lease.preparation import Prepared
from neurogrid_node.lease.progress import Progress, asks_for_checkpoint, latest
from neurogrid_node.market.start_history import StartTook
from neurogrid_node.money.chain import EscrowUnseen
from neurogrid_node.money.earnings import EscrowGone, Redeemed, VoucherRefused
from node.market import COORDINATOR, LEASE, NODE

P = ParamSpec("P")
T = TypeVar("T")

GOOD_SIGNATURE = "a" * 128
FORGED_SIGNATURE = "b" * 128
PROFILE_HASH = sha256_hex({"profile": "fake"})


class InlineJournal(JournalThread):
    """The real journal without the thread: with a mock clock, time would pass while one works."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.inline = journal
        # Called before and after each call, to let the daemon die there.
        self.passed: Callable[[], None] = lambda: None

    async def call(
        self,
        use: Callable[Concatenate[Journal, P], T],
        *arguments: P.args,
        **options: P.kwargs,
    ) -> T:
        self.passed()
        await trio.lowlevel.checkpoint()
        result = use(self.inline, *arguments, **options)
        self.passed()
        return result


@dataclass
class FakeContainer:
    """One in the engine.

    Attributes:
        left_s: running time until it ends by itself.
        state: created, running, paused or exited.
        starts: how often it was started.
    """

    left_s: float
    exit_code: int
    state: str = "created"
    starts: int = 0
    started_at_ms: int = 0
    finished_at_ms: int = 0
    since_s: float = 0.0
    changed: trio.Event = field(default_factory=trio.Event)

    def turn(self, state: str, now_ms: int) -> None:
        """Change state; the time that has passed counts if it ran."""
        self.look(now_ms)
        if self.state == "exited":
            return
        if self.state == "running":
            self.left_s -= trio.current_time() - self.since_s
        if state == "exited":
            self.finished_at_ms = now_ms
        self.state, self.since_s = state, trio.current_time()
        self.changed.set()
        self.changed = trio.Event()

    def look(self, now_ms: int) -> None:
        """Notice that it has ended by itself, when that was."""
        over_s = trio.current_time() - (self.since_s + self.left_s)
        if self.state == "running" and over_s >= 0:
            self.state = "exited"
            self.finished_at_ms = now_ms - round(over_s * 1000)


class FakeSandbox:
    """A `sandbox.Sandbox` over containers that run for as long as they are told.

    Attributes:
        runs_for_s, exit_code: of the next container.
        prepare_s, start_s: how long preparing takes before the container runs, and after that.
        collect_s, checkpoint_s: how long collecting, and taking a checkpoint, take.
        failures: by operation, what its next calls raise.
        calls: every operation that began, in order.
        warned: by lease, until when its job was told that it runs.
        uses: by lease, what its job uses.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.runs_for_s = 5.0
        self.exit_code = 0
        self.prepare_s = 0.5
        self.start_s = 0.1
        self.collect_s = 0.2
        self.checkpoint_s = 0.2
        self.outputs: tuple[OutputFile, ...] = ()
        self.containers: dict[str, FakeContainer] = {}
        self.logs: dict[str, str] = {}
        self.failures: dict[str, list[Exception]] = {}
        self.calls: list[str] = []
        self.forgotten: list[str] = []
        self.warned: dict[str, int] = {}
        self.uses: dict[str, LeaseUsage] = {}
        self._asked: dict[str, int] = {}
        # Called as each operation begins, to let the daemon die there.
        self.passed: Callable[[], None] = lambda: None
        self._now_ms = now_ms
        self._grown = trio.Event()

    def progress(self, lease_id: str) -> Progress:
        return latest(self.logs.get(lease_id, ""), Progress())

    def usage(self, lease_id: str) -> LeaseUsage | None:
        return self.uses.get(lease_id)

    def served(self, lease_id: str) -> Served | None:
        return None

    def memory_peak_bytes(self, lease_id: str) -> int:
        return 0

    def write_log(self, lease_id: str, text: str) -> None:
        """The program printed something."""
        self.logs[lease_id] = self.logs.get(lease_id, "") + text
        self._grown.set()
        self._grown = trio.Event()

    async def log_grown(self, lease_id: str, beyond_bytes: int) -> None:
        while len(self.logs.get(lease_id, "").encode()) <= beyond_bytes:
            await self._grown.wait()

    async def read_log(self, lease_id: str, offset: int, max_bytes: int) -> str:
        await self._begin("read_log")
        data = self.logs.get(lease_id, "").encode()[offset : offset + max_bytes]
        return data.decode(errors="ignore")

    async def warn(self, lease_id: str, stops_at_ms: int) -> None:
        await self._begin("warn")
        self.warned[lease_id] = stops_at_ms

    async def prepare(self, lease: NodeLease, start: Start, *, resumed: bool) -> Prepared:
        await self._begin("prepare")
        await trio.sleep(self.prepare_s)
        made = FakeContainer(self.runs_for_s, self.exit_code)
        container = self.containers.setdefault(lease.lease_id, made)
        container.look(self._now_ms())
        if container.state == "exited":
            assert resumed, "an ended container is only found after a restart"
            return Prepared(ContainerRunning(container.started_at_ms), None)
        if container.state == "created":
            container.starts += 1
            container.started_at_ms = self._now_ms()
            container.turn("running", self._now_ms())
        started_at_ms = self._now_ms()
        await trio.sleep(self.start_s)
        return Prepared(
            ContainerRunning(started_at_ms), None if resumed else StartTook(300, start.job.image)
        )

    def is_ready(self, lease_id: str) -> bool:
        return False

    async def watch(self, lease_id: str, service: Service | None = None) -> Ran:
        await self._begin("watch")
        container = self.containers.get(lease_id)
        if container is None or container.state == "created":
            return Ran(Outcome.ENGINE_LOST, -1, "the container is gone", self._now_ms())
        while True:
            container.look(self._now_ms())
            if container.state == "exited":
                break
            changed = container.changed
            running = container.state == "running"
            with trio.move_on_at(container.since_s + container.left_s if running else math.inf):
                await changed.wait()
                if lease_id not in self.containers:
                    return Ran(Outcome.ENGINE_LOST, -1, "the container is gone", self._now_ms())
        code = container.exit_code
        return Ran(
            Outcome.EXIT_NONZERO if code else Outcome.COMPLETED,
            code,
            f"exit code {code}",
            container.finished_at_ms,
            container.started_at_ms,
        )

    async def pause(self, lease_id: str) -> None:
        await self._begin("pause")
        container = self.containers.get(lease_id)
        if container is not None and container.state == "running":
            container.turn("paused", self._now_ms())

    async def resume(self, lease_id: str) -> None:
        await self._begin("resume")
        container = self.containers.get(lease_id)
        if container is not None and container.state == "paused":
            container.turn("running", self._now_ms())

    async def stop(self, lease_id: str) -> None:
        await self._begin("stop")
        container = self.containers.get(lease_id)
        if container is None:
            return
        container.look(self._now_ms())
        if container.state in ("running", "paused"):
            container.exit_code = 143
            container.turn("exited", self._now_ms())

    def ends(self, lease_id: str) -> None:
        pass

    def asks_for_checkpoint(self, lease_id: str) -> bool:
        asked = asks_for_checkpoint(self.logs.get(lease_id, "")[self._asked.get(lease_id, 0) :])
        self._asked[lease_id] = len(self.logs.get(lease_id, ""))
        return asked

    async def checkpoint(self, lease: NodeLease, start: Start, number: int) -> Checkpoint | None:
        await self._begin("checkpoint")
        container = self.containers.get(lease.lease_id)
        if container is None or container.state != "running":
            return None
        await trio.sleep(self.checkpoint_s)
        return Manifest(()).checkpoint(number)

    async def collect(
        self, lease: NodeLease, start: Start, *, keep: bool, checkpoint: int = 0
    ) -> Collected:
        await self._begin("collect")
        await trio.sleep(self.collect_s)
        text = self.logs.get(lease.lease_id, "").encode()
        return Collected(
            self.outputs if keep else (),
            "0" * 64,
            len(text),
            PROFILE_HASH,
            checkpoint=Manifest(()).checkpoint(checkpoint) if checkpoint else None,
        )

    async def clear(self, lease_id: str) -> None:
        await self._begin("clear")
        container = self.containers.pop(lease_id, None)
        if container is not None:
            container.changed.set()

    async def forget(self, lease_id: str) -> None:
        await self._begin("forget")
        self.logs.pop(lease_id, None)
        self.forgotten.append(lease_id)

    async def _begin(self, operation: str) -> None:
        self.passed()
        await trio.lowlevel.checkpoint()
        if operation != "read_log":
            self.calls.append(operation)
        if waiting := self.failures.get(operation):
            raise waiting.pop(0)


class FakeEarnings:
    """An `earnings.Earnings` whose escrow is a flag.

    Attributes:
        is_open: whether the escrow is on the chain.
        away: what every call raises meanwhile.
        redeemed: the amounts that closed it.
        takes_s: how long the chain takes.
    """

    def __init__(self) -> None:
        self.is_open = True
        self.away: Exception | None = None
        self.redeemed: list[int] = []
        self.takes_s = 0.2
        self.forgotten: list[str] = []

    async def await_escrow(self, lease: NodeLease, start: Start) -> int:
        await trio.lowlevel.checkpoint()
        if not self.is_open:
            raise EscrowUnseen("did not appear")
        return time.time_ns() // 1_000_000 + 4 * 3_600_000

    async def check_voucher(self, lease: NodeLease, start: Start, voucher: VoucherMessage) -> None:
        await trio.lowlevel.checkpoint()
        if voucher.cumulative_micro_usdc > lease.award.max_cost_micro_usdc:
            raise VoucherRefused("over more than the escrow holds")
        if not voucher.cumulative_micro_usdc:
            return
        if self.away is not None:
            raise self.away
        if not self.is_open:
            raise EscrowGone("its escrow is closed")
        if voucher.signature != GOOD_SIGNATURE:
            raise VoucherRefused("not signed by the escrow's voucher signer")

    async def redeem(self, lease: NodeLease, voucher: VoucherMessage | None) -> Redeemed | None:
        await trio.sleep(self.takes_s)
        amount = voucher.cumulative_micro_usdc if voucher else 0
        if not self.is_open:
            # The outbox knows its own payment.
            return Redeemed("2" * 88, self.redeemed[-1]) if self.redeemed else None
        self.is_open = False
        self.redeemed.append(amount)
        return Redeemed("2" * 88, amount)

    def forget(self, lease_id: str) -> None:
        self.forgotten.append(lease_id)


# What a coordinator grants beyond what it has stored.
GRANT_BYTES = 128 * 1024


class FakeStream:
    """A `lease_stream.LeaseStream` that keeps what is sent while it is connected.

    Its coordinator answers each attach with what it has got so far.

    Attributes:
        attached: what was said first on each stream.
    """

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[NodeLeaseMessage] = []
        self.attached: list[Attach] = []
        self.beats = 0
        self._attach: Callable[[], Attach]
        self._received: Callable[[CoordinatorLeaseMessage], None]

    def is_connected(self) -> bool:
        return self.connected

    def beat_soon(self) -> None:
        self.beats += 1

    async def send(self, message: NodeLeaseMessage) -> None:
        await trio.lowlevel.checkpoint()
        if self.connected:
            self.sent.append(message)

    async def run(
        self, attach: Callable[[], Attach], received: Callable[[CoordinatorLeaseMessage], None]
    ) -> None:
        self._attach, self._received = attach, received
        if self.connected:
            self.open()
        await trio.sleep_forever()

    def open(self) -> None:
        """There is a new stream."""
        self.connected = True
        self.attached.append(self._attach())
        self._received(self.acknowledgement())

    def acknowledgement(self, *, closed: bool = False) -> Acknowledge:
        """What a coordinator says that has stored all that was sent."""
        logs = [message for message in self.sent if isinstance(message, Log)]
        numbers = [message.number + 1 for message in self.sent if isinstance(message, Event)]
        log_bytes = max((log.offset + len(log.text.encode()) for log in logs), default=0)
        events = max(numbers, default=0)
        kept = [item.checkpoint for item in self.sent if isinstance(item, CheckpointTaken)]
        newest = max((each.sequence for each in kept), default=0)
        return Acknowledge(LEASE, events, log_bytes, closed, log_bytes + GRANT_BYTES, newest)

    def taken(self) -> list[NodeLeaseMessage]:
        """What was sent since this was asked last."""
        taken, self.sent = self.sent, []
        return taken


class FakeLink:
    """A `network.CoordinatorLink` that keeps what is sent while it is connected."""

    def __init__(self, coordinator: str = COORDINATOR) -> None:
        self.coordinator = coordinator
        self.connected = True
        self.sent: list[Message] = []
        self.envelopes: list[Envelope] = []
        self.beats = 0

    def is_connected(self) -> bool:
        return self.connected

    async def send(self, message: Message) -> None:
        await self.send_signed(message)

    async def send_signed(self, message: Message) -> Envelope | None:
        await trio.lowlevel.checkpoint()
        if not self.connected:
            return None
        envelope = Envelope(
            version=1,
            network="ng-test",
            type=type_name(message),
            sender=NODE,
            recipient=self.coordinator,
            session="s",
            # Sent again, the same message has another envelope.
            sequence=len(self.envelopes),
            sent_at_ms=0,
            body=to_body(message),
            signature="0" * 128,
        )
        self.sent.append(message)
        self.envelopes.append(envelope)
        return envelope

    def beat_soon(self) -> None:
        self.beats += 1

    def taken(self) -> list[Message]:
        """What was sent since this was asked last."""
        taken, self.sent = self.sent, []
        return taken
