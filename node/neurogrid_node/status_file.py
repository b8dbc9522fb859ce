"""The loop that writes what the daemon shows of itself (`status`)."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import trio

from neurogrid_marketplace.network import NetworkUse

from .journal import Earned, Journal, JournalError, JournalThread
from .machine.clock import now_ms as read_clock
from .machine.monitor import Monitor
from .machine.proofs import Proof
from .market.ledger_check import Mended
from .market.opening import Opening
from .market.provider import Provider
from .market.reservations import Reservations
from .money.earnings_check import EarningsCheck
from .money.staking import Staking
from .status import CoordinatorStatus, LeaseLine, NodeStatus, write_status

_log = logging.getLogger(__name__)

_INTERVAL_S = 1.0


async def show_status(
    directory: Path,
    provider: Provider,
    reservations: Reservations,
    staking: Staking,
    opening: Opening,
    journal: JournalThread,
    earnings_check: EarningsCheck,
    found_by: Callable[[], Mapping[str, str]],
    monitor: Monitor,
    reached_at: Callable[[], tuple[str, ...]],
    unproved: Callable[[], tuple[Proof, ...]],
    mended: Iterable[Mended],
    network_use: Callable[[str], NetworkUse | None],
) -> None:
    """Rewrite the file every second; a disk that refuses is logged once and tried again.

    Args:
        found_by: where the coordinators were found that are not listed.
        reached_at: where others may dial us now.
        unproved: what is not offered because it is not proved.
        mended: what did not agree lately (`reconciling`).
        network_use: what a lease's job did with its network, if it has one.
    """
    complaint = ""
    while True:
        try:
            earned = await journal.call(Journal.earnings)
            differ = tuple(earnings_check.problems)
            status = _status(
                provider,
                reservations,
                staking,
                opening,
                earned,
                differ,
                found_by(),
                monitor,
                reached_at(),
                unproved(),
                mended,
                network_use,
            )
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
    opening: Opening,
    earned: Earned,
    earnings_differ: tuple[str, ...],
    found_by: Mapping[str, str],
    monitor: Monitor,
    reached_at: tuple[str, ...],
    unproved: tuple[Proof, ...],
    mended: Iterable[Mended],
    network_use: Callable[[str], NetworkUse | None],
) -> NodeStatus:
    now_ms = read_clock()
    free, held = reservations.free(now_ms), reservations.leases(now_ms)
    offer = provider.offer
    lines = []
    for runner in provider.runners.values():
        status = runner.status()
        use = network_use(status.lease_id)
        lease = runner.lease
        lines.append(
            LeaseLine(
                status.lease_id,
                status.phase.value,
                status.metered_ms,
                status.progress_permille,
                lease.award.price_micro_usdc_per_hour,
                lease.unredeemed_micro_usdc,
                lease.stops_at_ms,
                None if use is None else use.sent_bytes + use.received_bytes,
                None if use is None else use.refused,
                lease.start.job.image if lease.start else "",
                lease.coordinator,
                lease.since_ms,
                held.get(status.lease_id, ()),
            )
        )
    return NodeStatus(
        pid=os.getpid(),
        peer_id=offer.node_id,
        wallet=offer.wallet,
        region=offer.region,
        summary=offer.summary,
        accepting=provider.accepting,
        word=opening.word,
        no_new_work=opening.refusal,
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
        inventory=monitor.inventory,
        reached_at=reached_at,
        unproved=unproved,
        host=monitor.host,
        mended=tuple(mended),
        coordinators=tuple(
            CoordinatorStatus(
                link.coordinator, link.is_connected(), found_by.get(link.coordinator, "")
            )
            for link in provider.links.values()
        ),
        leases=tuple(lines),
        updated_at_ms=now_ms,
    )
