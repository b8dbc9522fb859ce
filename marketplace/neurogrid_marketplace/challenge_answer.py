"""The answer to a challenge, and what it is worth."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from .challenge import ANSWER_FILE, Challenge, draw
from .challenge_arithmetic import walk_end
from .faults import Outcome
from .fields import Bytes, Millis, Sha256, Text
from .messages import Result
from .reputation import FindingKind

_DIGITS: Final = 8
# A device's answer beside the ends of its walks: names and numbers.
_DEVICE_BYTES: Final = 1024
# Tiles of each device that are worked out again, if its walks are not longer than that: at one to three
# milliseconds each.
_TILES_CHECKED: Final = 512
_WALKS_CHECKED_MAX: Final = 8

# How a run may end without an answer by what the machine has or does not have. All else is somebody else's
# doing, or not known.
_NOT_ANSWERED: Final = frozenset(
    {
        Outcome.EXIT_NONZERO,
        Outcome.MEMORY_EXCEEDED,
        Outcome.PIDS_EXCEEDED,
        Outcome.DISK_EXCEEDED,
        Outcome.COMMAND_NOT_FOUND,
        Outcome.OUTPUT_REFUSED,
        Outcome.START_FAILED,
        Outcome.RESULT_INVALID,
    }
)
# The runner's own exit codes (`images/challenge/device.h`).
_EXITS: Final = {
    3: "it does not have a GPU that it offers",
    4: "it does not have the memory that it offers",
    5: "a GPU failed",
}


class Mark(StrEnum):
    """What came of a challenge."""

    PASSED = "passed"
    # Right, and too late.
    LATE = "late"
    # Something that is not the answer.
    WRONG = "wrong"
    # The run ended without an answer, by what the node has or does not have.
    UNANSWERED = "unanswered"
    # It says nothing about the node.
    INCONCLUSIVE = "inconclusive"


FINDINGS: Final = {
    Mark.PASSED: FindingKind.CHALLENGE_PASSED,
    Mark.LATE: FindingKind.CHALLENGE_FAILED,
    Mark.WRONG: FindingKind.CHALLENGE_FAILED,
    Mark.UNANSWERED: FindingKind.CHALLENGE_FAILED,
}


@dataclass(frozen=True, slots=True)
class DeviceAnswer:
    """What one device says; ``numbers``: where its walks end, eight hexadecimal digits each.

    Times are the node's own.
    """

    uuid: Text
    name: Text
    memory_bytes: Bytes
    fill_ms: Millis
    walk_ms: Millis
    numbers: Annotated[str, Meta(pattern=r"^[0-9a-f]*\Z")]


@dataclass(frozen=True, slots=True)
class Answer:
    """The file that the runner leaves."""

    devices: tuple[DeviceAnswer, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A mark and why.

    Attributes:
        walks_checked: so many were worked out again, of all devices together.
    """

    mark: Mark
    reason: str
    walks_checked: int = 0


def answer_bytes_max(challenge: Challenge) -> int:
    """No right answer is larger."""
    return sum(_DIGITS * device.walks + _DEVICE_BYTES for device in challenge.devices)


def answer_file_of(result: Result) -> tuple[Sha256, int] | None:
    """Hash and size of the answer that a result names; None where it names none."""
    for output in result.outputs:
        if output.path == ANSWER_FILE:
            return output.sha256, output.size_bytes
    return None


def judge_answer(
    challenge: Challenge,
    result: Result,
    answer: bytes | None,
    *,
    elapsed_ms: int,
    lot: str,
) -> Judged:
    """What an answer is worth.

    Args:
        result: how the node says that the run ended.
        answer: the file that it names; None where it names none, or one that is too large.
        elapsed_ms: from when the node was sent the job until its result was here.
        lot: which walks are worked out again follows from it; nobody knew it before the answer.
    """
    if result.outcome is Outcome.TIME_EXCEEDED:
        return Judged(Mark.LATE, "there was no answer within the time limit")
    if result.outcome in _NOT_ANSWERED:
        known = _EXITS.get(result.exit_code, f"the run ended with {result.outcome.value}")
        if result.outcome is Outcome.MEMORY_EXCEEDED:
            known = _EXITS[4]
        return Judged(Mark.UNANSWERED, known)
    if result.outcome is not Outcome.COMPLETED:
        return Judged(Mark.INCONCLUSIVE, f"the run ended with {result.outcome.value}")
    if answer is None or len(answer) > answer_bytes_max(challenge):
        return Judged(Mark.WRONG, "there is no answer file, or one that is too large")
    try:
        devices = msgspec.json.decode(answer, type=Answer, strict=True).devices
    except (msgspec.DecodeError, UnicodeDecodeError):
        # What exactly is wrong with it, libraries say in words of their own.
        return Judged(Mark.WRONG, "the answer cannot be read")
    if [device.uuid for device in devices] != [device.uuid for device in challenge.devices]:
        return Judged(Mark.WRONG, "the answer is of other devices")
    wrong, checked = _check_walks(challenge, devices, lot)
    if wrong:
        return Judged(Mark.WRONG, wrong, checked)
    if elapsed_ms > challenge.deadline_ms:
        reason = f"right, but after {elapsed_ms} ms instead of {challenge.deadline_ms} ms"
        return Judged(Mark.LATE, reason, checked)
    return Judged(Mark.PASSED, f"right after {elapsed_ms} of {challenge.deadline_ms} ms", checked)


def _check_walks(
    challenge: Challenge, answers: tuple[DeviceAnswer, ...], lot: str
) -> tuple[str, int]:
    """What is wrong, in words, "" if nothing is; and how many walks were looked at."""
    checked = 0
    for place, (device, answer) in enumerate(zip(challenge.devices, answers, strict=True)):
        if len(answer.numbers) != _DIGITS * device.walks:
            return f"{device.uuid}: not the ends of {device.walks} walks", checked
        count = max(1, min(_WALKS_CHECKED_MAX, _TILES_CHECKED // challenge.steps))
        for walk in draw(lot, str(place), count, device.walks):
            right = walk_end(
                challenge.key(place),
                walk,
                tiles=device.tiles,
                steps=challenge.steps,
                rounds=challenge.rounds,
            )
            checked += 1
            if answer.numbers[_DIGITS * walk : _DIGITS * (walk + 1)] != f"{right:08x}":
                return f"{device.uuid}: walk {walk} ends elsewhere", checked
    return "", checked
