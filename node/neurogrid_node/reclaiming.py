"""Taking the machine back from preemptible jobs: whose, for an ordinary demand, and on the owner's word.

Who is displaced stands in the successor's reservation, which is journalled with its lease: a node that
is killed anywhere asks the same leases again, until they are gone.
"""

import json
import logging
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import trio

_log = logging.getLogger(__name__)

# From the stop of a job until its container and files are gone, as predicted in a bid.
CLEARING_MS = 10_000
ALL = "--all"
_REQUESTS = "reclaim"
_LOOK_S = 0.5
_LEASE_ID = re.compile(r"lease_[0-9a-f]{32}")


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


# --- the owner's word -----------------------------------------------------------------------------


def request(directory: Path, what: str) -> None:
    """Leave the running node a request: a lease's id, or ``ALL``.

    Raises:
        ValueError: it is neither.
    """
    if what != ALL and not _LEASE_ID.fullmatch(what):
        raise ValueError(f"{what!r} is no lease id: `neurogrid-node status` lists them")
    requests = directory / _REQUESTS
    requests.mkdir(mode=0o700, exist_ok=True)
    # Its name is what it asks for: asked twice, it is one request.
    (requests / what).touch(mode=0o600)


async def follow_requests(
    directory: Path, reclaim: Callable[[str], bool], *, look_s: float = _LOOK_S
) -> None:
    """Carry out the owner's requests.

    Args:
        reclaim: asks for it; whether it is done, and stored. Until then it is asked for again.
        look_s: how long to wait before looking again.
    """
    requests = trio.Path(directory / _REQUESTS)
    await requests.mkdir(mode=0o700, exist_ok=True)
    while True:
        for path in await requests.iterdir():
            if reclaim(path.name):
                _log.info("reclaimed on the owner's word: %s", path.name)
                await path.unlink(missing_ok=True)
        await trio.sleep(look_s)


# --- what the job sees ----------------------------------------------------------------------------


def notice(stops_at_ms: int) -> str:
    """The file that a warned job finds."""
    return json.dumps({"stops_at_ms": stops_at_ms, "stops_at_s": stops_at_ms // 1000}) + "\n"
