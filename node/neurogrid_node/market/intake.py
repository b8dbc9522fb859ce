"""Whether this machine takes new work, and why not. Pure: the owner's word, the stake and the clock in, a reason out."""

from dataclasses import dataclass
from enum import StrEnum

# Longer is "until I say so".
PAUSE_MAX_S = 366 * 24 * 3600


class Mode(StrEnum):
    """What the owner has said of new work."""

    OPEN = "open"
    PAUSED = "paused"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Word:
    """The owner's last word on new work; the journal holds it, so that a restart changes nothing.

    Attributes:
        since_ms: when it was given, Unix time; 0: it never was.
        until_ms: when a pause ends by itself; 0: it does not.
        exits: whether the node ends once it has drained.
    """

    mode: Mode = Mode.OPEN
    since_ms: int = 0
    until_ms: int = 0
    exits: bool = False


OPEN = Word()


def pause(now_ms: int, for_s: int | None) -> Word:
    """Take nothing new, for so long or (None) until told otherwise."""
    return Word(Mode.PAUSED, now_ms, now_ms + for_s * 1000 if for_s else 0)


def resume(now_ms: int) -> Word:
    """Take new work again."""
    return Word(Mode.OPEN, now_ms)


def drain(before: Word, now_ms: int, *, exits: bool) -> Word:
    """Take nothing new, and say so or end when everything here is over; said twice, it began at the first."""
    since_ms = before.since_ms if before.mode is Mode.DRAINING else now_ms
    return Word(Mode.DRAINING, since_ms, exits=exits)


def in_force(word: Word, now_ms: int) -> Word:
    """What a word is worth now: a pause whose time is over is none."""
    if word.mode is Mode.PAUSED and word.until_ms and word.until_ms <= now_ms:
        return resume(word.until_ms)
    return word


def refusal(word: Word, *, ends: bool, may_work: bool, is_proved: bool, now_ms: int) -> str:
    """Why no new work is taken; "" if it is.

    Args:
        ends: whether the node is about to end.
        may_work: whether the stake is in place.
        is_proved: whether a container has shown that it is held as it should be.
    """
    if ends:
        return "stopping"
    mode = in_force(word, now_ms).mode
    if mode is not Mode.OPEN:
        return mode.value
    if not may_work:
        return "no stake in place"
    return "" if is_proved else "no container has shown yet that it is held as it should be"
