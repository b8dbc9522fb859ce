"""Progress, as the program itself says it: a line ``NEUROGRID_PROGRESS 0.42 any words``. Pure."""

import re
from dataclasses import dataclass

_LINE = re.compile(
    r"^NEUROGRID_PROGRESS (0(?:\.\d{1,6})?|1(?:\.0{1,6})?)(?: (.{0,200}))?$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a program says it is: thousandths, and its words."""

    permille: int = 0
    note: str = ""


def latest(text: str, before: Progress) -> Progress:
    """The last progress line in a piece of log, or what was known before."""
    found = list(_LINE.finditer(text))
    if not found:
        return before
    return Progress(int(float(found[-1].group(1)) * 1000), found[-1].group(2) or "")
