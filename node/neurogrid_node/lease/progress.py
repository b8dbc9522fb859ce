"""What a program says to its node in its log. Pure.

``NEUROGRID_PROGRESS 0.42 any words``: how far it is; ``NEUROGRID_CHECKPOINT``: that one be taken now.
"""

import re
from dataclasses import dataclass

_LINE = re.compile(
    r"^NEUROGRID_PROGRESS (0(?:\.[0-9]{1,6})?|1(?:\.0{1,6})?)(?: ([^\n]*))?$", re.MULTILINE
)
_ASKS = re.compile(r"^NEUROGRID_CHECKPOINT\r?$", re.MULTILINE)
# What a heartbeat carries of a program's words.
NOTE_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a program says it is: thousandths, and its words."""

    permille: int = 0
    note: str = ""


def latest(text: str, before: Progress) -> Progress:
    """The last progress line in a piece of log, or what was known before."""
    if "NEUROGRID_PROGRESS" not in text:
        return before
    found = list(_LINE.finditer(text.replace("\r\n", "\n")))
    if not found:
        return before
    whole, _, fraction = found[-1].group(1).partition(".")
    # By its digits, cut off: 0.9996 is not done, and as a float 0.569 would be 568 thousandths.
    permille = int(whole) * 1000 + int(fraction[:3].ljust(3, "0"))
    return Progress(permille, (found[-1].group(2) or "")[:NOTE_CHARS_MAX])


def asks_for_checkpoint(text: str) -> bool:
    """Whether a piece of log asks for a checkpoint."""
    return "NEUROGRID_CHECKPOINT" in text and _ASKS.search(text) is not None
