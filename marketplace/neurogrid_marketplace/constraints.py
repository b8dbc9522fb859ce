"""The constraints a node must meet, one by one, so that a refusal can say which one it was.

Some every demand has; the clauses of its own conditions stand between them, each under its own
text. `matching` uses them to filter; `explain` uses them to count survivors and to find the single
one to relax.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from .attributes import NODE, NodeFacts, Subject
from .condition_text import write_clause
from .conditions import Clause, Where
from .demand import Demand
from .judgement import gpus_needed, is_about_gpus, met_by_node, narrowed, shortfall, suits
from .money import format_usdc
from .network import missed

# As the API counts: a client who asked for 8 GB must not read of 7.5 GiB.
_GB = 10**9


@dataclass(frozen=True, slots=True)
class Constraint:
    """One condition.

    Attributes:
        name: the words users and declines know it by.
        met: whether a node meets it.
        shortfall: how the node misses it, in words.
        clause: of the demand's own conditions; None for what every demand has.
        is_of_the_moment: whether waiting may be all that it takes.
        is_the_clients: whether who asks for work can give it up.
    """

    name: str
    met: Callable[[NodeFacts], bool]
    shortfall: Callable[[NodeFacts], str]
    clause: Clause | None = None
    is_of_the_moment: bool = False
    is_the_clients: bool = True

    @property
    def is_price(self) -> bool:
        """Whether a higher price is all that it takes."""
        if self.clause is None:
            return self.name == MAX_PRICE
        return all(
            NODE[each.attribute].subject is Subject.PRICE for each in self.clause.alternatives
        )

    @property
    def is_about_gpus(self) -> bool:
        """Whether it is a clause that some of the node's GPUs have to meet."""
        return self.clause is not None and is_about_gpus(self.clause)


# The last constraint that does not depend on the moment.
MAX_PRICE = "max_price"

_HARDWARE: tuple[Constraint, ...] = (
    Constraint(
        "region",
        lambda f: not f.need.regions or f.offer.region in f.need.regions,
        lambda f: f"is in {f.offer.region}; asked for {', '.join(f.need.regions)}",
    ),
    Constraint(
        "cpu_cores",
        lambda f: f.offer.total.cpu_millis >= f.need.cpu_millis,
        lambda f: (
            f"has {f.offer.total.cpu_millis / 1000:g} cores; asked for {f.need.cpu_millis / 1000:g}"
        ),
    ),
    Constraint(
        "ram",
        lambda f: f.offer.total.memory_bytes >= f.need.memory_bytes,
        lambda f: (
            f"has {_gb(f.offer.total.memory_bytes)} of memory; asked for {_gb(f.need.memory_bytes)}"
        ),
    ),
    Constraint(
        "storage",
        lambda f: f.offer.total.disk_bytes >= f.need.disk_bytes,
        lambda f: (
            f"offers {_gb(f.offer.total.disk_bytes)} of disk; asked for {_gb(f.need.disk_bytes)}"
        ),
    ),
    Constraint(
        "gpu",
        lambda f: (
            not f.need.gpu_count or f.offer.total.largest_gpu_group(f.need) >= f.need.gpu_count
        ),
        lambda f: (
            f"has {f.offer.total.largest_gpu_group(f.need)} suitable GPUs of "
            f"{len(f.offer.total.gpus)}; asked for {f.need.gpu_count}"
        ),
    ),
)
_RECLAIM_WINDOW = Constraint(
    "reclaim_window",
    lambda f: (
        not f.demand.preemptible
        or f.offer.spot is None
        or f.offer.spot.reclaim_window_s >= f.demand.reclaim_window_s
    ),
    lambda f: (
        f"warns {f.offer.spot.reclaim_window_s if f.offer.spot else 0} s before it takes its machine "
        f"back; asked for {f.demand.reclaim_window_s} s"
    ),
)
_NETWORK = Constraint(
    "network",
    lambda f: not missed(f.offer.network, f.demand.network),
    lambda f: missed(f.offer.network, f.demand.network),
)
_SERVING = Constraint(
    "serving",
    lambda f: (
        f.demand.serves is None
        or (f.offer.serving is not None and f.offer.serving.allows(f.demand.serves.model))
    ),
    lambda f: f"serves no {'models' if f.offer.serving is None else 'such model'} by use",
)
_PRICE = Constraint(
    MAX_PRICE,
    lambda f: f.quote <= f.demand.max_price_micro_usdc_per_hour,
    lambda f: (
        f"asks {format_usdc(f.quote)} USDC per hour; at most "
        f"{format_usdc(f.demand.max_price_micro_usdc_per_hour)} was offered"
    ),
)


def constraints_of(demand: Demand) -> tuple[Constraint, ...]:
    """All of a demand's constraints.

    What a node is and asks comes first, whether it is free just now comes last: whoever survives up
    to `MAX_PRICE` could serve the demand once it is idle.
    """
    return (*standing_constraints_of(demand), *OF_THE_MOMENT)


def standing_constraints_of(demand: Demand) -> tuple[Constraint, ...]:
    """Those of a demand's constraints that do not depend on the moment."""
    return _standing(
        demand.where, has_network=demand.network is not None, serves=demand.serves is not None
    )


def least_stake(micro_usdc: int) -> Constraint:
    """What a coordinator asks of every node, whatever the demand."""
    return Constraint(
        "min_stake",
        lambda f: f.standing.stake_micro_usdc >= micro_usdc,
        lambda f: (
            f"has staked {format_usdc(f.standing.stake_micro_usdc)} USDC; this coordinator asks "
            f"for {format_usdc(micro_usdc)}"
        ),
        is_the_clients=False,
    )


def meets(facts: NodeFacts, constraints: Iterable[Constraint]) -> bool:
    """Whether a node meets all of these."""
    return all(constraint.met(facts) for constraint in constraints)


def is_free(facts: NodeFacts) -> bool:
    """Whether a node meets all that depends on the moment."""
    return meets(facts, OF_THE_MOMENT)


def misses(
    facts: NodeFacts, constraints: Iterable[Constraint] | None = None
) -> tuple[Constraint, ...]:
    """The constraints that this node does not meet, in order.

    Args:
        constraints: the demand's, where many nodes are looked at; they take a while to put together.
    """
    every = constraints_of(facts.demand) if constraints is None else constraints
    return tuple(each for each in every if not each.met(facts))


def of_clause(clause: Clause) -> Constraint:
    """A clause as a constraint of its own."""
    return Constraint(
        name=write_clause(clause, NODE),
        met=lambda facts: met_by_node(clause, facts),
        shortfall=lambda facts: shortfall(clause, facts),
        clause=clause,
    )


@lru_cache(maxsize=256)
def _standing(where: Where, *, has_network: bool, serves: bool) -> tuple[Constraint, ...]:
    clauses = [of_clause(clause) for clause in where]
    together = [TOGETHER] if any(map(is_about_gpus, where)) else []
    network = [_NETWORK] if has_network else []
    serving = [_SERVING] if serves else []
    return (*_HARDWARE, _RECLAIM_WINDOW, *network, *serving, *clauses, *together, _PRICE)


def _has_gpus_for_all(facts: NodeFacts) -> bool:
    # Who misses one of them alone fails that constraint; counting it here too would hide that one
    # change would let it in.
    about_gpus = [clause for clause in facts.demand.where if is_about_gpus(clause)]
    if len(about_gpus) == 1 and not facts.need.gpu_count:
        return True
    if not all(met_by_node(clause, facts) for clause in about_gpus):
        return True
    if facts.offer.total.largest_gpu_group(facts.need) < facts.need.gpu_count:
        return True
    return sum(map(suits(facts), facts.offer.total.gpus)) >= gpus_needed(facts)


def _is_free(facts: NodeFacts) -> bool:
    # A machine that is too small even when idle fails the constraints before this one, as above.
    offer, need = facts.offer, facts.need
    free = offer.free if facts.demand.preemptible else offer.reclaimable or offer.free
    return narrowed(free, facts).has(need) or not narrowed(offer.total, facts).has(need)


def _gb(value: int) -> str:
    return f"{value / _GB:g} GB" if value % (_GB // 10) == 0 else f"{value / _GB:.1f} GB"


TOGETHER = Constraint(
    "gpu_conditions_together",
    _has_gpus_for_all,
    lambda f: f"has GPUs for each of them; {gpus_needed(f)} must meet all at once",
)
OF_THE_MOMENT: tuple[Constraint, ...] = (
    Constraint(
        "accepting",
        lambda f: f.offer.accepting,
        lambda f: "is draining or paused",
        is_of_the_moment=True,
    ),
    Constraint(
        "free_now",
        _is_free,
        lambda f: "has it, but it is in use now",
        is_of_the_moment=True,
    ),
)
