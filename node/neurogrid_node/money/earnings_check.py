"""Compares what this node wrote down as earned with what the chain paid it. It repairs nothing.

The coordinator's `reconciler` does the same for its side. Here one look into each redeeming
transaction is enough: what a final transaction paid never changes.
"""

import logging

import trio
from solders.pubkey import Pubkey

from neurogrid_telemetry.about import about
from neurogrid_telemetry.log_lines import named
from neurogrid_wallet.chain import Commitment
from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.rpc import TransactionRecord

from ..journal import Earning, Journal, JournalError, JournalThread
from ..lease.past import PAST_KEPT
from ..log_events import NodeEvent
from ..machine.clock import now_ms
from .chain import Market

_log = logging.getLogger(__name__)

_INTERVAL_S = 300.0
# A restarted node reads the last day again: it does not write down what it has compared.
_LOOK_BACK_MS = 24 * 3600 * 1000
# Redeemed so recently, it may not be final yet, or not known to every endpoint.
_SETTLE_MS = 120_000
# Each is one call. Where there are more, the next are looked at after a moment: a node may be paid for more jobs than
# fit into an interval, and endpoints refuse who asks too much.
_LOOKED_AT_ONCE = 50
_NEXT_S = 5.0
# An endpoint that knows no transactions would fill memory and status.json with every lease; so many are as many as
# `jobs --past` still names.
_PROBLEMS_KEPT = PAST_KEPT


def difference(earning: Earning, record: TransactionRecord | None, paid: int) -> str | None:
    """What is wrong with an earning; None if the chain says the same.

    Args:
        record: the transaction that redeemed it, None if the chain knows none.
        paid: what it moved to our payout account, micro-USDC.
    """
    if record is None:
        return f"the chain knows no transaction {earning.transaction}"
    if record.failure is not None:
        return f"transaction {earning.transaction} failed ({record.failure}) and paid nothing"
    if paid != earning.micro_usdc:
        return (
            f"transaction {earning.transaction} paid {paid} micro-USDC, "
            f"and the journal says {earning.micro_usdc}"
        )
    return None


class EarningsCheck:
    """The comparison, each interval.

    Attributes:
        problems: by lease, what differs; of the newest that do.
    """

    def __init__(
        self,
        journal: JournalThread,
        market: Market,
        *,
        problems_kept: int = _PROBLEMS_KEPT,
        looked_at_once: int = _LOOKED_AT_ONCE,
    ) -> None:
        self.problems: dict[str, str] = {}
        self._problems_kept = problems_kept
        self._looked_at_once = looked_at_once
        self._journal = journal
        self._market = market
        self._checked_until = (now_ms() - _LOOK_BACK_MS, "")

    async def run(self) -> None:
        """Compare for ever; cancel it to stop."""
        while True:
            has_more = False
            try:
                has_more = await self.look(now_ms() - _SETTLE_MS)
            except (RpcError, JournalError) as error:
                _log.info("earnings are not compared with the chain: %s", error)
            await trio.sleep(_NEXT_S if has_more else _INTERVAL_S)

    async def look(self, until_ms: int) -> bool:
        """Compare what was redeemed up to this Unix time and not compared yet, so many; whether there may be more.

        Raises:
            RpcError: the chain is away; what is left is compared next time.
        """
        provider = await self._market.provider()
        owner = provider.payout_owner if provider else self._market.wallet
        mint = self._market.deployment.usdc_mint
        earnings = await self._journal.call(
            Journal.earnings_after, *self._checked_until, self._looked_at_once
        )
        for earning in earnings:
            if earning.at_ms > until_ms:
                return False
            record = await self._market.rpc.transaction(earning.transaction, Commitment.FINALIZED)
            problem = difference(earning, record, _received(record, owner, mint))
            if problem is not None:
                self.problems[earning.lease_id] = problem
                while len(self.problems) > self._problems_kept:
                    del self.problems[next(iter(self.problems))]
                with about(lease=earning.lease_id):
                    _log.error(
                        "lease %s: journal and chain differ: %s",
                        earning.lease_id,
                        problem,
                        extra=named(NodeEvent.EARNING_DIFFERS),
                    )
            self._checked_until = (earning.at_ms, earning.lease_id)
        return len(earnings) == self._looked_at_once


def _received(record: TransactionRecord | None, owner: Pubkey, mint: Pubkey) -> int:
    """How much more the owner's token accounts held after the transaction."""
    changes = record.token_changes if record else ()
    who = (str(owner), str(mint))
    return sum(change.change for change in changes if (change.owner, change.mint) == who)
