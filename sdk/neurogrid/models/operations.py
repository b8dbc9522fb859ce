"""Operations: computations of the market's own, by name."""

from typing import Any

from msgspec import Struct


class OperationParameter(Struct, frozen=True, kw_only=True):
    """A parameter of an operation: an integer within its bounds, or one of some words."""

    name: str
    description: str = ""
    type: str = "integer"
    default: int | str = 0
    minimum: int | None = None
    maximum: int | None = None
    choices: list[str] = []


class OperationInfo(Struct, frozen=True, kw_only=True):
    """An operation.

    Attributes:
        requires: what its node has to say of itself; empty: nothing.
    """

    name: str
    description: str
    parameters: list[OperationParameter]
    throughput_unit: str = ""
    devices: list[str] = []
    requires: str = ""
    default_memory_gb: float = 0.0


class OperationList(Struct, frozen=True, kw_only=True):
    """All operations."""

    operations: list[OperationInfo]


class OperationResult(Struct, frozen=True, kw_only=True):
    """What an operation's program left. Its node says it; a quorum makes sure of it.

    Attributes:
        output: its checksum, and what the program found out about its own result.
        measured: times and rates; None where the result is compared with others'.
    """

    device_used: str
    output: dict[str, Any]
    measured: dict[str, Any] | None = None
