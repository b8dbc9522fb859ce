"""What can be known of whether this node should be upgraded. Pure.

There is no signed list of releases, so nobody here knows what the newest is. What a coordinator runs is its
own word, in the welcome that it signs.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from neurogrid_marketplace.messages import PROTOCOL_ID

# What a welcome names: "neurogrid/1.2.3", and what packagers put behind.
_OURS: Final = re.compile(
    r"neurogrid(?:-[a-z]+)?/([0-9]{1,6}(?:\.[0-9]{1,6}){0,3})(?![0-9.])", re.ASCII
)


class Standing(StrEnum):
    """A coordinator's software beside ours."""

    SAME = "same"
    NEWER = "newer"
    OLDER = "older"
    OTHER_SOFTWARE = "other_software"
    OTHER_WIRE = "other_wire"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Met:
    """A coordinator as it was met.

    Attributes:
        software: as its welcome says; "" if there was none.
        answers: whether it could be connected at all.
        problem: why there was no welcome.
    """

    address: str
    software: str = ""
    answers: bool = True
    problem: str = ""


def standing(own_version: str, met: Met) -> Standing:
    """How its software is beside version ``own_version`` of ours."""
    if not met.software:
        return Standing.OTHER_WIRE if met.answers else Standing.AWAY
    found = _OURS.match(met.software)
    if found is None:
        return Standing.OTHER_SOFTWARE
    own, theirs = _parts(own_version), _parts(found[1])
    if own == theirs:
        return Standing.SAME
    return Standing.NEWER if theirs > own else Standing.OLDER


def advice(is_now: Standing, met: Met) -> str:
    """What follows for the owner."""
    match is_now:
        case Standing.SAME:
            return "nothing to do"
        case Standing.NEWER:
            return (
                "it serves this node as before; an upgrade brings what it has to offer beyond that"
            )
        case Standing.OLDER:
            return "nothing to do: it passes over what it does not know"
        case Standing.OTHER_SOFTWARE:
            return f"{met.software!r} speaks our protocol; its version says nothing of ours"
        case Standing.OTHER_WIRE:
            return f"it does not speak {PROTOCOL_ID} ({met.problem}): upgrade, or ask who runs it"
        case Standing.AWAY:
            return f"not reached: {met.problem}"


def should_upgrade(standings: list[Standing]) -> bool:
    """Whether one of the coordinators is a reason to."""
    return Standing.NEWER in standings or Standing.OTHER_WIRE in standings


def _parts(version: str) -> tuple[int, ...]:
    """Its numbers; what stands behind them, as in 1.2.3rc1, does not count, nor do zeros at the end."""
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", version, re.ASCII)
    parts = [int(part) for part in found[0].split(".")] if found else []
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)
