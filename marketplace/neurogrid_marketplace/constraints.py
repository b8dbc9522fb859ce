"""The conditions a node must meet, one by one, so that a refusal can say which one it was.

Each constraint is a name, a test, and a sentence about how a node misses it. `matching` uses them
to filter; `explain` uses them to count survivors and to find the single one to relax.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .demand import Demand
from .money import format_usdc
from .offer import Offer

# As the API counts: a client who asked for 8 GB must not read of 7.5 GiB.
_GB = 10**9


@dataclass(frozen=True, slots=True)
class Constraint:
    """One condition.

    Attributes:
        name: the word users and declines know it by.
        met: whether this node meets it for this demand.
        shortfall: how the node misses it, in words.
    """

    name: str
    met: Callable[[Offer, Demand], bool]
    shortfall: Callable[[Offer, Demand], str]


def _fits_free(offer: Offer, demand: Demand) -> bool:
    # A machine that is too small even when idle fails the constraints before this one; counting it
    # here too would hide that one change would let it in.
    need = demand.requirements
    return offer.free.has(need) or not offer.total.has(need)


def _gb(value: int) -> str:
    return f"{value / _GB:g} GB" if value % (_GB // 10) == 0 else f"{value / _GB:.1f} GB"


# What a node is and asks comes first, whether it is free just now comes last: whoever survives up to
# `STANDING` could serve the demand once it is idle.
CONSTRAINTS: tuple[Constraint, ...] = (
    Constraint(
        "region",
        lambda o, d: not d.requirements.regions or o.region in d.requirements.regions,
        lambda o, d: f"is in {o.region}; asked for {', '.join(d.requirements.regions)}",
    ),
    Constraint(
        "cpu_cores",
        lambda o, d: o.total.cpu_millis >= d.requirements.cpu_millis,
        lambda o, d: (
            f"has {o.total.cpu_millis / 1000:g} cores; asked for "
            f"{d.requirements.cpu_millis / 1000:g}"
        ),
    ),
    Constraint(
        "ram",
        lambda o, d: o.total.memory_bytes >= d.requirements.memory_bytes,
        lambda o, d: (
            f"has {_gb(o.total.memory_bytes)} of memory; asked for "
            f"{_gb(d.requirements.memory_bytes)}"
        ),
    ),
    Constraint(
        "storage",
        lambda o, d: o.total.disk_bytes >= d.requirements.disk_bytes,
        lambda o, d: (
            f"offers {_gb(o.total.disk_bytes)} of disk; asked for {_gb(d.requirements.disk_bytes)}"
        ),
    ),
    Constraint(
        "gpu",
        lambda o, d: o.total.largest_gpu_group(d.requirements) >= d.requirements.gpu_count,
        lambda o, d: (
            f"has {o.total.largest_gpu_group(d.requirements)} suitable GPUs of "
            f"{len(o.total.gpus)}; asked for {d.requirements.gpu_count}"
        ),
    ),
    Constraint(
        "max_price",
        lambda o, d: o.prices.quote(d.requirements) <= d.max_price_micro_usdc_per_hour,
        lambda o, d: (
            f"asks {format_usdc(o.prices.quote(d.requirements))} USDC per hour; at most "
            f"{format_usdc(d.max_price_micro_usdc_per_hour)} was offered"
        ),
    ),
    Constraint("accepting", lambda o, d: o.accepting, lambda o, d: "is draining or paused"),
    Constraint("free_now", _fits_free, lambda o, d: "has it, but it is in use now"),
)

# The last constraint that does not depend on the moment.
STANDING = "max_price"


_STANDING = CONSTRAINTS[: [constraint.name for constraint in CONSTRAINTS].index(STANDING) + 1]
_OF_THE_MOMENT = CONSTRAINTS[len(_STANDING) :]


def stands(offer: Offer, demand: Demand) -> bool:
    """Whether a node meets all that does not depend on the moment."""
    return all(constraint.met(offer, demand) for constraint in _STANDING)


def is_free(offer: Offer, demand: Demand) -> bool:
    """Whether a node meets all that does; with `stands`, everything."""
    return all(constraint.met(offer, demand) for constraint in _OF_THE_MOMENT)


def misses(offer: Offer, demand: Demand) -> tuple[Constraint, ...]:
    """The constraints that this node does not meet, in order."""
    return tuple(constraint for constraint in CONSTRAINTS if not constraint.met(offer, demand))
