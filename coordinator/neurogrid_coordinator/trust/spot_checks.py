"""Which paid runs are run once more: by lot, with secrets that are committed to beforehand.

Each day (UTC) has a secret of its own, derived from the coordinator's session seed. Its commitment is
public a week ahead, the secret itself two days after; then anybody can draw again and compare.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.task import Task
from neurogrid_marketplace.verification import commitment, draw_permille, is_drawn

from ..store import check_counts
from .standings import tally_of_node

_DAY_MS = 24 * 3_600_000
# Told only when every draw of that day has long been made: runs are drawn the moment they end.
_REVEALED_AFTER_DAYS = 2
_AHEAD_DAYS = 7
_PAST_DAYS = 30


@dataclass(frozen=True, slots=True)
class Commitment:
    """One day's secret. ``day``: since 1970; ``secret``: hexadecimal, None before it is told."""

    day: int
    commitment: str
    secret: str | None


class SpotChecks:
    """Draws runs.

    Args:
        seed: from which the days' secrets are derived.
        challenges_scored: see `Standings`.
    """

    def __init__(self, seed: bytes, *, challenges_scored: bool, now_ms: Callable[[], int]) -> None:
        self._seed = seed
        self._challenges_scored = challenges_scored
        self._now_ms = now_ms

    def is_checked(self, conn: Connection, task: Task) -> bool:
        """Draw a run that was paid, and count it."""
        lease = task.lease
        assert lease is not None, "a run that was paid had a lease"
        secret = self._secret(task.since_ms // _DAY_MS)
        tally = tally_of_node(
            conn, lease.node_id, self._now_ms(), challenges_scored=self._challenges_scored
        )
        counts = check_counts.get(conn)
        check_counts.add(conn, checkable=1)
        unchecked = check_counts.unchecked(conn, lease.node_id)
        drawn = is_drawn(
            draw_permille(secret, lease.lease_id, lease.bid_hash),
            tally,
            unchecked,
            checkable=counts.checkable,
            redundant=counts.redundant,
        )
        check_counts.set_unchecked(conn, lease.node_id, 0 if drawn else unchecked + 1)
        return drawn

    def commitments(self) -> list[Commitment]:
        """Of the last month and the coming week, oldest first."""
        today = self._now_ms() // _DAY_MS
        return [
            Commitment(
                day,
                commitment(self._secret(day)),
                self._secret(day).hex() if day <= today - _REVEALED_AFTER_DAYS else None,
            )
            for day in range(today - _PAST_DAYS, today + _AHEAD_DAYS + 1)
        ]

    def _secret(self, day: int) -> bytes:
        return hmac.digest(self._seed, f"day {day}".encode(), "sha256")
