"""Keeping as many replicas of each model as there should be: begins them, follows them, and lets them go.

A replica is a task of the operator's account, of kind `REPLICA_KIND`; which there are is what the database says, so there is nothing
beside it that could come to differ. One is stored only where its model has not too many, in the same transaction; whoever dies
between any two steps finds after it what there is, and goes on from that. Only who leads keeps replicas.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.replica_scaling import Need, again_after_ms, plan
from neurogrid_marketplace.spread import MAX_AVOIDED, Avoid
from neurogrid_marketplace.task import TERMINAL, Lease, Phase
from neurogrid_telemetry.log_lines import named

from ..log_events import CoordinatorEvent
from ..services.errors import Refused, Unavailable
from ..services.submission import REPLICA_KIND, Submission
from ..services.tasks import Tasks
from ..store import accounts, events, model_checks, task_lists, tasks
from ..store.accounts import Account
from ..store.database import Database, Overloaded
from ..store.feed import Feed
from ..store.model_checks import SuspicionRow
from ..store.task_lists import TaskFilter
from ..store.tasks import TaskRow
from .cold_start import KEPT_MAX, phases, read_phases
from .orders import ReplicaSettings, missing_weights, replica_submission
from .pool import HANGS_MAX, LOST_AFTER_MS, NEVER_MS, Pool, Replica
from .room import Room
from .serving import ModelServing

_log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
# So often a server that is being loaded is asked whether it is ready.
_PROBE_S: Final = 0.25
_PROBE_MAX_S: Final = 2.0
# One that was ready for so long has come to stay: those before it that did not are forgotten.
_STEADY_MS: Final = 300_000
# How long before a replica's time is over its successor is begun: three cold starts, and at least this; no more than a
# quarter of its time.
_LEAD_MS: Final = 120_000
_FOUND_MAX: Final = 1000
_UNFINISHED: Final = frozenset(Phase) - TERMINAL
_PROBLEM_CHARS_MAX: Final = 500


class TooMany(Exception):
    """There are as many as there may be: somebody else has begun one."""


class ReplicaUpkeep:
    """See the module.

    Args:
        request_cancel: of the orchestrator; raises `LookupError`.
        connected: ids of the nodes that are; offers: theirs.
        is_well: whether the server of a lease's job is, as far as is known.
    """

    def __init__(
        self,
        settings: ReplicaSettings,
        serving: ModelServing,
        *,
        database: Database,
        feed: Feed,
        tasks: Tasks,
        request_cancel: Callable[[str], Awaitable[Phase]],
        connected: Callable[[], Collection[str]],
        offers: Callable[[], Sequence[Offer]],
        is_well: Callable[[Lease], Awaitable[bool]],
        now_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._serving = serving
        self._pools: Mapping[str, Pool] = serving.pools
        self._database = database
        self._feed = feed
        self._tasks = tasks
        self._request_cancel = request_cancel
        self._connected = connected
        self._is_well = is_well
        self._now_ms = now_ms
        self._adopted = False
        self._charged: Sequence[SuspicionRow] = ()
        self._room = Room(settings, self._pools, offers=offers, end=self._end, now_ms=now_ms)
        self._probes: dict[str, asyncio.Task[None]] = {}

    @property
    def probes(self) -> list[asyncio.Task[None]]:
        """Looks at servers that go on now."""
        return list(self._probes.values())

    async def run(self) -> None:
        """Keep them for ever; cancel it to stop. What runs then, runs on. Where none are to be kept, it ends with the last."""
        try:
            while True:
                try:
                    await self.look()
                except (Overloaded, Unavailable) as error:
                    _log.warning("replicas wait: %s", error)
                if self._adopted and not self._pools:
                    return
                await self._until_changed()
        finally:
            for probe in self.probes:
                probe.cancel()
            await asyncio.gather(*self.probes, return_exceptions=True)
            await self._serving.exchanges.aclose()

    async def look(self) -> None:
        """See what there is, and do what follows from it."""
        if not self._adopted:
            await self._adopt()
            self._adopted = True
        await self._follow()
        self._charged = await self._database.read(model_checks.charged, self._now_ms())
        await self._room.look()
        for pool in self._pools.values():
            await self._keep(pool)
            pool.dispatch()
            pool.dismiss()

    async def _until_changed(self) -> None:
        waits = [asyncio.ensure_future(pool.changed.wait()) for pool in self._pools.values()]
        try:
            if waits:
                await asyncio.wait(waits, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(LOOK_S)
        finally:
            for each in waits:
                each.cancel()
        for pool in self._pools.values():
            pool.changed.clear()

    # --- what there is ----------------------------------------------------------------------------

    async def _adopt(self) -> None:
        """Take up what an earlier life has begun; let go what nobody keeps any more."""
        which = TaskFilter(kinds=frozenset({REPLICA_KIND}), phases=_UNFINISHED)
        rows = await self._database.read(task_lists.list_rows, which, limit=_FOUND_MAX)
        payer = await self._payer()
        now_ms = self._now_ms()
        for row in rows:
            pool = self._pools.get(row.model or "")
            if pool is None or payer is None or row.account_id != payer.id:
                _log.info("replica %s of %s is let go: nobody keeps it", row.id, row.model)
                await self._end(row.id)
                continue
            pool.replicas.setdefault(row.id, Replica(row.id, row.phase, row.created_at_ms))
        for pool in self._pools.values():
            if pool.cold_starts.expected_ms() is None:
                for took_ms in await self._database.read(_last_starts, pool.model_id):
                    pool.cold_starts.add(took_ms)
            # As many as there are were wanted a moment ago.
            count = min(len(pool.replicas), pool.limits.most)
            pool.need = Need((now_ms,) * max(count, len(pool.need.last_ms)))

    async def _follow(self) -> None:
        """See what has become of them."""
        known = {task_id: pool for pool in self._pools.values() for task_id in pool.replicas}
        if not known:
            return

        def read(conn: Connection) -> dict[str, TaskRow | None]:
            return {task_id: tasks.get(conn, task_id) for task_id in known}

        connected = self._connected()
        for task_id, row in (await self._database.read(read)).items():
            pool = known[task_id]
            replica = pool.replicas[task_id]
            if row is None or row.phase in TERMINAL:
                self._ended(pool, replica, row)
                continue
            self._seen(pool, replica, row, connected)
            if _is_stranded(row) and not replica.leaving:
                await self._end(task_id)
                self._ended(pool, replica, row)

    def _seen(self, pool: Pool, replica: Replica, row: TaskRow, connected: Collection[str]) -> None:
        now_ms = self._now_ms()
        replica.phase = row.phase
        lease = row.state.lease if row.phase is Phase.RUNNING else None
        before = replica.lease
        if lease is None or before is None or lease.lease_id != before.lease_id:
            replica.ready_at_ms = replica.away_since_ms = 0
        replica.lease = lease
        if lease is None:
            replica.ends_at_ms = NEVER_MS
            if row.phase not in (Phase.QUEUED, Phase.MATCHING):
                replica.auctions, replica.unwanted = row.state.auctions, False
            elif row.phase is Phase.QUEUED and row.state.auctions > replica.auctions:
                replica.auctions = row.state.auctions
                # Where no node is connected, nobody was asked.
                replica.unwanted = bool(connected)
                pool.problem = row.state.last_explanation[:_PROBLEM_CHARS_MAX]
            return
        replica.auctions, replica.unwanted = row.state.auctions, False
        replica.ends_at_ms = lease.started_at_ms + 1000 * row.state.demand.timeout_s
        if lease.reclaimed_at_ms:
            # Its node takes its machine back.
            stops_at_ms = lease.reclaimed_at_ms + 1000 * lease.reclaim_window_s
            replica.ends_at_ms = min(replica.ends_at_ms, stops_at_ms)
        if connected and lease.node_id not in connected:
            # Where no node is connected, it is we who are away.
            replica.away_since_ms = replica.away_since_ms or now_ms
        elif replica.ready_at_ms or not replica.has_been_ready:
            replica.away_since_ms = 0
            if replica.ready_at_ms and now_ms - replica.ready_at_ms >= _STEADY_MS:
                pool.failures = 0
        if not replica.ready_at_ms and lease.lease_id not in self._probes:
            probe = asyncio.create_task(self._probe(pool, replica, row))
            self._probes[lease.lease_id] = probe
            probe.add_done_callback(lambda _: self._probes.pop(lease.lease_id, None))

    def _ended(self, pool: Pool, replica: Replica, row: TaskRow | None) -> None:
        del pool.replicas[replica.task_id]
        if replica.leaving or row is None:
            return
        ending = row.state.ending
        why = ending.message if ending is not None else row.state.last_explanation
        why = why or "it ended by itself"
        pool.tally.lost += 1
        _log.warning(
            "replica %s of %s has ended: %s",
            *(replica.task_id, pool.model_id, why),
            extra=named(CoordinatorEvent.REPLICA_LOST, phase=row.phase),
        )
        if self._now_ms() < replica.ends_at_ms:
            self._gave_up(pool, why)

    def _gave_up(self, pool: Pool, why: str) -> None:
        """One that was to serve does not: the next one waits, the longer the oftener that was so."""
        pool.failures += 1
        pool.not_before_ms = self._now_ms() + again_after_ms(pool.failures)
        pool.problem = why[:_PROBLEM_CHARS_MAX]

    async def _probe(self, pool: Pool, replica: Replica, row: TaskRow) -> None:
        """Look until its server is ready, while it runs under this lease: its node alone can ask it for nothing."""
        lease = row.state.lease
        assert lease is not None, "it runs"
        pause_s = _PROBE_S
        while replica.lease is not None and replica.lease.lease_id == lease.lease_id:
            if await self._is_well(lease):
                await self._ready(pool, replica, row)
                return
            await asyncio.sleep(pause_s)
            pause_s = min(_PROBE_MAX_S, 1.2 * pause_s)

    async def _ready(self, pool: Pool, replica: Replica, row: TaskRow) -> None:
        lease = row.state.lease
        if replica.lease is None or lease is None or replica.lease.lease_id != lease.lease_id:
            return
        if replica.hangs >= HANGS_MAX:
            # Its health says so, and it answers nobody: it is let go.
            return
        now_ms = self._now_ms()
        is_first = not replica.has_been_ready
        replica.ready_at_ms, replica.away_since_ms = now_ms, 0
        replica.has_been_ready = True
        pool.problem = ""
        pool.dispatch()
        pool.changed.set()
        if not is_first:
            return

        def note(conn: Connection) -> dict[str, int] | None:
            timeline = events.milestones(conn, row.id)
            if any(event.kind == events.READY for event in timeline):
                return None  # an earlier life of ours has said so
            took_ms = phases(timeline, lease.funded_at_ms, lease.started_at_ms, now_ms)
            events.append(
                conn, row.id, row.account_id, now_ms, events.READY, {"cold_start_ms": {**took_ms}}
            )
            return took_ms

        try:
            took_ms = await self._database.write(note)
        except Overloaded as error:
            _log.warning("that replica %s is ready is not noted: %s", row.id, error)
            return
        self._feed.notify()
        if took_ms is not None:
            pool.cold_starts.add(took_ms)
            for name, took in took_ms.items():
                pool.tally.cold_start[name].add(took)
            _log.info(
                "replica %s of %s is ready after %d ms",
                *(row.id, pool.model_id, sum(took_ms.values())),
                extra=named(CoordinatorEvent.REPLICA_READY),
            )

    # --- what follows -----------------------------------------------------------------------------

    async def _keep(self, pool: Pool) -> None:
        now_ms = self._now_ms()
        false = await self._let_go(pool)
        pool.note_need()
        wanted = pool.need.wanted(pool.limits, now_ms)
        if not wanted and now_ms >= pool.not_before_ms:
            # Whoever asks next has it tried anew.
            pool.problem = ""
        reached = [
            each
            for each in pool.replicas.values()
            if each.task_id not in false
            and (not each.away_since_ms or now_ms - each.away_since_ms < LOST_AFTER_MS)
        ]
        todo = plan([each.stands() for each in reached], wanted, now_ms, self._lead_ms(pool))
        for task_id in todo.leave:
            pool.replicas[task_id].leaving = True
        for task_id in todo.stay:
            pool.replicas[task_id].leaving = False
        for task_id in todo.end:
            await self._end(task_id)
        begin = todo.begin if now_ms >= pool.not_before_ms else 0
        if self._settings.one_by_one:
            begin = min(begin, all(each.lease is not None for each in pool.replicas.values()))
        for _ in range(begin):
            if not await self._begin(pool):
                break

    async def _let_go(self, pool: Pool) -> Collection[str]:
        """Replicas at nodes that were found not to serve the model as they say, and those that answer nobody: they get no more
        requests, and end with those that they have."""
        nodes = {each.node_id for each in self._charged if each.model == pool.model_id}
        false = [
            each
            for each in pool.replicas.values()
            if each.hangs >= HANGS_MAX or (each.lease is not None and each.lease.node_id in nodes)
        ]
        for each in false:
            if each.hangs >= HANGS_MAX and not each.leaving:
                why = f"replica {each.task_id} has answered none of the last {each.hangs} requests"
                _log.warning("%s; it is let go", why)
                self._gave_up(pool, why)
            each.leaving = True
            if not each.at_work:
                await self._end(each.task_id)
        return {each.task_id for each in false}

    def _lead_ms(self, pool: Pool) -> int:
        cold_ms = pool.cold_starts.expected_ms() or 0
        return min(max(_LEAD_MS, 3 * cold_ms), 250 * self._settings.timeout_s)

    async def _begin(self, pool: Pool) -> bool:
        """Submit one more; whether that was done."""
        model = self._settings.models[pool.model_id]
        account = await self._payer()
        if account is None:
            self._gave_up(pool, "nobody pays: [models] account in coordinator.toml is no account")
            return False
        missing = missing_weights(model)
        if missing:
            self._gave_up(pool, missing)
            return False
        most = 2 * pool.limits.most + sum(
            bool(each.away_since_ms) for each in pool.replicas.values()
        )

        def once(conn: Connection, row: TaskRow) -> None:
            if task_lists.count(conn, _of_model(account, pool.model_id)) > most:
                raise TooMany

        try:
            wanted = replica_submission(model, self._settings)
            detail, _ = await self._tasks.submit(
                account, await self._elsewhere(account, wanted, pool), once
            )
        except Refused as error:
            self._gave_up(pool, error.message)
            return False
        except (TooMany, Overloaded) as error:
            # What is stored may be more than is known here.
            self._adopted = False
            _log.warning(
                "no replica of %s is begun: %s", pool.model_id, error or "there are enough"
            )
            return False
        pool.replicas[detail.row.id] = Replica(detail.row.id, detail.row.phase, self._now_ms())
        pool.tally.begun += 1
        _log.info(
            "replica %s of %s is begun",
            *(detail.row.id, pool.model_id),
            extra=named(CoordinatorEvent.REPLICA_BEGUN),
        )
        return True

    async def _elsewhere(self, account: Account, wanted: Submission, pool: Pool) -> Submission:
        """The same at no owner's who was found not to serve the model; and at another owner's, else on another node, than the model's
        other replicas have, where one could take it now: nodes die whole, and owners are checked by others."""
        charged = [each for each in self._charged if each.model == pool.model_id]
        nodes = tuple(each.node_id for each in charged)
        wallets = tuple(dict.fromkeys(each.wallet for each in charged))
        leases = [each.lease for each in pool.replicas.values() if each.lease is not None]
        there = tuple(sorted({each.node_id for each in leases} - set(nodes)))
        owners = tuple(sorted({each.wallet for each in leases} - set(wallets)))
        for avoid in (
            Avoid((*nodes, *there)[:MAX_AVOIDED], (*wallets, *owners)[:MAX_AVOIDED]),
            Avoid((*nodes, *there)[:MAX_AVOIDED], wallets[:MAX_AVOIDED]),
        ):
            apart = replace(wanted, avoid=avoid)
            if leases and (await self._tasks.explain(account, apart))[0].matching:
                return apart
        return replace(wanted, avoid=Avoid(nodes[:MAX_AVOIDED], wallets[:MAX_AVOIDED]))

    async def _payer(self) -> Account | None:
        return await self._database.read(accounts.named, self._settings.account)

    async def _end(self, task_id: str) -> None:
        try:
            await self._request_cancel(task_id)
        except LookupError:
            _log.info("replica %s is gone already", task_id)


def _last_starts(conn: Connection, model_id: str) -> list[dict[str, int]]:
    """How long each phase took of the last replicas' starts that earlier lives have seen, oldest first."""
    which = TaskFilter(kinds=frozenset({REPLICA_KIND}), model=model_id)
    found = []
    for row in reversed(task_lists.list_rows(conn, which, limit=KEPT_MAX)):
        for event in events.milestones(conn, row.id):
            if event.kind == events.READY:
                found.append(read_phases(event.data.get("cold_start_ms")))
    return [took_ms for took_ms in found if took_ms]


def _is_stranded(row: TaskRow) -> bool:
    """Whether its nodes were lost, and no other takes it: a task is not offered again to who has lost it, but a new one is."""
    state = row.state
    return row.phase is Phase.QUEUED and bool(state.excluded) and state.retry_at_ms > state.since_ms


def _of_model(account: Account, model_id: str) -> TaskFilter:
    return TaskFilter(
        account.id, phases=_UNFINISHED, kinds=frozenset({REPLICA_KIND}), model=model_id
    )
