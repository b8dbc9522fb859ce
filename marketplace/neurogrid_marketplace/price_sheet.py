"""What awards cleared at lately, as a coordinator tells it to whoever asks: node owners set prices by it.

It is the coordinator's own word, and nobody's money depends on it: an owner sees it before a price changes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from .errors import MalformedMessage
from .fields import Count, MicroUsdc, Millis, decode
from .price_history import PriceSummary

PRICES_PROTOCOL_ID = "/neurogrid/prices/1"
# A sheet with as many classes has some 15 KB.
CLASSES_MAX = 64
# A GPU's model, perhaps with " spot" behind it, or "cpu".
ClassName = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,140}\Z")]

_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,140}")


@dataclass(frozen=True, slots=True)
class ClassPrice:
    """One class: a GPU's model per GPU, or "cpu" per core, an hour; memory and cores of such jobs included.

    Attributes:
        high_micro_usdc: nine of ten awards were no dearer.
    """

    name: ClassName
    awards: Count
    lowest_micro_usdc: MicroUsdc
    median_micro_usdc: MicroUsdc
    high_micro_usdc: MicroUsdc
    highest_micro_usdc: MicroUsdc

    def __post_init__(self) -> None:
        rising = (
            self.lowest_micro_usdc,
            self.median_micro_usdc,
            self.high_micro_usdc,
            self.highest_micro_usdc,
        )
        if list(rising) != sorted(rising):
            raise ValueError("the lowest price is first, the highest last")


@dataclass(frozen=True, slots=True)
class PriceSheet:
    """The classes of the last hours, those with most awards first.

    Attributes:
        made_at_ms: by the coordinator's clock.
    """

    made_at_ms: Millis
    hours: Annotated[int, Meta(ge=1, le=24 * 366)]
    classes: Annotated[tuple[ClassPrice, ...], Meta(max_length=CLASSES_MAX)] = ()

    def of(self, name: str) -> ClassPrice | None:
        """One class; None where nothing was awarded."""
        return next((each for each in self.classes if each.name == name), None)


def make_sheet(summaries: Iterable[PriceSummary], hours: int, now_ms: int) -> PriceSheet:
    """A sheet of these classes, as far as it has room. Nodes name their GPUs: odd names are left out."""
    classes = [
        ClassPrice(
            each.name,
            min(each.awards, 10**9),
            each.lowest_micro_usdc,
            each.median_micro_usdc,
            each.high_micro_usdc,
            each.highest_micro_usdc,
        )
        for each in summaries
        if _NAME.fullmatch(each.name)
    ]
    classes.sort(key=lambda each: (-each.awards, each.name))
    return PriceSheet(now_ms, hours, tuple(classes[:CLASSES_MAX]))


def parse_sheet(message: Mapping[str, object]) -> PriceSheet:
    """What was said on a stream of ``PRICES_PROTOCOL_ID``.

    Raises:
        MalformedMessage: it is no sheet.
    """
    sheet = decode(PriceSheet, dict(message))
    if len({each.name for each in sheet.classes}) < len(sheet.classes):
        raise MalformedMessage("PriceSheet: a class is there twice")
    return sheet
