"""What the native API answers of the market, conditions, prices and estimates: shapes and documentation."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from .schemas import Amount, Time


class AttributeView(Struct, frozen=True):
    """Something that constraints may name."""

    name: str
    about: Annotated[str, Meta(description="node, gpu (each one), standing or price.")]
    type: Annotated[str, Meta(examples=["an amount of bytes"])]
    operators: list[str]
    units: Annotated[list[str], Meta(description="In texts; empty where there are none.")]
    base_unit: Annotated[str, Meta(description="What an integer counts in clauses.")]
    example: str
    meaning: str


class AttributeListView(Struct, frozen=True):
    """The attributes of the constraint language."""

    attributes: list[AttributeView]


class SurvivorsView(Struct, frozen=True):
    """How many nodes are left after this constraint."""

    constraint: str
    left: int


class NearMissView(Struct, frozen=True):
    """A node that fails few constraints, and how."""

    node_id: str
    reasons: list[str]


class RelaxationStepView(Struct, frozen=True):
    """How many nodes come in when the constraint is this instead."""

    constraint: str
    nodes: int


class RelaxationView(Struct, frozen=True):
    """The one constraint whose removal would let most nodes in, and how far one may go instead."""

    constraint: str
    nodes: int
    steps: Annotated[
        list[RelaxationStepView],
        Meta(description="What it could be instead: the nearest first, or what brings most."),
    ]


class ExplanationView(Struct, frozen=True):
    """How a task would meet the nodes that are connected now."""

    summary: str
    nodes: int
    wanted: Annotated[
        int, Meta(description="Nodes at once: one, or as many as a gang has members.")
    ]
    matching: int
    survivors: Annotated[
        list[SurvivorsView], Meta(description="In the order in which constraints are applied.")
    ]
    nearest: Annotated[list[NearMissView], Meta(description="Fewest misses first.")]
    clearing_price_per_hour: Annotated[
        Amount | None, Meta(description="The lowest ask of nodes that meet all but the price.")
    ]
    relaxation: RelaxationView | None
    declines: dict[str, int]
    max_cost: Annotated[
        Amount,
        Meta(description="As it would be held: for the whole time limit at the highest price."),
    ]


class PriceHourView(Struct, frozen=True):
    """One hour's awards, per unit and hour."""

    at: Time
    awards: int
    lowest: Amount
    median: Amount
    highest: Amount


class ClassPricesView(Struct, frozen=True):
    """What awards cleared at, per unit and hour: for a GPU task by GPU, else by core."""

    name: Annotated[
        str, Meta(description="A GPU's model; `cpu` for tasks without one.", examples=["NVIDIA L4"])
    ]
    unit: Literal["GPU", "core"]
    awards: int
    lowest: Amount
    median: Annotated[Amount, Meta(description="Within 3 %, as `high` is.")]
    high: Annotated[Amount, Meta(description="Nine of ten awards were no dearer.")]
    highest: Amount
    start_seconds: Annotated[
        float, Meta(description="Half of the awards expected to start no later.")
    ]
    hours: Annotated[
        list[PriceHourView], Meta(description="Oldest first; only where one class is asked for.")
    ]


class MarketPricesView(Struct, frozen=True):
    """The classes with most awards first, 100 at most."""

    hours: int
    currency: Literal["USDC"]
    classes: list[ClassPricesView]


class RangeView(Struct, frozen=True):
    """What is expected, and where it may come to lie."""

    low: Amount
    expected: Amount
    high: Amount


class EstimateBalanceView(Struct, frozen=True):
    """Whether the account can pay: ``needed`` is held until the task ends."""

    available: Amount
    needed: Amount
    enough: bool


class EstimateView(Struct, frozen=True):
    """What a task would likely cost and when it would start."""

    summary: str
    nodes: Annotated[int, Meta(description="Connected now.")]
    wanted: Annotated[
        int, Meta(description="Nodes at once: one, or as many as a gang has members.")
    ]
    matching: Annotated[int, Meta(description="That could take it now.")]
    suitable: Annotated[
        int, Meta(description="That could take it at some price, now or when they are idle.")
    ]
    price_per_hour: Annotated[
        RangeView | None, Meta(description="Null where no node fits at its maximum.")
    ]
    total: Annotated[RangeView | None, Meta(description="For the whole time limit.")]
    lowest_ask_per_hour: Annotated[
        Amount | None, Meta(description="Also where it is above the maximum.")
    ]
    start_seconds: Annotated[
        float | None, Meta(description="Null where nobody is free, or nothing is known.")
    ]
    max_cost: Annotated[Amount, Meta(description="For the whole time limit at the highest price.")]
    balance: EstimateBalanceView
    history: Annotated[
        ClassPricesView | None, Meta(description="Of such tasks in the last seven days.")
    ]
