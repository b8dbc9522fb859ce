"""The loop that writes what the daemon shows of itself (`status`)."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import trio

from .earnings_check import EarningsCheck
from .journal import Earned, Journal, JournalError, JournalThread
from .provider import Provider
from .reservations import Reservations
from .staking import Staking
from .status import CoordinatorStatus, LeaseLine, NodeStatus, write_status

_log = logging.getLogger(__name__)

_INTERVAL_S = 1.0


async def show_status(
    directory: Path,
    provider: Provider,
    reservations: Reservations,
    staking: Staking,
    journal: JournalThread,
    earnings_check: EarningsCheck,
    found_by: Callable[[], Mapping[str, str]],
) -> None:
    """Rewrite the file every second; a disk that refuses is logged once and tried again.

    Args:
        found_by: where the coordinators were found that are not listed.
    """
    complaint = ""
    while True:
        try:
            earned = await journal.call(Journal.earnings)
            differ = tuple(earnings_check.problems)
            status = _status(provider, reservations, staking, earned, differ, found_by())
            await trio.to_thread.run_sync(write_status, directory, status)
            complaint = ""
        except (JournalError, OSError) as error:
            if str(error) != complaint:
                complaint = str(error)
                _log.warning("the status file: %s", error)
        await trio.sleep(_INTERVAL_S)


def _status(
    provider: Provider,
    reservations: Reservations,
    staking: Staking,
    earned: Earned,
    earnings_differ: tuple[str, ...],
    found_by: Mapping[str, str],
) -> NodeStatus:
    now_ms = time.time_ns() // 1_000_000
    free = reservations.free(now_ms)
    offer = provider.offer
    lines = []
    for runner in provider.runners.values():
        status = runner.status()
        price = runner.lease.award.price_micro_usdc_per_hour
        lines.append(
            LeaseLine(
                status.lease_id,
                status.phase.value,
                status.metered_ms,
                status.progress_permille,
                price,
                runner.lease.unredeemed_micro_usdc,
                runner.lease.stops_at_ms,
            )
        )
    return NodeStatus(
        pid=os.getpid(),
        peer_id=offer.node_id,
        wallet=offer.wallet,
        region=offer.region,
        summary=offer.summary,
        accepting=provider.accepting,
        staked_micro_usdc=staking.staked_micro_usdc,
        stake_problem=staking.problem,
        earned_micro_usdc=earned.micro_usdc,
        leases_paid=earned.leases,
        earnings_differ=earnings_differ,
        cpu_millis_free=free.cpu_millis,
        cpu_millis_total=offer.total.cpu_millis,
        memory_bytes_free=free.memory_bytes,
        memory_bytes_total=offer.total.memory_bytes,
        gpus=tuple(gpu.model for gpu in offer.total.gpus),
        coordinators=tuple(
            CoordinatorStatus(
                link.coordinator, link.is_connected(), found_by.get(link.coordinator, "")
            )
            for link in provider.links.values()
        ),
        leases=tuple(lines),
        updated_at_ms=now_ms,
    )
