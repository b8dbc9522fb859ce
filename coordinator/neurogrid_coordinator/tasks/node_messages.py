"""What a node says about a lease, stored: each message is one transaction, and answered after it.

A node sends everything until it is acknowledged, so every function here may be called again with
the same message. What does not fit (a gap, a broken chain) changes nothing and is answered with what
is stored, from where the node then goes on.
"""

import logging
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from neurogrid_marketplace import payment_chain, settlement
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.exposure import signable_for_use_micro_usdc, signable_micro_usdc
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import (
    Accept,
    Acknowledge,
    Attach,
    CheckpointTaken,
    Claimed,
    Event,
    EventKind,
    Log,
    Message,
    Meter,
    Result,
    Stop,
    VoucherMessage,
)
from neurogrid_marketplace.orchestration import due
from neurogrid_marketplace.payment_chain import NO_VOUCHER
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.task import TERMINAL, Phase
from neurogrid_marketplace.task_actions import Action, SendStart
from neurogrid_marketplace.task_events import (
    Accepted,
    CheckpointKept,
    Finished,
    Reclaimed,
    Started,
)

from ..files import checkpoints
from ..money.vouchers import VoucherDesk, is_final
from ..store import checkpoints as kept_checkpoints
from ..store import evidence, leases, logs, tasks, use
from ..store.leases import LeaseRow
from . import steps
from .steps import Step

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """What follows from a message, now that it is stored.

    Attributes:
        answers: to be sent to the node.
        step: the step of the task that it caused.
        is_last: there is nothing to be said about the lease after the answers.
    """

    answers: tuple[Message, ...] = ()
    step: Step | None = None
    is_last: bool = False


def take_event(
    conn: Connection,
    node_id: str,
    envelope: Envelope,
    event: Event,
    now_ms: int,
    watching_since_ms: int,
    listed: bytes | None = None,
) -> Taken:
    """Store a milestone and move the task.

    Args:
        watching_since_ms: when we began to listen: how long a start took that was funded before,
            we cannot say.
        listed: of the checkpoint that a result names, as `CheckpointDesk.manifest` found it.
    """
    row = _lease_of(conn, node_id, event.lease_id)
    if row is None or _is_closed(row):
        return _without_lease(row, event.lease_id)
    refusal = _refusal(conn, row, event)
    if refusal is not None:
        _log.debug("lease %s, event %d: %s", row.id, event.number, refusal)
        return Taken((_stored(row),))
    finished = event.kind is EventKind.FINISHED
    evidence.append(conn, row.id, envelope)
    stored = event.number + 1
    leases.save_event(conn, row.id, stored, event.hash(), finished, now_ms)
    step = None
    if event.result is not None:
        step = _take_finished(conn, row, event.result, now_ms, listed)
    elif event.kind is EventKind.STARTED:
        step = steps.take(conn, row.task_id, Started(row.id, event.at_ms), now_ms)
        lease = step.after.lease if step is not None and step.moved else None
        # A lease for use starts nothing.
        is_job = lease is not None and not lease.counts_use
        if lease is not None and is_job and lease.funded_at_ms >= watching_since_ms:
            leases.save_start(conn, row.id, now_ms - lease.funded_at_ms, now_ms)
    elif event.kind is EventKind.RECLAIMED:
        step = steps.take(conn, row.task_id, Reclaimed(row.id, event.at_ms), now_ms)
    return Taken((Acknowledge(row.id, stored, row.log_bytes, checkpoint=row.checkpoint),), step)


def _take_finished(
    conn: Connection, row: LeaseRow, result: Result, now_ms: int, listed: bytes | None
) -> Step | None:
    """The run has ended, and with it comes the last that it has kept of its work."""
    left = result.checkpoint
    if left is None or left.sequence <= row.checkpoint:
        return steps.take(conn, row.task_id, Finished(row.id, result), now_ms)
    manifest = checkpoints.whole(conn, row.task_id, left, listed)
    finished = Finished(row.id, result, left if manifest is not None else None)
    step = steps.take(conn, row.task_id, finished, now_ms)
    if manifest is not None and step is not None:
        checkpoints.save(conn, step.after, left, manifest)
    return step


def take_checkpoint(
    conn: Connection, node_id: str, message: CheckpointTaken, now_ms: int, listed: bytes | None
) -> Taken:
    """Keep a checkpoint of a running job, if all of it is here.

    Args:
        listed: as `CheckpointDesk.manifest` found it.
    """
    row = _lease_of(conn, node_id, message.lease_id)
    if row is None or _is_closed(row):
        return _without_lease(row, message.lease_id)
    checkpoint = message.checkpoint
    if checkpoint.sequence <= row.checkpoint:
        return Taken((_stored(row),))
    manifest = checkpoints.whole(conn, row.task_id, checkpoint, listed)
    if manifest is None:
        return Taken((_stored(row),))
    step = steps.take(conn, row.task_id, CheckpointKept(row.id, checkpoint), now_ms)
    if step is None or step.after == step.before:
        return Taken((_stored(row),), step)
    checkpoints.save(conn, step.after, checkpoint, manifest)
    kept_checkpoints.save_stored(conn, row.id, checkpoint.sequence)
    return Taken((_stored(replace(row, checkpoint=checkpoint.sequence)),), step)


def take_meter(
    conn: Connection,
    node_id: str,
    envelope: Envelope,
    meter: Meter,
    now_ms: int,
    vouchers: VoucherDesk,
) -> Taken:
    """Decide and store how much the next voucher is over; it is sent after the commit."""
    row = _lease_of(conn, node_id, meter.lease_id)
    if row is None or _is_closed(row):
        return _without_lease(row, meter.lease_id)
    if is_final(row):
        return Taken(_owed(conn, row, vouchers))
    found = tasks.state_of(conn, row.task_id)
    assert found is not None, "a lease refers to its task"
    lease = found.task.lease
    if lease is None or lease.lease_id != row.id or not lease.started_at_ms:
        return Taken()
    chain = row.settlement.payments
    if meter.voucher_hash != chain.head:
        # What is signed next rests on the voucher before it: the node has to have that one first.
        last = evidence.last_voucher(conn, row.id)
        return Taken((last,) if last is not None else ())
    if lease.counts_use and lease.unit_prices is not None:
        billed = use.of_lease(conn, row.id)
        amount = signable_for_use_micro_usdc(lease.unit_prices, lease.max_cost_micro_usdc, billed)
    else:
        amount = signable_micro_usdc(
            lease.price_micro_usdc_per_hour,
            lease.max_cost_micro_usdc,
            meter.metered_ms,
            now_ms - lease.started_at_ms,
        )
    signed = settlement.sign(row.settlement, amount)
    if signed == row.settlement:
        return Taken(_owed(conn, row, vouchers))
    if payment_chain.is_due(chain, meter, found.task.demand.voucher_interval_s):
        link = payment_chain.next_link(chain, meter.hash())
        voucher = vouchers.voucher(replace(row, settlement=signed), link)
        signed = replace(signed, payments=payment_chain.extended(chain, voucher, meter))
        evidence.append_voucher(conn, envelope, voucher)
    else:
        voucher = vouchers.voucher(replace(row, settlement=signed))
        evidence.keep_last_meter(conn, row.id, envelope)
    leases.save_settlement(conn, signed, now_ms)
    leases.save_metered(conn, row.id, max(row.metered_ms, meter.metered_ms), now_ms)
    return Taken((voucher,))


def take_log(conn: Connection, node_id: str, log: Log, now_ms: int) -> Taken:
    """Store a piece of log text."""
    row = _lease_of(conn, node_id, log.lease_id)
    if row is None or _is_closed(row):
        return _without_lease(row, log.lease_id)
    taken = logs.append(conn, row.id, row.log_bytes, log.offset, log.text.encode(), now_ms)
    return Taken((Acknowledge(row.id, row.events_stored, taken, checkpoint=row.checkpoint),))


def take_claimed(conn: Connection, node_id: str, envelope: Envelope, claimed: Claimed) -> Taken:
    """A node says that the escrow is closed: kept for the receipt; the settler believes the chain."""
    row = _lease_of(conn, node_id, claimed.lease_id)
    if row is None or _is_closed(row):
        return _without_lease(row, claimed.lease_id)
    kept = evidence.of(conn, row.id, envelope.type)
    if not kept or kept[-1].body != envelope.body:
        evidence.replace(conn, row.id, envelope)
    return Taken()


def take_accept(
    conn: Connection, node_id: str, envelope: Envelope, accept: Accept, award: Envelope, now_ms: int
) -> Step | None:
    """A node took a lease, or says so once more.

    Args:
        award: what it answers, for the evidence.
    """
    row = _lease_of(conn, node_id, accept.lease_id)
    if row is None:
        return None
    proof = [(row.id, award), (row.id, envelope)]
    accepted = Accepted(row.id, accept.sealing_key)
    step = steps.take(conn, row.task_id, accepted, now_ms, proof)
    if step is not None and step.after.phase is Phase.STARTING and step.moved:
        leases.save_accept(conn, row.id, accept.hash(), now_ms)
    return step


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where a lease stands, for a node that has just said that it has it.

    Attributes:
        taken: what it is to be told.
        task_id, actions: what the task itself needs done again.
    """

    taken: Taken
    task_id: str = ""
    actions: tuple[Action, ...] = ()


def resume(
    conn: Connection,
    node_id: str,
    lease_id: str,
    now_ms: int,
    vouchers: VoucherDesk,
    has: Attach | None = None,
) -> Resumed:
    """What a node must hear about a lease it (still) has: it may have missed anything.

    Args:
        has: what it said that it has of the lease; None if it did not say.
    """
    row = _lease_of(conn, node_id, lease_id)
    if row is None or _is_closed(row):
        return Resumed(_without_lease(row, lease_id))
    if has is not None and has.events < row.events_stored:
        _log.warning("lease %s: its node has lost its journal", row.id)
    answers: list[Message] = [_stored(row)]
    found = tasks.state_of(conn, row.task_id)
    assert found is not None, "a lease refers to its task"
    task = found.task
    is_present = task.lease is not None and task.lease.lease_id == row.id
    actions: tuple[Action, ...] = ()
    if is_present and task.phase not in TERMINAL:
        actions = due(task, now_ms)
        if has is not None and has.has_start:
            actions = tuple(item for item in actions if not isinstance(item, SendStart))
    elif not row.finished:
        answers.append(Stop(row.id, Outcome.CANCELLED, "the task went on without this lease"))
    # While it runs, the voucher it has is repeated too: the last one may have been lost.
    if is_final(row) or (task.phase is Phase.RUNNING and is_present):
        owed = _owed(conn, row, vouchers)
        answers.extend(owed if has is None else (item for item in owed if not _has(has, item)))
    return Resumed(Taken(tuple(answers)), row.task_id, actions)


def _has(has: Attach, voucher: VoucherMessage) -> bool:
    """Whether a node that has this lacks nothing by not getting the voucher (again)."""
    return (
        not voucher.final
        and has.voucher_micro_usdc >= voucher.cumulative_micro_usdc
        and (voucher.link is None or has.voucher_hash == voucher.hash())
    )


def _owed(conn: Connection, row: LeaseRow, vouchers: VoucherDesk) -> tuple[VoucherMessage, ...]:
    """The vouchers that a node of an open lease must have: the last linked one, and the highest."""
    if is_final(row):
        return (vouchers.voucher(row),) if row.escrow else ()
    amount = row.settlement.signed_micro_usdc
    if not amount:
        return ()
    last = evidence.last_voucher(conn, row.id)
    if last is None:
        return (vouchers.voucher(row),)
    return (last,) if last.cumulative_micro_usdc == amount else (last, vouchers.voucher(row))


def _lease_of(conn: Connection, node_id: str, lease_id: str) -> LeaseRow | None:
    """The node's own lease: nobody may speak for another's."""
    row = leases.get(conn, lease_id)
    return row if row is not None and row.node_id == node_id else None


def _is_closed(row: LeaseRow) -> bool:
    return row.settlement.phase is SettlementPhase.CLOSED


def _without_lease(row: LeaseRow | None, lease_id: str) -> Taken:
    if row is None:
        stop = Stop(lease_id, Outcome.CANCELLED, "this coordinator has no such lease")
        return Taken((stop,), is_last=True)
    return Taken((_stored(row),))


def _stored(row: LeaseRow) -> Acknowledge:
    return Acknowledge(
        row.id,
        row.events_stored,
        row.log_bytes,
        closed=_is_closed(row),
        checkpoint=row.checkpoint,
    )


def _refusal(conn: Connection, row: LeaseRow, event: Event) -> str | None:
    """Why this is not the lease's next event; None if it is."""
    if event.number != row.events_stored:
        return f"number {row.events_stored} is next"
    if not row.event_hash or event.previous_hash != row.event_hash:
        return "does not follow the one before it"
    if row.finished:
        return "the lease has finished"
    if event.number >= len(EventKind) - 1 and event.kind is not EventKind.FINISHED:
        # Each kind comes once; a receipt has no room for more either.
        return "only its finish is left to be said"
    if (event.kind is EventKind.FINISHED) != (event.result is not None):
        return "a finish has a result, and nothing else has"
    if event.result is not None and event.result.voucher_hash != NO_VOUCHER:
        # Kept, it would make our own receipt look as if we had left that voucher out.
        known = [voucher.hash() for voucher in evidence.vouchers_of(conn, row.id)]
        if event.result.voucher_hash not in known:
            return "names a voucher that was never signed"
    return None
