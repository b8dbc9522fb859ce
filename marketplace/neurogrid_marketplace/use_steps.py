"""The steps of a lease for use: what it owes, when it asks to be paid, what it refuses, when it ends. Part of `execution`.

It has no container and is never paused: while it is too far ahead of its vouchers it refuses, and holds back, what is
asked of it. It ends well however it ends: what was served was served.
"""

from dataclasses import replace
from typing import Final

from .exposure import is_used_up, must_hold_back, unpaid_use_micro_usdc, use_meter_due
from .job_stream import StreamRefusal
from .lease import NodeLease, Served
from .messages import Meter
from .serving import Use
from .units import Units

# From the last answer of a lease that is used up to its end: whoever passes answers on notes a little later what
# has reached the client, and the lease is paid by those notes.
LINGER_MS: Final = 5_000


def on_served(lease: NodeLease, event: Served, run_ms: int) -> NodeLease:
    """So much has been passed on, and so many requests are at work."""
    units = lease.served.most(event.units)
    is_active = bool(event.at_work or lease.at_work) or units != lease.served
    active_ms = run_ms if is_active else lease.active_ms
    return replace(lease, served=units, at_work=event.at_work, active_ms=active_ms)


def meter_of(lease: NodeLease, use: Use, run_ms: int) -> Meter:
    """What it asks to be paid for now."""
    amount = min(use.prices.cost_micro_usdc(lease.served), use.max_cost_micro_usdc)
    return Meter(lease.lease_id, run_ms, amount, lease.voucher_hash, lease.served)


def is_meter_due(lease: NodeLease, use: Use, run_ms: int) -> bool:
    """Whether it asks now."""
    return use_meter_due(
        unpaid_use_micro_usdc(use.prices, lease.served, lease.held_micro_usdc),
        lease.max_unpaid_micro_usdc,
        run_ms - lease.covered_ms,
        lease.award.voucher_interval_s,
    )


def ending(lease: NodeLease, use: Use, run_ms: int) -> str:
    """Why it ends now; "" while it goes on."""
    quiet_ms = 0 if lease.at_work else run_ms - lease.active_ms
    if run_ms > lease.award.timeout_s * 1000:
        return "its time limit is over"
    is_spent = is_used_up(use.prices, use.max_cost_micro_usdc, lease.served)
    if is_spent and quiet_ms >= LINGER_MS:
        return "its escrow is used up"
    if quiet_ms >= use.idle_s * 1000:
        return f"nothing was asked of it for {use.idle_s} s"
    return ""


def refusal(lease: NodeLease, use: Use, served: Units) -> StreamRefusal | None:
    """Why it takes no request now; None if it does.

    Args:
        served: all that it has passed on up to now.
    """
    if is_used_up(use.prices, use.max_cost_micro_usdc, served):
        return StreamRefusal.USED_UP
    if must_wait(lease, use, served):
        return StreamRefusal.UNPAID
    return None


def must_wait(lease: NodeLease, use: Use, served: Units) -> bool:
    """Whether nothing more is passed on until it is signed more."""
    return must_hold_back(use.prices, served, lease.held_micro_usdc, lease.max_unpaid_micro_usdc)
