"""What all answers of the native API are made of.

Money is a decimal string in USDC, and a number only where document 002 shows one.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

TaskKind = Literal["container", "operation", "model", "replica", "use"]
TaskStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
Amount = Annotated[
    str,
    Meta(
        description="USDC, at most six decimals.",
        examples=["10.00"],
        extra_json_schema={"format": "decimal"},
    ),
]
Time = Annotated[str, Meta(description="UTC.", examples=["2024-01-15T10:30:00.000Z"])]


class ErrorBody(Struct, frozen=True):
    """What went wrong; ``code`` and ``details`` are for programs."""

    code: str
    message: str
    type: str
    details: dict[str, Any]


class ErrorAnswer(Struct, frozen=True):
    """Every error looks like this."""

    success: Literal[False]
    error: ErrorBody
