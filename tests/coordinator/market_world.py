"""A small market for tests: nodes that keep the real rules, a chain of dictionaries, a clock to turn.

The coordinator under test is built from its real parts on a real database. It can be crashed after
any commit and built again; nodes and chain stay, as they would.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection

from coordinator.fake_chain import FakeChain
from coordinator.fake_nodes import FakeMarket, FakeNode
from coordinator.fake_parties import COORDINATOR, DEPLOYMENT, DOMAIN, NETWORK, SESSION, Clock
from coordinator.places import place_in
from coordinator.records import NOW_MS, new_task, wallet
from neurogrid_coordinator.files.artifacts import LeaseTokens
from neurogrid_coordinator.files.checkpoints import CheckpointDesk
from neurogrid_coordinator.files.disk_blobs import DiskBlobs
from neurogrid_coordinator.money.client_funds import ClientFunds
from neurogrid_coordinator.money.evidence import ReceiptDesk
from neurogrid_coordinator.money.settler import Settler
from neurogrid_coordinator.money.vouchers import VoucherDesk
from neurogrid_coordinator.store import accounts, leases, tasks
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.feed import Feed
from neurogrid_coordinator.store.leases import LeaseRow
from neurogrid_coordinator.tasks import steps
from neurogrid_coordinator.tasks.attendance import Attendance
from neurogrid_coordinator.tasks.node_desk import NodeDesk
from neurogrid_coordinator.tasks.orchestrator import Orchestrator
from neurogrid_coordinator.tasks.outgoing import Outgoing
from neurogrid_coordinator.tasks.starts import StartDesk
from neurogrid_coordinator.trust.comparison_process import Question, answer
from neurogrid_coordinator.trust.comparisons import Comparisons
from neurogrid_coordinator.trust.verifier import Verifier
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import Message
from neurogrid_marketplace.needs import Needs, OutputWanted
from neurogrid_marketplace.task import Phase, Task

# A crash test waits for this at most; a market that gets stuck fails it.
PATIENCE_S = 60.0


@dataclass(slots=True)
class Coordinator:
    """One life of the coordinator's loops."""

    orchestrator: Orchestrator
    settler: Settler
    desk: NodeDesk
    running: list["asyncio.Task[None]"] = field(default_factory=list)


async def compare_here(question: bytes) -> bool:
    """What the process says that compares files."""
    return answer(msgspec.json.decode(question, type=Question))


class World:
    """Everything together. Make it with `world`.

    Attributes:
        patience_s: how long `until` waits; what a real chain takes part in takes longer.
    """

    def __init__(self, database: Database, feed: Feed, blobs: DiskBlobs) -> None:
        self.database = database
        self.feed = feed
        self.blobs = blobs
        self.clock = Clock()
        self.chain = FakeChain(self.clock)
        self.market = FakeMarket(self)
        self.nodes: dict[str, FakeNode] = {}
        self.account: accounts.Account
        self.lives = 0
        self.patience_s = PATIENCE_S
        self._life: Coordinator | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._lines: dict[str, asyncio.Lock] = {}
        self.failures: list[BaseException] = []
        # Nodes about which findings were stored, as often as that was.
        self.found_out: list[str] = []
        # Nodes that reported a start, as often as they did.
        self.measured: list[str] = []
        # What the client has free on the chain, and which tasks are drawn for a check.
        self.deposit_micro_usdc = 1_000_000_000
        # Reads files as the process does that `test_comparisons` starts, at once.
        self.compare: Callable[[bytes], Awaitable[bool]] = compare_here
        self.checks: Callable[[Task], bool] = lambda _: True

    def node(self, name: str, price_micro_usdc_per_hour: int = 1_000_000) -> FakeNode:
        """A new node; it joins with the next life, or by `join`."""
        node = FakeNode(name, self, price_micro_usdc_per_hour)
        self.nodes[node.node_id] = node
        return node

    async def start(self, database: object = None) -> Coordinator:
        """A new life of the coordinator; nodes that are there join it."""
        store: Any = database or self.database
        vouchers = VoucherDesk(SESSION, DOMAIN)
        receipts = ReceiptDesk(
            sign=COORDINATOR.sign,
            network=NETWORK,
            coordinator=peer_id_of(COORDINATOR.public_key),
            deployment=DEPLOYMENT,
            vouchers=vouchers,
        )
        attendance = Attendance(self.clock())
        outgoing = Outgoing(self.market)
        starts = StartDesk(
            vouchers=vouchers,
            tokens=LeaseTokens(b"t" * 32),
            artifacts_url=lambda: "http://c/a",
            addresses_of=lambda node_id: (f"/ip4/192.0.2.1/tcp/1/p2p/{node_id}",),
        )

        async def nothing_missing(action: object) -> str:
            return ""

        settler = Settler(
            database=store,
            feed=self.feed,
            chain=self.chain,
            vouchers=vouchers,
            receipts=receipts,
            starts=starts,
            tell=outgoing.tell,
            follow=lambda step: orchestrator.follow(step),
            now_ms=self.clock,
        )
        orchestrator = Orchestrator(
            database=store,
            feed=self.feed,
            market=self.market,
            outgoing=outgoing,
            attendance=attendance,
            settle=settler.changed,
            start_of=starts.start_of,
            check_outputs=nothing_missing,
            found_out=self.found_out.append,
            look_at_group=Verifier(
                database=store,
                funds=self.funds,
                comparisons=Comparisons(self.blobs, self.compare),
                is_checked=lambda _, task: self.checks(task),
                now_ms=self.clock,
            ).look,
            now_ms=self.clock,
            turns_max=8,
            sweep_s=0.01,
        )
        desk = NodeDesk(
            database=store,
            feed=self.feed,
            orchestrator=orchestrator,
            attendance=attendance,
            outgoing=outgoing,
            vouchers=vouchers,
            checkpoints=CheckpointDesk(self.blobs),
            settle=settler.changed,
            found_out=self.measured.append,
            now_ms=self.clock,
        )
        life = Coordinator(orchestrator, settler, desk)
        life.running.append(asyncio.create_task(orchestrator.run()))
        await orchestrator.ready.wait()
        life.running.append(asyncio.create_task(settler.run()))
        self.lives += 1
        self._life = life
        for node in self.nodes.values():
            self.join(node)
        return life

    async def stop(self) -> None:
        """kill -9: nothing is tidied up."""
        life, self._life = self._life, None
        if life is not None:
            for task in life.running:
                task.cancel()
            await asyncio.gather(*life.running, return_exceptions=True)
        for errand in list(self._errands):
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)
        # What was on its way to the disk is there or not before the next life begins.
        await self.database.write(lambda conn: None)

    async def uploaded(self, path: str, data: bytes) -> OutputFile:
        """An output whose bytes are here."""

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        blob = await self.blobs.put(chunks(), size_bytes_max=len(data))
        return OutputFile(path, blob.sha256, blob.size_bytes)

    def join(self, node: FakeNode) -> None:
        """A node connects (again)."""
        if node.behaviour.deaf:
            return

        async def join() -> None:
            life = self._life
            if life is not None:
                async with self._line(node):
                    await life.desk.on_node(node.node_id, "joined", node.view())
                for lease_id in list(node.leases):
                    await node.attach(lease_id)

        self.post(join())

    def beat(self, node: FakeNode) -> None:
        """A node's heartbeat; while an earlier one is being taken, there is none."""

        async def beat() -> None:
            life = self._life
            if life is not None and not self._line(node).locked():
                async with self._line(node):
                    await life.desk.on_node(node.node_id, "heartbeat", node.view())

        self.post(beat())

    def said(self, node: FakeNode, envelope: Envelope, message: Message) -> None:
        """A node said something: handed on in order, if a coordinator is there."""

        async def hand_on() -> None:
            life = self._life
            if life is not None:
                async with self._line(node):
                    await life.desk.on_message(node.node_id, envelope, message)

        self.post(hand_on())

    def post(self, errand: Any) -> None:
        """Have something happen soon."""

        async def guarded() -> None:
            try:
                await errand
            except Exception as error:
                self.failures.append(error)
                raise

        def ended(task: asyncio.Task[None]) -> None:
            self._errands.discard(task)
            # One that was cancelled before it began would warn that nobody awaited it.
            errand.close()

        task = asyncio.create_task(guarded())
        self._errands.add(task)
        task.add_done_callback(ended)

    async def submit(self, **kwargs: Any) -> str:
        """Submit a task as the service layer does."""
        new = new_task(self.account.id, now_ms=self.clock(), **kwargs)
        row, _ = await self.database.write(tasks.insert_new, new, self.clock())
        self.wake(tasks.TaskState(row.state, row.account_id, row.priority))
        return row.id

    def wake(self, state: tasks.TaskState) -> None:
        """Tell the orchestrator, if there is one, of a task that was stored."""
        if self._life is not None:
            self._life.orchestrator.wake(state)

    async def group(self, task_id: str) -> list[tasks.TaskRow]:
        """A task and its further runs."""
        return await self.database.read(tasks.group_of, task_id)

    async def funds(self, owner: str) -> ClientFunds:
        await asyncio.sleep(0)
        return ClientFunds(self.deposit_micro_usdc, 0, self.deposit_micro_usdc, 0)

    async def submit_after(self, needed_id: str, output: str = "out.txt", **kwargs: Any) -> str:
        """Submit a task that needs another one and an output of it."""
        new = new_task(self.account.id, now_ms=self.clock(), **kwargs)
        needs = Needs((needed_id,), (OutputWanted("in.txt", needed_id, output),), 1)
        waiting = replace(new, state=replace(new.state, phase=Phase.WAITING, needs=needs))

        def store(conn: Connection) -> tasks.TaskState:
            row, _ = tasks.insert_new(conn, waiting, self.clock())
            # The other one may have ended meanwhile.
            step = steps.look(conn, row.id, self.clock())
            state = step.after if step is not None else row.state
            return tasks.TaskState(state, row.account_id, row.priority)

        stored = await self.database.write(store)
        if self._life is not None:
            self._life.orchestrator.wake(stored)
        return stored.task.task_id

    async def task(self, task_id: str) -> tasks.TaskRow:
        row = await self.database.read(tasks.get, task_id)
        assert row is not None
        return row

    async def leases(self, task_id: str) -> list[LeaseRow]:
        return await self.database.read(leases.of_task, task_id)

    async def until(self, condition: Callable[[], Any], *, turning_ms: int = 0) -> None:
        """Wait until a condition holds, ticking the nodes, and turning the clock if asked to."""
        async with asyncio.timeout(self.patience_s):
            while not await condition():
                assert not self.failures, self.failures
                self.clock.now += turning_ms
                for node in list(self.nodes.values()):
                    if not node.behaviour.deaf:
                        await node.tick()
                        self.beat(node)
                await asyncio.sleep(0.005)

    async def until_phase(self, task_id: str, *phases: Phase, turning_ms: int = 0) -> tasks.TaskRow:
        """Wait until a task is in one of these phases."""

        async def there() -> bool:
            return (await self.task(task_id)).phase in phases

        await self.until(there, turning_ms=turning_ms)
        return await self.task(task_id)

    async def until_settled(self, task_id: str, *, turning_ms: int = 0) -> list[LeaseRow]:
        """Wait until no money of a task is under way, and its nodes have forgotten it."""

        async def settled() -> bool:
            unsettled = await self.database.read(leases.unsettled)
            if turning_ms and self._life is not None:
                # The settler's own pauses are real time: where the clock is turned, they are over.
                for lease_id in unsettled:
                    self._life.settler.changed(lease_id)
            mine = {row.id for row in await self.leases(task_id)}
            held = [
                lease_id
                for node in self.nodes.values()
                if not node.behaviour.deaf
                for lease_id in node.leases
                if lease_id in mine
            ]
            return not held and not unsettled

        await self.until(settled, turning_ms=turning_ms)
        return await self.leases(task_id)

    def _line(self, node: FakeNode) -> asyncio.Lock:
        # One at a time for each node, as the market hands on.
        return self._lines.setdefault(node.node_id, asyncio.Lock())


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """A market with an account and no node; the coordinator is not running yet."""
    async with Database.open(place_in(folder)) as database:
        made = World(database, Feed(), DiskBlobs(folder / "artifacts"))
        made.blobs.prepare()
        made.account = await database.write(accounts.create, "Ada", wallet("ada"), NOW_MS)
        try:
            yield made
        finally:
            await made.stop()
