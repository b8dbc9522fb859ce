"""The replicas of one model as this process knows them, and the requests that wait for a place at one.

What is true of replicas is in the database; here is what changes too often to be there: who is well, who works at what, who waits.
One event loop's; nothing here waits but `take`.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from neurogrid_marketplace.first_byte import FirstBytes
from neurogrid_marketplace.replica_routing import (
    ANYBODY,
    Candidate,
    Health,
    Preferences,
    objections,
    route,
)
from neurogrid_marketplace.replica_scaling import Load, Need, ReplicaLimits, Standing
from neurogrid_marketplace.task import Lease, Phase
from neurogrid_marketplace.tenant_queue import TenantQueue, Ticket
from neurogrid_marketplace.unit_price import by_unit
from neurogrid_marketplace.units import NO_PRICES, UnitPrices
from neurogrid_telemetry.metrics import Durations

from .cold_start import PHASES, ColdStarts

# Whose replica is remembered; the oldest is forgotten.
_SESSIONS_MAX: Final = 4096
# First bytes since the number of ready replicas has changed, from which the slowest tenth is left out.
_FIRST_BYTES_KEPT: Final = 100
_FIRST_BYTES_MIN: Final = 10
# In a row.
_FAILURES_MAX: Final = 2
# So often in a row it has said nothing: whatever it says of its health, it answers nobody.
HANGS_MAX: Final = 3
# A task that has not begun has all of its time before it.
NEVER_MS: Final = 2**62
_SOON_MS: Final = 1000
# One that is not reached for so long is replaced; it may come back, and is let go then if it is one too many.
LOST_AFTER_MS: Final = 20_000
# A pause before the next one is begun that is no longer is waited for.
_PAUSE_MS: Final = 5_000


@dataclass(eq=False, slots=True)
class Replica:
    """One warm server, as its task and its requests show it.

    Attributes:
        begun_at_ms: since when it is wanted.
        phase: of its task.
        lease: that its container runs under; None while it does not.
        ready_at_ms: since when it takes requests; 0: it does not.
        has_been_ready: whether it ever did.
        leaving: it gets no more, because it is let go.
        away_since_ms: since when it is not reached, because its node is not connected or its server does not
            answer; 0: it is.
        ends_at_ms: when its time is over.
        worked_at_ms: when it was asked something last, or had answered.
        first_bytes: how long its answers have taken to begin.
        hangs: so many in a row were given up because it said nothing.
        auctions: so many were looked at that no node won; unwanted: whether nodes were asked in the last.
    """

    task_id: str
    phase: Phase
    begun_at_ms: int = 0
    lease: Lease | None = None
    ready_at_ms: int = 0
    has_been_ready: bool = False
    leaving: bool = False
    away_since_ms: int = 0
    ends_at_ms: int = NEVER_MS
    auctions: int = 0
    unwanted: bool = False
    at_work: int = 0
    worked_at_ms: int = 0
    health: Health = field(default_factory=Health)
    first_bytes: FirstBytes = field(default_factory=FirstBytes)
    hangs: int = 0

    @property
    def takes(self) -> bool:
        """Whether it takes requests."""
        return bool(self.ready_at_ms) and not self.leaving and not self.away_since_ms

    @property
    def comes(self) -> bool:
        """Whether it is on its way to take requests for the first time."""
        return not (self.has_been_ready or self.leaving or self.away_since_ms)

    def may_serve(self, now_ms: int) -> bool:
        """Whether it may take requests, now or before long."""
        is_lost = self.away_since_ms and now_ms - self.away_since_ms >= LOST_AFTER_MS
        return not (self.unwanted or self.leaving or is_lost)

    def stands(self) -> Standing:
        """As `replica_scaling` has it."""
        return Standing(
            self.task_id, bool(self.ready_at_ms), self.leaving, self.at_work, self.ends_at_ms
        )

    @property
    def state(self) -> str:
        """In a word, for people and metrics: one of `STATES`."""
        if self.leaving:
            return "leaving"
        if self.away_since_ms:
            return "away"
        if self.ready_at_ms:
            return "ready"
        if self.phase is Phase.RUNNING:
            return "loading"
        return "queued" if self.phase in (Phase.QUEUED, Phase.MATCHING) else "starting"


# What can come of a request; see `Tally`.
RESULTS: Final = ("answered", "broken", "failed", "left", "refused")
# What can come of an answer that was drawn to be checked: a marketplace `Judged`; nobody else could be asked; there was no room, no
# money, or no answer.
CHECKED: Final = ("right", "wrong", "undecided", "unanswered", "left_out")
STATES: Final = ("queued", "starting", "loading", "ready", "leaving", "away")


@dataclass(frozen=True, slots=True)
class Wish:
    """By whom a request wants to be served.

    Attributes:
        session: requests with the same one go to the same replica where that can be; "": it is of none.
        tried: replicas that have failed it.
    """

    tenant: str
    preferences: Preferences = ANYBODY
    session: str = ""
    tried: frozenset[str] = frozenset()


class NobodyAllowed(Exception):
    """There are replicas, and the request allows none of them; ``reasons``: how many are left out for which."""

    def __init__(self, reasons: Mapping[str, int]) -> None:
        super().__init__(dict(reasons))
        self.reasons = reasons


class InVain(Exception):
    """No replica will come for a request that waits, as far as can be seen; says why."""


@dataclass(slots=True)
class Tally:
    """What a pool has counted since the api started.

    Attributes:
        requests: by what came of them: "answered", "broken" after the first byte, "failed" before it, "left"
            by the client, "refused".
        begun, lost: replicas that were begun, and that ended when nobody had let them go.
        first_byte: from the request to the first byte of its answer, waiting included.
        cold_start: by phase.
        checks: of answers, by what came of them; one of `CHECKED`.
    """

    requests: Counter[str] = field(default_factory=Counter)
    begun: int = 0
    lost: int = 0
    first_byte: Durations = field(default_factory=Durations)
    cold_start: dict[str, Durations] = field(
        default_factory=lambda: {name: Durations() for name in PHASES}
    )
    checks: Counter[str] = field(default_factory=Counter)


class Pool:
    """See the module.

    Args:
        limits: between what it is scaled.
        tenant_max: how many requests of one account may wait or be at work; 0: as many as the queue lets in.

    Attributes:
        need: what was needed when.
        changed: set when somebody should look at how many there are.
        problem: why there are fewer than are wanted, for people; "" where nothing is known to be wrong.
        failures: replicas in a row that did not come to stay; ``not_before_ms``: no further one is begun before.
        has_room: whether idle replicas of other models could make room for one, or do so now.
        prices: the most that is asked, where a replica's bid does not say it.
    """

    def __init__(
        self,
        model_id: str,
        limits: ReplicaLimits,
        now_ms: Callable[[], int],
        *,
        tenant_max: int = 0,
        queue: TenantQueue | None = None,
        prices: UnitPrices = NO_PRICES,
    ) -> None:
        self.model_id = model_id
        self.limits = limits
        self.tenant_max = tenant_max
        self.prices = prices
        self.replicas: dict[str, Replica] = {}
        self.need = Need()
        self.changed = asyncio.Event()
        self.problem = ""
        self.has_room = False
        self.failures = 0
        self.not_before_ms = 0
        self.cold_starts = ColdStarts()
        self.tally = Tally()
        self._now_ms = now_ms
        self._queue = queue or TenantQueue()
        self._waiting: dict[int, tuple[Wish, asyncio.Future[Replica]]] = {}
        self._at_work: Counter[str] = Counter()
        self._sessions: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._first_bytes: deque[int] = deque(maxlen=_FIRST_BYTES_KEPT)
        self._ready_then = 0

    # --- who asks ---------------------------------------------------------------------------------

    def admit(self, wish: Wish, until_ms: int) -> Ticket:
        """Let a request wait for a place.

        Raises:
            QueueFull: too many do, in all or of this account.
            NobodyAllowed: the request allows none.
            InVain: none will come.
        """
        self._require_hope(wish)
        return self._queue.add(wish.tenant, self._now_ms(), until_ms)

    def unfinished(self, tenant: str) -> int:
        """How many requests of an account wait or are at work."""
        return self._at_work[tenant] + sum(
            1 for wish, _ in self._waiting.values() if wish.tenant == tenant
        )

    async def take(self, ticket: Ticket, wish: Wish) -> Replica | None:
        """A place at a replica, once it is this request's turn; None: its time to wait is over. `give_back` in the end.

        Raises:
            NobodyAllowed: those that have come are none that the request allows.
            InVain: none will come.
        """
        future: asyncio.Future[Replica] = asyncio.get_running_loop().create_future()
        self._waiting[ticket.number] = (wish, future)
        self._queue.back(ticket)
        taken = None
        try:
            self.dispatch()
            if not future.done():
                self.changed.set()
                left_s = max(0, ticket.until_ms - self._now_ms()) / 1000
                await asyncio.wait([future], timeout=left_s)
            if future.done():
                taken = future.result()
            return taken
        finally:
            del self._waiting[ticket.number]
            self._queue.remove(ticket)
            if taken is None and future.done() and not future.exception():
                self.give_back(future.result(), wish.tenant)

    def give_back(self, replica: Replica, tenant: str) -> None:
        """A request is over; its place is another's."""
        # Most begin and end between two looks of whoever keeps the replicas.
        self.note_need()
        replica.at_work -= 1
        replica.worked_at_ms = self._now_ms()
        self._at_work[tenant] -= 1
        if not self._at_work[tenant]:
            del self._at_work[tenant]
        self.dispatch()
        if replica.leaving:
            self.changed.set()

    def answered(self, replica: Replica, first_byte_ms: int, bytes_per_s: int) -> None:
        """A replica answered a request to its end."""
        replica.health = replica.health.answered(first_byte_ms, bytes_per_s)

    def failed(self, replica: Replica) -> None:
        """A replica did not answer, or broke off. After some times it takes no more until it was found well."""
        now_ms = self._now_ms()
        replica.health = replica.health.failed(now_ms)
        if replica.health.failures >= _FAILURES_MAX:
            self._takes_no_more(replica)
        self.changed.set()

    def hung(self, replica: Replica, waited_ms: int) -> None:
        """A replica has said nothing for so long. It takes no more until it was found well, and has rested."""
        replica.hangs += 1
        replica.health = replica.health.hung(self._now_ms(), waited_ms)
        self._takes_no_more(replica)
        self.changed.set()

    def _takes_no_more(self, replica: Replica) -> None:
        if replica.ready_at_ms:
            replica.ready_at_ms = 0
            replica.away_since_ms = replica.away_since_ms or self._now_ms()

    def busy(self, replica: Replica, for_ms: int) -> None:
        """A replica says that it takes none for so long; 0: it does not say how long."""
        replica.health = replica.health.busy(self._now_ms(), for_ms)

    def began(self, wish: Wish, replica: Replica, since_asked_ms: int, at_replica_ms: int) -> None:
        """A replica's answer begins.

        Args:
            since_asked_ms: with all that was waited; at_replica_ms: since this replica was asked.
        """
        replica.hangs = 0
        self.tally.first_byte.add(since_asked_ms)
        self._first_bytes.append(at_replica_ms)
        if wish.session:
            key = (wish.tenant, wish.session)
            self._sessions[key] = replica.task_id
            self._sessions.move_to_end(key)
            if len(self._sessions) > _SESSIONS_MAX:
                self._sessions.popitem(last=False)

    def dispatch(self) -> None:
        """Give places that are free to who waits."""
        if not self._waiting or not self.has_place:
            return
        now_ms = self._now_ms()
        for ticket in self._queue.in_turn(self._at_work):
            wish, future = self._waiting[ticket.number]
            last = self._sessions.get((wish.tenant, wish.session), "") if wish.session else ""
            chosen = route(
                list(self._candidates()), wish.preferences, now_ms, last=last, tried=wish.tried
            )
            if chosen is None:
                continue
            replica = self.replicas[chosen.replica_id]
            replica.at_work += 1
            self._at_work[wish.tenant] += 1
            self._queue.served(ticket)
            future.set_result(replica)
            if not self.has_place:
                return

    def dismiss(self) -> None:
        """Let nobody wait for what will not come."""
        for wish, future in self._waiting.values():
            if not future.done():
                try:
                    self._require_hope(wish)
                except (InVain, NobodyAllowed) as error:
                    future.set_exception(error)

    @property
    def is_stuck(self) -> bool:
        """Whether none serves or comes, because no node took those that there are."""
        now_ms = self._now_ms()
        there = self.replicas.values()
        return any(each.unwanted for each in there) and not any(
            each.may_serve(now_ms) for each in there
        )

    def hopeless(self) -> str:
        """Why a request that comes now would wait in vain; "": it need not.

        It would where no node took any of the replicas that there are, or nobody will begin one soon.
        """
        now_ms = self._now_ms()
        if any(each.may_serve(now_ms) for each in self.replicas.values()):
            return ""
        if self.is_stuck and self.has_room:
            return ""
        if self.replicas or self.not_before_ms - now_ms > _PAUSE_MS:
            return self.problem
        return ""

    def _require_hope(self, wish: Wish) -> None:
        """See that a request does not wait in vain.

        Raises:
            NobodyAllowed, InVain: it does.
        """
        hopeless = self.hopeless()
        if hopeless:
            raise InVain(hopeless)
        there = list(self._candidates())
        reasons = objections(there, wish.preferences)
        if there and reasons.total() == len(there) == len(self.replicas):
            raise NobodyAllowed(reasons)

    # --- what there is ----------------------------------------------------------------------------

    def load(self) -> Load:
        """What its replicas have to do now."""
        ready = sum(each.takes for each in self.replicas.values())
        if ready != self._ready_then:
            self._ready_then = ready
            self._first_bytes.clear()
        return Load(self.waiting, self.at_work, ready, self._slow_ms())

    def note_need(self) -> None:
        """Remember how many replicas are needed now."""
        self.need = self.need.seen(self.limits, self.load(), self._now_ms())

    @property
    def waiting(self) -> int:
        """How many requests wait for a place."""
        return len(self._queue)

    @property
    def at_work(self) -> int:
        """How many are worked at."""
        return self._at_work.total()

    def waits_since_ms(self) -> int | None:
        """Since when the one waits that waits longest; None where none does."""
        return self._queue.oldest_since_ms()

    def expected_ms(self) -> int | None:
        """How long a request that comes now waits for a replica to be ready: 0 where one is; None: nobody knows."""
        if any(each.takes for each in self.replicas.values()):
            return 0
        whole_ms = self.cold_starts.expected_ms()
        begun = [each.begun_at_ms for each in self.replicas.values() if each.comes]
        if whole_ms is None or not begun:
            return whole_ms
        # What takes longer than it usually does may be there at any moment.
        return max(_SOON_MS, min(begun) + whole_ms - self._now_ms())

    @property
    def has_place(self) -> bool:
        """Whether a replica could take one more request now."""
        return any(each.has_place for each in self._candidates())

    def _slow_ms(self) -> int:
        if len(self._first_bytes) < _FIRST_BYTES_MIN:
            return 0
        return sorted(self._first_bytes)[len(self._first_bytes) * 9 // 10]

    def _candidates(self) -> Iterator[Candidate]:
        for each in self.replicas.values():
            if each.takes and each.lease is not None:
                lease = each.lease
                prices = lease.unit_prices
                yield Candidate(
                    each.task_id,
                    lease.node_id,
                    lease.wallet,
                    lease.region,
                    each.at_work,
                    self.limits.concurrency,
                    each.health,
                    by_unit(self.prices if prices is None else prices),
                )


def with_failure(wish: Wish, replica: Replica) -> Wish:
    """The same request, which this replica has failed."""
    return replace(wish, tried=wish.tried | {replica.task_id})
