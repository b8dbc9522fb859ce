"""Requests to models, answered by their replicas: a place, a connection, a stream; and another replica where one fails.

This is what whoever speaks with clients asks (`ModelServing.ask`). A replica that fails before the first byte of its answer is
replaced unseen; after it nobody could tell what the client has had, so the answer breaks off with a clear reason.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.first_byte import Work, WorkKind
from neurogrid_marketplace.job_stream import StreamRefusal
from neurogrid_marketplace.replica_routing import ANYBODY, Preferences
from neurogrid_marketplace.task import Lease
from neurogrid_marketplace.tenant_queue import QueueFull, Ticket
from neurogrid_marketplace.units import Units

from ..gateway.connection import Hung, ServiceBroken, UsedUp
from ..market.job_stream import JobStream
from ..paid_use.meter import Meter, NotOpened
from ..services.errors import Conflict, NoReplica, RateLimited, Refused, Unavailable
from ..store.accounts import Account
from .asking import LIMITS, Answer, AskLimits, Question, ask
from .exchanges import Exchanges
from .orders import ReplicaSettings, limits_of
from .pool import InVain, NobodyAllowed, Pool, Replica, Wish, with_failure
from .status import ModelStatus, status_of

_log = logging.getLogger(__name__)

# Replicas that one request is tried at. With rests between them a market process that is started again is outlived.
TRIES_MAX: Final = 3
# What a server says that does not take the request: it is full, is being loaded, or is about to end.
_NOT_TAKEN: Final = frozenset((429, 502, 503, 504))
# With such a status it says that it could not do it: it is not known to be well.
_FAILED: Final = 500
_REFUSED: Final = 400
_RETRY_AFTER_S: Final = 5
_RETRY_AFTER_MAX_S: Final = 600
# What a node says of a lease for use that has ended, or soon does.
_ANOTHER: Final = frozenset(
    each.value
    for each in (StreamRefusal.NO_LEASE, StreamRefusal.NOT_RUNNING, StreamRefusal.USED_UP)
)
_LEASES_MAX: Final = 2
_UNPAID_PAUSE_S: Final = 0.25
_UNPAID_LIMIT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a model.

    Attributes:
        model_id: of the catalogue.
        tenant: whose it is, and who pays for it: the account's id.
        question: as the server gets it.
        session: see `Wish`.
        wait_s: how long it waits for a replica, at most.
        most: what its answer comes to at most; None: nobody knows.
        must_fit: it is not begun where the account cannot spare so much: of an answer that comes whole nothing can be paid
            in part.
        work: what its server does before it says anything; None: nobody knows.
    """

    model_id: str
    tenant: str
    question: Question
    preferences: Preferences = ANYBODY
    session: str = ""
    wait_s: float = 300.0
    limits: AskLimits | None = None
    most: Units | None = None
    must_fit: bool = False
    work: Work | None = None


class Payments(Protocol):
    """By which leases accounts pay for asking replicas; a `paid_use.leases.UseLeases`."""

    async def require_able(self, account_id: str, model_id: str) -> None:
        """See that an account can pay for anything of a model; raises `InsufficientCredits`."""

    async def meter(
        self, asked: "Asked", task_id: str, of: Lease, *, is_funded: bool = False
    ) -> Meter:
        """Of a new request to the replica with this task and lease."""

    def over(self, meter: Meter, of: Lease) -> None:
        """That request is over."""

    def gone(self, meter: Meter, of: Lease) -> None:
        """Its node takes nothing more under that lease."""


class Served:
    """An answer that has begun.

    Attributes:
        answer: its status and headers.
        task_id, lease: of the replica.
        limits: how long it may take.
        meter: who passes pieces on tells it; see `paid_use.meter`.
        waited_ms: until it began.
        tries: at how many replicas.
        began_s: when; Unix time.
    """

    def __init__(
        self,
        pool: Pool,
        replica: Replica,
        lease: Lease,
        answer: Answer,
        meter: Meter,
        at_replica_ms: int,
        limits: AskLimits,
        work: Work | None,
    ) -> None:
        self.answer = answer
        self.limits = limits
        self.meter = meter
        self.task_id = replica.task_id
        self.lease = lease
        self.waited_ms = 0
        self.tries = 1
        self.began_s = 0
        self.ended = False
        self.broken = False
        self._pool = pool
        self._replica = replica
        self._bytes_per_s = 0
        self.at_replica_ms = at_replica_ms
        self._work = work if answer.status < _REFUSED else None
        if work is not None and work.kind is not WorkKind.WRITE:
            self._came(self._work)

    def failed(self) -> None:
        """What it says is no answer, or it never comes to an end: its replica has failed."""
        if not self.broken:
            self.broken = True
            self._pool.failed(self._replica)

    def hung(self) -> None:
        """It says something, and nothing of an answer, for too long."""
        if not self.broken:
            self.broken = True
            self._pool.hung(self._replica, round(1000 * self.limits.first_byte_s))

    async def pieces(self) -> AsyncIterator[bytes]:
        """The answer's body as it comes; once.

        Raises:
            ServiceBroken: it broke off; says where and why. `UsedUp`: nobody could pay for the rest.
        """
        loop = asyncio.get_running_loop()
        since_s, size = loop.time(), 0
        try:
            async for piece in self.answer.pieces():
                size += len(piece)
                yield piece
        except UsedUp:
            # That is no failure of the replica's.
            self.broken = True
            raise
        except ServiceBroken as error:
            # Whose escrow does not come is broken off, too.
            self.broken = self.meter.paid_by.is_ahead
            self.failed()
            raise ServiceBroken(
                f"the replica at node {self.lease.node_id} broke off after {size} bytes of its answer: {error}"
            ) from error
        self.ended = True
        took_s = loop.time() - since_s
        self._bytes_per_s = round(size / took_s) if took_s > 0.01 else 0

    def over(self) -> str:
        """Whoever asked has left; what came of it, as one of `pool.RESULTS`."""
        if self.broken:
            return "broken"
        if not self.ended:
            return "left"
        if self.answer.status < _FAILED:
            self._pool.answered(self._replica, self.at_replica_ms, self._bytes_per_s)
        if self._work is not None and self._work.kind is WorkKind.WRITE:
            self._came(replace(self._work, size=self.meter.units.output_tokens))
        return "answered"

    def _came(self, work: Work | None) -> None:
        if work is not None:
            first_bytes = self._replica.first_bytes
            self._replica.first_bytes = first_bytes.came(work, self.at_replica_ms)


class ModelServing:
    """See the module.

    Args:
        pools: by the model's id.
        open_stream: to a node; raises `MarketAway`.
        payer: the account that pays for the replicas, by its id or wallet.
        payments: by which leases accounts pay for asking them.

    Attributes:
        limits: how long an answer may take, where who asks does not say.
    """

    def __init__(
        self,
        pools: Mapping[str, Pool],
        open_stream: Callable[[str], Awaitable[JobStream]],
        now_ms: Callable[[], int],
        payer: str,
        payments: Payments,
    ) -> None:
        self.pools = pools
        self._payer = payer
        self.payments = payments
        self.exchanges = Exchanges(open_stream)
        self.limits = LIMITS
        self._now_ms = now_ms

    @asynccontextmanager
    async def ask(self, asked: Asked) -> AsyncIterator[Served]:
        """Have a replica answer; whoever leaves before the end has the container stop.

        Raises:
            RateLimited: too many requests wait, in all or of this account.
            InsufficientCredits, QuotaExceeded: the account cannot pay for any.
            NoReplica: no node takes one of this model, or the request allows none of those that there are.
            Unavailable: no replica answered; says why.
            UsedUp: nobody could pay for what it answered.
        """
        pool = self.pools.get(asked.model_id)
        if pool is None:
            raise Unavailable(f"no replicas of {asked.model_id} are kept by this coordinator")
        wish = Wish(asked.tenant, asked.preferences, asked.session)
        if not pool.has_place:
            # Who waits takes a place in the queue, and has a replica begun that the operator pays for.
            await self._require_able(pool, asked)
        ticket = self._admitted(pool, wish, asked)
        async with AsyncExitStack() as stack:
            try:
                served = await self._begin(stack, pool, asked, ticket, wish)
            except BaseException as error:
                failed = isinstance(error, Refused | UsedUp)
                pool.tally.requests["failed" if failed else "left"] += 1
                raise
            try:
                yield served
            finally:
                pool.tally.requests[served.over()] += 1

    def is_payer(self, account: Account) -> bool:
        """Whether this account pays for the replicas."""
        return self._payer in (account.id, account.wallet)

    def status(self) -> list[ModelStatus]:
        """How the replicas of each model are, in the catalogue's order."""
        return [status_of(pool, self._now_ms()) for pool in self.pools.values()]

    def status_of(self, model_id: str) -> ModelStatus | None:
        """How those of one are; None where none are kept."""
        pool = self.pools.get(model_id)
        return None if pool is None else status_of(pool, self._now_ms())

    async def _require_able(self, pool: Pool, asked: Asked) -> None:
        try:
            await self.payments.require_able(asked.tenant, asked.model_id)
        except Refused:
            pool.tally.requests["refused"] += 1
            raise

    def _admitted(self, pool: Pool, wish: Wish, asked: Asked) -> Ticket:
        if pool.tenant_max and pool.unfinished(wish.tenant) >= pool.tenant_max:
            pool.tally.requests["refused"] += 1
            raise RateLimited(
                _RETRY_AFTER_S,
                what=f"requests to {pool.model_id} at once (at most {pool.tenant_max})",
            )
        try:
            return pool.admit(wish, self._now_ms() + round(1000 * asked.wait_s))
        except QueueFull as error:
            pool.tally.requests["refused"] += 1
            whose = "of this account" if error.of_tenant else "of all accounts"
            raise RateLimited(
                _RETRY_AFTER_S, what=f"requests {whose} that wait for {pool.model_id}"
            ) from error
        except InVain as error:
            pool.tally.requests["failed"] += 1
            raise _in_vain(pool, error) from error
        except NobodyAllowed as error:
            pool.tally.requests["refused"] += 1
            raise _not_allowed(pool, error) from error

    async def _begin(
        self, stack: AsyncExitStack, pool: Pool, asked: Asked, ticket: Ticket, wish: Wish
    ) -> Served:
        tries, hangs, why = 0, 0, ""
        while tries < TRIES_MAX:
            try:
                replica = await pool.take(ticket, wish)
            except InVain as error:
                raise _in_vain(pool, error) from error
            except NobodyAllowed as error:
                raise _not_allowed(pool, error) from error
            if replica is None:
                raise _no_replica(pool, asked, why)
            tries += 1
            async with AsyncExitStack() as attempt:
                attempt.callback(pool.give_back, replica, wish.tenant)
                try:
                    limits = self._limits(pool, replica, asked, hangs)
                    served = await self._attempt(
                        attempt, pool, replica, replace(asked, limits=limits)
                    )
                except UsedUp:
                    raise
                except Hung as error:
                    why = f"node {_node(replica)}: {error}"
                    hangs += 1
                    pool.hung(replica, round(1000 * limits.first_byte_s))
                    _log.warning("replica %s of %s: %s", replica.task_id, pool.model_id, error)
                except (ServiceBroken, Unavailable, Conflict) as error:
                    why = f"node {_node(replica)}: {error}"
                    # Who cannot pay, or is not let in, takes it from nobody else.
                    if not isinstance(error, NotOpened):
                        pool.failed(replica)
                else:
                    answer = served.answer
                    if answer.status not in _NOT_TAKEN or tries == TRIES_MAX:
                        served.tries = tries
                        served.began_s = self._now_ms() // 1000
                        served.waited_ms = self._now_ms() - ticket.since_ms
                        pool.began(wish, replica, served.waited_ms, served.at_replica_ms)
                        stack.push_async_exit(attempt.pop_all())
                        return served
                    why = f"node {_node(replica)}: its server answered {answer.status}"
                    again = answer.header(b"retry-after")
                    rest_s = int(again) if again.isascii() and again.isdigit() else 0
                    pool.busy(replica, 1000 * min(rest_s, 3600))
            wish = with_failure(wish, replica)
        raise Unavailable(
            f"{tries} replicas of {pool.model_id} did not answer; the last one, {why}"
        )

    def _limits(self, pool: Pool, replica: Replica, asked: Asked, hangs: int) -> AskLimits:
        """How long an answer of this replica may take, where ``hangs`` have said nothing to this request."""
        limits = asked.limits or self.limits
        known_ms = replica.first_bytes.limit_ms(
            asked.work, 1000 * pool.limits.first_byte_limit_s, hangs
        )
        return replace(limits, first_byte_s=min(limits.first_byte_s, known_ms / 1000))

    async def _attempt(
        self, attempt: AsyncExitStack, pool: Pool, replica: Replica, asked: Asked
    ) -> Served:
        lease = replica.lease
        if lease is None:
            raise Unavailable("its container has just ended")
        meter, answer, took_ms = await self._paid(attempt, pool, replica.task_id, lease, asked)
        meter.begin(answer.status, answer.header)
        limits = asked.limits or self.limits
        return Served(pool, replica, lease, answer, meter, took_ms, limits, asked.work)

    async def _paid(
        self, attempt: AsyncExitStack, pool: Pool, task_id: str, of: Lease, asked: Asked
    ) -> tuple[Meter, Answer, int]:
        """Ask under a lease for use; under another one where the node lets nothing more through by the first."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _UNPAID_LIMIT_S
        others = 0
        is_funded = False
        while True:
            meter = await self.payments.meter(asked, task_id, of, is_funded=is_funded)
            lease = meter.paid_by.lease
            over = attempt.callback(self.payments.over, meter, of)
            try:
                since_s = loop.time()
                answer = await self._asked(attempt, lease, asked)
                return meter, answer, round(1000 * (loop.time() - since_s))
            except Conflict as error:
                over(meter, of)
                if meter.paid_by.is_ahead and not is_funded:
                    # Its node serves nobody, or nobody more, ahead of an escrow.
                    is_funded = True
                    continue
                reason = error.details.get("reason")
                if reason == StreamRefusal.UNPAID.value:
                    # Vouchers come twice a second.
                    if loop.time() > until_s:
                        raise NotOpened(error.message) from error
                    await asyncio.sleep(_UNPAID_PAUSE_S)
                    continue
                self.payments.gone(meter, of)
                others += 1
                if reason not in _ANOTHER or others >= _LEASES_MAX:
                    raise

    async def _asked(self, attempt: AsyncExitStack, lease: Lease, asked: Asked) -> Answer:
        async with AsyncExitStack() as stack:
            exchange = await stack.enter_async_context(self.exchanges.under(lease))
            limits = asked.limits or self.limits
            answer = await stack.enter_async_context(ask(exchange, asked.question, limits))

            def tell() -> None:
                exchange.is_answered = answer.is_whole

            stack.callback(tell)
            attempt.push_async_exit(stack.pop_all())
            return answer


def _node(replica: Replica) -> str:
    return replica.lease.node_id if replica.lease is not None else "?"


def _in_vain(pool: Pool, error: InVain) -> NoReplica:
    return NoReplica(
        f"no node takes a replica of {pool.model_id} now: {error}",
        {"replicas": len(pool.replicas), "waiting": pool.waiting},
    )


def _not_allowed(pool: Pool, error: NobodyAllowed) -> NoReplica:
    why = ", ".join(f"{count} by {name}" for name, count in sorted(error.reasons.items()))
    return NoReplica(
        f"the request allows none of the replicas of {pool.model_id}: {why} left out",
        {"left_out": dict(error.reasons)},
    )


def _no_replica(pool: Pool, asked: Asked, why: str) -> Unavailable:
    said = f"no replica of {pool.model_id} had a place for this request within {asked.wait_s:g} s"
    more = why or pool.problem
    expected_ms = pool.expected_ms()
    details: dict[str, Json] = {"replicas": len(pool.replicas), "waiting": pool.waiting}
    if expected_ms:
        details |= {
            "expected_start_ms": expected_ms,
            "retry_after": min(_RETRY_AFTER_MAX_S, -(-expected_ms // 1000)),
        }
    return Unavailable(f"{said}: {more}" if more else said, details)


def serving_of(
    settings: ReplicaSettings,
    open_stream: Callable[[str], Awaitable[JobStream]],
    now_ms: Callable[[], int],
    payments: Payments,
) -> ModelServing:
    """What serves these models, with no replica yet."""
    pools = {
        model_id: Pool(
            model_id,
            limits_of(model),
            now_ms,
            tenant_max=model.concurrency,
            prices=model.unit_price.exact(),
        )
        for model_id, model in settings.models.items()
    }
    return ModelServing(pools, open_stream, now_ms, settings.account, payments)
