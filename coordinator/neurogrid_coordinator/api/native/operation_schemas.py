"""What the native API takes and answers of operations: shapes, bounds and documentation."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from neurogrid_marketplace.condition_text import MAX_TEXT_CHARS
from neurogrid_marketplace.conditions import Where
from neurogrid_marketplace.demand import MAX_TIMEOUT_S
from neurogrid_marketplace.fields import Word
from neurogrid_marketplace.operations import Operation

from .requests import Priority, VerificationRequest

# The operations have four at most; what is not theirs is refused by its name.
PARAMETERS_MAX = 16
ParameterName = Annotated[str, Meta(max_length=64)]
OperationParameters = Annotated[
    dict[ParameterName, Any],
    Meta(
        max_length=PARAMETERS_MAX,
        description="`GET /api/v1/operations` has each operation's; those left out have defaults.",
        examples=[{"size": 1000, "iterations": 10}],
    ),
]
DevicePreference = Annotated[
    str,
    Meta(
        max_length=80,
        description="`auto`; `gpu`: preferred, where an operation has a program for it (none has one yet, so that it "
        "runs on a CPU, and the result says so); `cpu`; a node's id; or a node's CPU: its id and `:cpu`.",
        examples=["auto"],
    ),
]

OPERATION_RULES = {"regions[]": 'a region such as "eu-west"'}


class OperationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A computation of ours, by name. Its image, command and memory follow from it."""

    kind: Literal["operation"]
    operation: Annotated[
        Operation,
        Meta(description="`mlx_operation` needs a node whose jobs reach Apple's MLX."),
    ]
    parameters: OperationParameters = {}
    device_preference: DevicePreference = "auto"
    name: Annotated[str, Meta(max_length=200, description="The operation's, if left out.")] = ""
    priority: Priority = "normal"
    cpu_cores: Annotated[float, Meta(ge=0.1, le=64)] = 1
    max_price_per_hour: Annotated[
        Decimal | None, Meta(description="USDC; the coordinator's, if left out.", examples=["0.50"])
    ] = None
    timeout_seconds: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_TIMEOUT_S)] | None,
        Meta(description="The longest it may run; the coordinator's, if left out."),
    ] = None
    queue_timeout_seconds: Annotated[int, Meta(ge=1, le=30 * 24 * 3600)] | None = None
    regions: Annotated[tuple[Word, ...], Meta(max_length=32)] = ()
    constraints: Annotated[
        Annotated[str, Meta(max_length=MAX_TEXT_CHARS)] | Where,
        Meta(description="Conditions on nodes, as of a container job."),
    ] = ""
    wait_for_node: bool = False
    verification: Annotated[
        VerificationRequest,
        Meta(description="Its result has no times then: they differ, and results are compared."),
    ] = VerificationRequest()


class OperationView(Struct, frozen=True):
    """What a task of kind `operation` computes. `result.json` among its outputs has what came of it."""

    name: str
    parameters: Annotated[dict[str, Any], Meta(description="All, with defaults.")]
    device_preference: str


class ParameterView(Struct, frozen=True):
    """A parameter of an operation."""

    name: str
    description: str
    type: Literal["integer", "string"]
    default: int | str
    minimum: int | None
    maximum: int | None
    choices: list[str]


class OperationTermsView(Struct, frozen=True):
    """An operation."""

    name: str
    description: str
    parameters: list[ParameterView]
    throughput_unit: str
    devices: Annotated[list[str], Meta(description="What its program computes on.")]
    requires: Annotated[
        str, Meta(description="What its node has to say of itself; empty: nothing.")
    ]
    default_memory_gb: Annotated[float, Meta(description="With the defaults, 10^9 bytes.")]


class OperationListView(Struct, frozen=True):
    """All operations."""

    operations: list[OperationTermsView]
    total: int
