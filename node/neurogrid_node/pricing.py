"""What the market's past prices propose for an owner's own. Pure.

Awards are told per GPU of a model, or per core, with all that their jobs took besides; ours are asked for each
thing by itself. So a core's price is what cores cleared at, less a GiB of memory at our price. A GPU's is left as it
cleared: what its jobs took besides comes on top, and differs too much from job to job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.offer import PriceList
from neurogrid_marketplace.price_history import CPU
from neurogrid_marketplace.price_sheet import ClassPrice, PriceSheet

# Fewer awards are somebody's whim, and a week of a market that is used has more.
AWARDS_MIN: Final = 5
# Medians are within 3 %: finer steps would only look exact.
_STEP_MICRO_USDC: Final = 1000


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one price might be instead.

    Attributes:
        key: of node.toml.
        now_micro_usdc, proposed_micro_usdc: an hour; proposed is None where the market says too little.
        seen: what awards cleared at; None likewise.
        told_by: the coordinator's address.
        hours: how far back it looked.
    """

    key: str
    now_micro_usdc: int
    proposed_micro_usdc: int | None = None
    seen: ClassPrice | None = None
    told_by: str = ""
    hours: int = 0

    @property
    def why(self) -> str:
        """Where it comes from, for people."""
        if self.seen is None:
            return f"fewer than {AWARDS_MIN} awards of such are known: it stays"
        return (
            f"half of {self.seen.awards} awards of {self.seen.name} in {self.hours} h cleared at "
            f"{format_usdc(self.seen.median_micro_usdc)} or less ({format_usdc(self.seen.lowest_micro_usdc)} "
            f"to {format_usdc(self.seen.highest_micro_usdc)}), says {self.told_by}"
        )


def proposals(
    own: PriceList, models: Sequence[str], sheets: Mapping[str, PriceSheet]
) -> list[Proposal]:
    """One for each price that the market says something of.

    Args:
        models: of this machine's GPUs. All have one price: that of the dearest model.
        sheets: by the address of who told it; of each class the one with most awards counts.
    """
    found = [best for model in dict.fromkeys(models) if (best := _best(model, sheets)) is not None]
    gpu = max(found, key=lambda each: each[1].median_micro_usdc, default=None)
    core = _best(CPU, sheets)
    made = []
    if models:
        made.append(_proposal("prices.gpu", own.gpu_micro_usdc_per_hour, gpu, sheets, 0))
    memory = own.memory_gib_micro_usdc_per_hour
    made.append(
        _proposal("prices.cpu_core", own.cpu_core_micro_usdc_per_hour, core, sheets, memory)
    )
    return made


def _best(name: str, sheets: Mapping[str, PriceSheet]) -> tuple[str, ClassPrice] | None:
    known = [
        (address, found)
        for address, sheet in sheets.items()
        if (found := sheet.of(name)) is not None and found.awards >= AWARDS_MIN
    ]
    return max(known, key=lambda each: (each[1].awards, each[0]), default=None)


def _proposal(
    key: str,
    now: int,
    best: tuple[str, ClassPrice] | None,
    sheets: Mapping[str, PriceSheet],
    besides: int,
) -> Proposal:
    if best is None:
        return Proposal(key, now)
    address, seen = best
    steps = round((seen.median_micro_usdc - besides) / _STEP_MICRO_USDC)
    proposed = max(1, steps) * _STEP_MICRO_USDC
    return Proposal(key, now, proposed, seen, address, sheets[address].hours)
