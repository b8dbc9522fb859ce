"""How a coordinator is, and what it says of itself to everybody."""

from datetime import datetime
from typing import Any

from msgspec import Struct


class CoordinatorStatus(Struct, frozen=True, kw_only=True):
    """How a coordinator is.

    Attributes:
        status: ``ok``, or what is wrong.
        network: the market's name.
        tasks: how many there are, by status; services: how each part is.
    """

    status: str
    version: str = ""
    network: str = ""
    market: str = ""
    nodes: int = 0
    tasks: dict[str, int] = {}
    services: dict[str, str] = {}
    uptime_seconds: float = 0
    last_health_check: datetime | None = None


class ServiceStatus(Struct, frozen=True, kw_only=True):
    """How a part of a coordinator is; what ``details`` has depends on the part."""

    service: str
    status: str
    details: dict[str, Any] = {}
    last_health_check: datetime | None = None


class ConstraintAttribute(Struct, frozen=True, kw_only=True):
    """Something that a condition on nodes may name (``where``)."""

    name: str
    about: str
    type: str
    operators: list[str]
    units: list[str] = []
    base_unit: str = ""
    example: str = ""
    meaning: str = ""


class ConstraintAttributes(Struct, frozen=True):
    """All that conditions may name."""

    attributes: list[ConstraintAttribute]


class DrawingDay(Struct, frozen=True, kw_only=True):
    """What a day's spot checks are drawn with: committed to before, and told after it.

    Attributes:
        commitment: SHA-256 of the secret, hex.
        secret: None as long as the day lasts.
    """

    day: str
    commitment: str
    secret: str | None = None


class DrawingDays(Struct, frozen=True):
    """Some days, the oldest first."""

    days: list[DrawingDay]
