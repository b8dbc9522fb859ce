"""Whether ledger, leases, journal, engine and disk say the same of who has what. Pure.

Each of them is changed by steps of its own, so that one look may fall between two of them. A difference
is what two looks in a row have seen.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from neurogrid_marketplace.offer import LeasePhase

# Ours are named so; probes and what cleans GPUs are not leases, and come and go by themselves.
_LEASE_ID: Final = re.compile(r"lease_[0-9a-f]{32}\Z")
# Before its report a lease holds what it was promised; afterwards it gives that back.
_HOLDING: Final = frozenset(
    {
        *(LeasePhase.ACCEPTED, LeasePhase.PREPARING, LeasePhase.RUNNING),
        *(LeasePhase.PAUSED, LeasePhase.STOPPING, LeasePhase.COLLECTING),
    }
)
_WITH_CONTAINER: Final = frozenset({LeasePhase.RUNNING, LeasePhase.PAUSED})
# A machine has at most some hundreds of leases; whatever shows more is not mended all at once.
DIFFERENCES_MAX: Final = 512


class Leak(StrEnum):
    """What does not agree."""

    RESERVATION_WITHOUT_LEASE = "reservation_without_lease"
    """Resources are promised to nobody: they are given back."""
    LEASE_WITHOUT_RESERVATION = "lease_without_reservation"
    """A lease's resources are not promised to it: they are, as the journal says."""
    CONTAINER_WITHOUT_LEASE = "container_without_lease"
    """A container runs for nobody: it is removed."""
    LEASE_WITHOUT_CONTAINER = "lease_without_container"
    """A job is thought to run, and has no container: it is looked at again, and found lost."""
    FILES_WITHOUT_LEASE = "files_without_lease"
    """A disk is kept for nobody: it is removed."""
    LEASE_WITHOUT_RUNNER = "lease_without_runner"
    """The journal has a lease that nothing runs: it is taken up."""
    PROMISED_TWICE = "promised_twice"
    """Two leases have one GPU. That is a defect; neither is ended for it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that does not agree.

    Attributes:
        about: a lease's id; of ``PROMISED_TWICE`` a GPU's UUID.
    """

    leak: Leak
    about: str


@dataclass(frozen=True, slots=True)
class Mended:
    """A difference that was found, and mended if that can be.

    Attributes:
        at_ms: Unix time. code: see `Leak`.
    """

    at_ms: int
    code: str
    about: str


@dataclass(frozen=True, slots=True)
class Look:
    """What everybody says at one moment, by lease id. None: it cannot be asked now.

    Attributes:
        reserved: who the ledger holds something for, and which GPUs.
        leases: whose runners there are, and where they are.
        journal: what is saved.
        uses: of these, the leases for use, which have no container.
        containers: what the engine has, ended ones too.
        files: whose directories there are.
    """

    reserved: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    leases: Mapping[str, LeasePhase] = field(default_factory=dict)
    uses: frozenset[str] = frozenset()
    journal: frozenset[str] | None = None
    containers: frozenset[str] | None = None
    files: frozenset[str] | None = None


def differences(look: Look) -> frozenset[Difference]:
    """What does not agree."""
    found = set()
    # On its way into the journal, or out of it, a lease is only in one of the two.
    known = look.leases.keys() | (look.journal or frozenset())
    for lease_id in look.reserved.keys() - known:
        found.add(Difference(Leak.RESERVATION_WITHOUT_LEASE, lease_id))
    for lease_id, phase in look.leases.items():
        if phase in _HOLDING and lease_id not in look.reserved:
            found.add(Difference(Leak.LEASE_WITHOUT_RESERVATION, lease_id))
        if (
            phase in _WITH_CONTAINER
            and lease_id not in look.uses
            and look.containers is not None
            and lease_id not in look.containers
        ):
            found.add(Difference(Leak.LEASE_WITHOUT_CONTAINER, lease_id))
    if look.journal is not None:
        for lease_id in look.journal - look.leases.keys():
            found.add(Difference(Leak.LEASE_WITHOUT_RUNNER, lease_id))
        for lease_id in _ours(look.containers) - known:
            found.add(Difference(Leak.CONTAINER_WITHOUT_LEASE, lease_id))
        for lease_id in _ours(look.files) - known:
            found.add(Difference(Leak.FILES_WITHOUT_LEASE, lease_id))
    for uuid in _twice(look.reserved.values()):
        found.add(Difference(Leak.PROMISED_TWICE, uuid))
    ordered = sorted(found, key=lambda each: (each.leak, each.about))
    return frozenset(ordered[:DIFFERENCES_MAX])


def _ours(lease_ids: frozenset[str] | None) -> frozenset[str]:
    return frozenset(filter(_LEASE_ID.match, lease_ids or ()))


def _twice(held: Iterable[tuple[str, ...]]) -> set[str]:
    seen: set[str] = set()
    twice: set[str] = set()
    for uuids in held:
        twice |= seen & set(uuids)
        seen |= set(uuids)
    return twice
