"""What is known of connected nodes beside their offers: reputation, stake, start factor.

Findings and starts are in the database, stakes on the chain; a standing is worked out from them and
told to the market when a node joins, when something is found out about it, and every minute, because everything is forgotten and
stakes move.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from sqlalchemy import Connection

from neurogrid_marketplace.calibration import start_factor_permille
from neurogrid_marketplace.challenge_answer import Mark
from neurogrid_marketplace.reputation import Reputation, Tally, explain_reputation, tally_of
from neurogrid_marketplace.standing import Standing
from neurogrid_wallet.errors import RpcError

from ..market.deliveries import NodeChange
from ..market.reports import NodeView
from ..store import challenges, findings, leases
from ..store.database import Database

_log = logging.getLogger(__name__)

REFRESH_S = 60.0
# What a node has shown may be sold, or break.
_CHALLENGE_LASTS_MS = 30 * 24 * 3_600_000


class Standings:
    """The standings of all connected nodes.

    Args:
        stakes: reads what wallets have at risk, micro-USDC; raises `RpcError`.
        tell: gives the market every standing that is another one now.
        challenges_scored: whether what comes of challenges counts, or is only recorded.
    """

    def __init__(
        self,
        *,
        database: Database,
        stakes: Callable[[Sequence[str]], Awaitable[Mapping[str, int]]],
        tell: Callable[[Mapping[str, Standing]], None],
        challenges_scored: bool,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._stakes = stakes
        self._tell = tell
        self._challenges_scored = challenges_scored
        self._now_ms = now_ms
        # Node id -> the wallet that owns it, of those that are connected.
        self._wallets: dict[str, str] = {}
        self._staked: dict[str, int] = {}
        self._standings: dict[str, Standing] = {}
        self._pending: set[str] = set()
        self._wake = asyncio.Event()

    def of(self, node_id: str) -> Standing | None:
        """What was last worked out; None for a node that is not connected."""
        return self._standings.get(node_id)

    async def on_node(self, node_id: str, change: NodeChange, view: NodeView) -> None:
        """A node came, went, or said how it is."""
        if change == "left":
            self._wallets.pop(node_id, None)
            self._standings.pop(node_id, None)
        elif change == "joined" or self._wallets.get(node_id) != view.offer.wallet:
            # Whoever joins is told of anew: it may have left between two changes that we hear of.
            self._standings.pop(node_id, None)
            self._wallets[node_id] = view.offer.wallet
            self.changed(node_id)

    def changed(self, node_id: str) -> None:
        """Something was found out about a node."""
        if node_id in self._wallets:
            self._pending.add(node_id)
            self._wake.set()

    async def run(self) -> None:
        """Work out standings for ever; cancel it to stop."""
        loop = asyncio.get_running_loop()
        refresh_at_s = loop.time() + REFRESH_S
        while True:
            try:
                async with asyncio.timeout_at(refresh_at_s):
                    await self._wake.wait()
            except TimeoutError:
                refresh_at_s = loop.time() + REFRESH_S
                self._staked.clear()
                self._pending.update(self._wallets)
            self._wake.clear()
            await self.refresh()

    async def refresh(self) -> None:
        """Work out those that may be others now, and tell the market."""
        node_ids, self._pending = self._pending & set(self._wallets), set()
        await self._read_stakes({self._wallets[node_id] for node_id in node_ids})
        changed: dict[str, Standing] = {}
        for node_id in sorted(node_ids):
            tally, start_factor, challenged = await self._database.read(
                _known_of, node_id, self._now_ms(), self._challenges_scored
            )
            wallet = self._wallets.get(node_id)
            if wallet is None:
                continue  # it left meanwhile
            stake = self._staked.get(wallet, 0)
            standing = Standing(tally.score_permille, stake, start_factor, challenged)
            if standing != self._standings.get(node_id):
                self._standings[node_id] = changed[node_id] = standing
        if changed:
            self._tell(changed)

    async def _read_stakes(self, wallets: set[str]) -> None:
        unknown = sorted(wallets - self._staked.keys())
        if not unknown:
            return
        try:
            self._staked.update(await self._stakes(unknown))
        except RpcError as error:
            # What is known of others still holds; these are asked for again in a minute.
            _log.warning("stakes are not known for now: %s", error)
        self._staked = {
            wallet: self._staked[wallet]
            for wallet in set(self._wallets.values())
            if wallet in self._staked
        }


def _known_of(
    conn: Connection, node_id: str, now_ms: int, challenges_scored: bool
) -> tuple[Tally, int, bool]:
    """A node's findings added up, what its word on its starts is multiplied by, and whether it passed
    its last challenge lately."""
    tally = tally_of_node(conn, node_id, now_ms, challenges_scored=challenges_scored)
    start_factor = start_factor_permille(leases.starts_of_node(conn, node_id))
    mark, at_ms = challenges.newest_mark(conn, node_id) or (Mark.INCONCLUSIVE, 0)
    return tally, start_factor, mark is Mark.PASSED and now_ms - at_ms <= _CHALLENGE_LASTS_MS


def tally_of_node(conn: Connection, node_id: str, now_ms: int, *, challenges_scored: bool) -> Tally:
    """A node's findings added up."""
    known = [stored.finding for stored in findings.of_node(conn, node_id)]
    return tally_of(known, now_ms, challenges_scored=challenges_scored)


def reputation_of_node(
    conn: Connection, node_id: str, now_ms: int, *, challenges_scored: bool
) -> Reputation:
    """A node's score, explained."""
    known = [stored.finding for stored in findings.of_node(conn, node_id)]
    return explain_reputation(known, now_ms, challenges_scored=challenges_scored)
