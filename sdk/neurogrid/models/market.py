"""What the market would do: explanations, prices and estimates."""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct


class Survivors(Struct, frozen=True, kw_only=True):
    """How many nodes are left after this constraint."""

    constraint: str
    left: int


class NearMiss(Struct, frozen=True, kw_only=True):
    """A node that fails few constraints, and how."""

    node_id: str
    reasons: list[str]


class RelaxationStep(Struct, frozen=True, kw_only=True):
    """How many nodes come in when the constraint is this instead."""

    constraint: str
    nodes: int


class Relaxation(Struct, frozen=True, kw_only=True):
    """The one constraint whose removal would let most nodes in.

    Attributes:
        steps: what it could be instead: the nearest first, or what brings most nodes.
    """

    constraint: str
    nodes: int
    steps: list[RelaxationStep] = []


class Explanation(Struct, frozen=True, kw_only=True):
    """How a request meets the nodes known now.

    Attributes:
        summary: in one sentence.
        nodes: known in all; matching: that meet everything; wanted: so many at once.
        clearing_price_per_hour: the lowest ask among nodes that meet all but the price, USDC.
        max_cost: what the task could cost at most, USDC.
    """

    summary: str
    nodes: int
    matching: int
    wanted: int = 1
    survivors: list[Survivors] = []
    nearest: list[NearMiss] = []
    clearing_price_per_hour: Decimal | None = None
    relaxation: Relaxation | None = None
    declines: dict[str, int] = {}
    max_cost: Decimal | None = None


class PriceHour(Struct, frozen=True, kw_only=True):
    """One hour's awards, USDC per unit and hour."""

    at: datetime
    awards: int
    lowest: Decimal
    median: Decimal
    highest: Decimal


class ClassPrices(Struct, frozen=True, kw_only=True):
    """What awards cleared at, USDC per unit and hour.

    Attributes:
        name: a GPU's model, or ``cpu``.
        unit: ``GPU`` or ``core``.
        high: nine of ten awards were no dearer.
        start_seconds: half of the awards expected to start no later.
        hours: each hour, where one class was asked for.
    """

    name: str
    unit: str
    awards: int
    lowest: Decimal
    median: Decimal
    high: Decimal
    highest: Decimal
    start_seconds: float = 0.0
    hours: list[PriceHour] = []


class MarketPrices(Struct, frozen=True, kw_only=True):
    """The classes with most awards in the last hours."""

    hours: int
    classes: list[ClassPrices]


class PriceRange(Struct, frozen=True, kw_only=True):
    """What is expected, and where it may come to lie, USDC."""

    low: Decimal
    expected: Decimal
    high: Decimal


class EstimateBalance(Struct, frozen=True, kw_only=True):
    """Whether the account can pay, USDC; ``needed`` is held until the task ends."""

    available: Decimal
    needed: Decimal
    enough: bool


class Estimate(Struct, frozen=True, kw_only=True):
    """What a task would likely cost and when it would start.

    Attributes:
        matching: nodes that could take it now.
        suitable: nodes that could take it at some price, now or when they are idle.
        price_per_hour: None where no node fits at the maximum.
        total: for the whole time limit.
        lowest_ask_per_hour: also where it is above the maximum, USDC.
        start_seconds: None where nobody is free, or nothing is known.
        max_cost: for the whole time limit at the highest price, USDC.
        history: of such tasks in the last seven days.
    """

    summary: str
    nodes: int
    matching: int
    wanted: int = 1
    suitable: int
    max_cost: Decimal
    balance: EstimateBalance
    price_per_hour: PriceRange | None = None
    total: PriceRange | None = None
    lowest_ask_per_hour: Decimal | None = None
    start_seconds: float | None = None
    history: ClassPrices | None = None
