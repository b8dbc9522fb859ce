"""Rows and rule values that several tests of the coordinator start from."""

import hashlib

from neurogrid_coordinator.store.ids import new_id
from neurogrid_coordinator.store.tasks import NewTask
from neurogrid_marketplace import base58
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.gang import Gang
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.membership import Membership
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.spread import Spread
from neurogrid_marketplace.submission import submit
from neurogrid_marketplace.verification import UNVERIFIED, Verification

NOW_MS = 1_800_000_000_000
QUEUE_TIMEOUT_MS = 600_000


def node_id(name: str) -> str:
    """A peer id that nobody has the key of."""
    return peer_id_of(hashlib.sha256(name.encode()).digest())


def wallet(name: str) -> str:
    """An address that nobody has the key of."""
    return base58.encode(hashlib.sha256(name.encode()).digest())


def job(text: str = "hello") -> Job:
    """A small job."""
    return Job("neurogrid/job:1", ("echo", text))


def new_task(
    account_id: str,
    *,
    name: str = "render",
    idempotency_key: str | None = None,
    now_ms: int = NOW_MS,
    price_micro_usdc_per_hour: int = 3_600_000,
    timeout_s: int = 60,
    finish_by_ms: int = 0,
    verification: Verification = UNVERIFIED,
    sealed_bids: bool = False,
    preemptible: bool = False,
    spread: Spread | None = None,
    gang: Gang | None = None,
    tries: int = 1,
) -> NewTask:
    """A task as the service layer would store it."""
    wanted = job(name)
    demand = Demand(
        demand_id=new_id("demand"),
        job_hash=wanted.hash(),
        requirements=Requirements(),
        image=wanted.image,
        input_bytes=0,
        max_price_micro_usdc_per_hour=price_micro_usdc_per_hour,
        timeout_s=timeout_s,
        bid_window_ms=250,
        voucher_interval_s=30,
        dead_after_s=45,
        finish_by_ms=finish_by_ms,
        sealed_bids=sealed_bids,
        gang=gang,
        preemptible=preemptible,
    )
    return NewTask(
        account_id=account_id,
        name=name,
        kind="container",
        priority=5,
        spec={"name": name},
        job=wanted,
        state=submit(
            new_id("task"),
            demand,
            now_ms,
            QUEUE_TIMEOUT_MS,
            verification=verification,
            spread=spread,
            membership=None if gang is None else Membership(gang, 0, tries),
        ),
        idempotency_key=idempotency_key,
    )
