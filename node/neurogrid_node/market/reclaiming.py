"""Taking the machine back from preemptible jobs: whose, for an ordinary demand.

Who is displaced stands in the successor's reservation, which is journalled with its lease: a node that
is killed anywhere asks the same leases again, until they are gone.
"""

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

# From the stop of a job until its container and files are gone, as predicted in a bid.
CLEARING_MS = 10_000
ALL = "--all"


@dataclass(frozen=True, slots=True)
class Reclaimable:
    """A lease whose machine may be taken back.

    Attributes:
        window_s: how long its job has after the warning.
        metered_ms: the work that would be lost.
    """

    lease_id: str
    window_s: int
    metered_ms: int


def choose(
    leases: Iterable[Reclaimable], fits: Callable[[Collection[str]], bool]
) -> tuple[Reclaimable, ...]:
    """Whom to displace so that something fits: with little work lost first, and nobody in vain.

    Args:
        fits: whether it does without these leases.

    Returns: nobody, if it would not fit without all of them either.
    """
    chosen = sorted(leases, key=lambda lease: (lease.metered_ms, lease.lease_id))
    if not chosen or not fits([lease.lease_id for lease in chosen]):
        return ()
    for spared in reversed(tuple(chosen)):
        others = [lease for lease in chosen if lease is not spared]
        if fits([lease.lease_id for lease in others]):
            chosen = others
    return tuple(chosen)


# --- what the job sees ----------------------------------------------------------------------------


def notice(stops_at_ms: int) -> str:
    """The file that a warned job finds."""
    return json.dumps({"stops_at_ms": stops_at_ms, "stops_at_s": stops_at_ms // 1000}) + "\n"
