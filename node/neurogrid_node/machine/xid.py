"""What NVIDIA's XID numbers mean for a job and for the GPU it ran on. Pure.

Source: NVIDIA, "Xid Errors" (docs.nvidia.com/deploy/xid-errors), the catalogue's immediate actions:
whatever it answers with restarting the application alone is the program's own doing, whatever it
answers with a reset, a repair or a reboot is the GPU's. What it only logs, or we do not know, is noted.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class XidBlame(StrEnum):
    """Whose an error is."""

    JOB = "job"
    """The program's: the GPU is as good as before."""
    GPU = "gpu"
    """The GPU's or its driver's: a job on it has lost it, and it is not offered for a while."""
    NOTED = "noted"
    """Neither: it is logged."""


@dataclass(frozen=True, slots=True)
class Xid:
    """One number's meaning."""

    blame: XidBlame
    meaning: str


_JOB: Final = XidBlame.JOB
_GPU: Final = XidBlame.GPU
_NOTED: Final = XidBlame.NOTED

XIDS: Final[dict[int, Xid]] = {
    8: Xid(_JOB, "the GPU stopped processing: a kernel that ran too long"),
    13: Xid(_JOB, "an exception of the program's kernels"),
    31: Xid(_JOB, "a memory address that the program does not have"),
    32: Xid(_JOB, "a broken stream of commands"),
    43: Xid(_JOB, "the program's work was stopped for an error of its own"),
    45: Xid(_JOB, "the program was ended, and its work cleaned up"),
    46: Xid(_GPU, "the GPU stopped processing"),
    48: Xid(_GPU, "a memory error that cannot be corrected"),
    54: Xid(_GPU, "a power cable is not connected"),
    61: Xid(_GPU, "the GPU's own controller stopped at a breakpoint"),
    62: Xid(_GPU, "the GPU's own controller halted"),
    63: Xid(_NOTED, "a bad piece of memory was replaced by a spare one"),
    64: Xid(_GPU, "a bad piece of memory could not be replaced"),
    68: Xid(_JOB, "an exception of the video decoder"),
    69: Xid(_JOB, "an exception of the graphics engine's class"),
    74: Xid(_GPU, "an NVLink error"),
    79: Xid(_GPU, "the GPU fell off the bus"),
    92: Xid(_GPU, "many corrected memory errors"),
    94: Xid(_GPU, "a memory error that was contained: its program was ended"),
    95: Xid(_GPU, "a memory error that was not contained"),
    109: Xid(_GPU, "the GPU did not switch between programs in time"),
    110: Xid(_GPU, "a security fault"),
    119: Xid(_GPU, "the GPU's system processor does not answer"),
    120: Xid(_GPU, "an error of the GPU's system processor"),
    136: Xid(_GPU, "NVLink could not be trained"),
    140: Xid(_GPU, "a memory error from which the GPU could not recover"),
    143: Xid(_GPU, "the GPU could not be initialised"),
}


def meaning_of(number: int) -> Xid:
    """What a number means; unknown ones are noted."""
    return XIDS.get(number, Xid(_NOTED, "not in our table: look it up in NVIDIA's"))
