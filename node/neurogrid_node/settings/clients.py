"""Who is worked for, and what they may do with their jobs: [conditions], [direct], [services], [exec] of node.toml."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from neurogrid_marketplace.condition_text import MAX_TEXT_CHARS
from neurogrid_marketplace.conditions import Clause
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.fields import PeerId

from ..market.terms import read_own


@dataclass(frozen=True, slots=True)
class ConditionConfig:
    """What tasks and clients have to be; docs/constraints.md has the language.

    Attributes:
        accept: conditions over task.* and client.*; empty takes every task.
    """

    accept: Annotated[str, Meta(max_length=MAX_TEXT_CHARS)] = ""

    def clauses(self) -> tuple[Clause, ...]:
        """As they are judged.

        Raises:
            InvalidValue: says where they are wrong, or what can never hold.
        """
        try:
            return read_own(self.accept)
        except InvalidValue as error:
            raise InvalidValue(f"[conditions] accept: {error}") from error


@dataclass(frozen=True, slots=True)
class DirectConfig:
    """Clients that come to us by themselves, each with a coordinator of its own.

    Attributes:
        serve: whether we let any.
        clients: how many at a time.
        allow: peer ids of their coordinators; empty allows all.
    """

    serve: bool = False
    clients: Annotated[int, Meta(ge=1, le=256)] = 16
    allow: Annotated[tuple[PeerId, ...], Meta(max_length=256)] = ()


@dataclass(frozen=True, slots=True)
class ServicesConfig:
    """Connections that clients have to their jobs' ports (docs/services.md).

    Attributes:
        allow: whether they may.
        connections: to one job at a time.
        idle_s: one through which nothing has gone either way for so long is closed.
    """

    allow: bool = True
    connections: Annotated[int, Meta(ge=1, le=64)] = 64
    idle_s: Annotated[int, Meta(ge=1, le=24 * 3600)] = 3600


@dataclass(frozen=True, slots=True)
class ExecConfig:
    """Commands that clients run beside their jobs (docs/exec.md).

    Attributes:
        allow: whether they may.
        idle_s: one through which nothing has gone either way for so long is ended.
    """

    allow: bool = True
    idle_s: Annotated[int, Meta(ge=1, le=24 * 3600)] = 3600
