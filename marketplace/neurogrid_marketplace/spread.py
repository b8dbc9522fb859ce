"""What a task says of others that it must keep apart from; `spreading` has the rules."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from .conditions import MAX_VALUES, Clause, Condition, Operator, Where

# Nodes, and wallets, that one task may avoid: with more it had better say whom it wants.
MAX_AVOIDED = 64


class SpreadBy(StrEnum):
    """What tasks of a group do not share."""

    NODE = "node"
    WALLET = "wallet"
    REGION = "region"


@dataclass(frozen=True, slots=True)
class Spread:
    """Tasks of one account with the same ``group`` share no node, wallet or region while they run.

    Each keeps away from all others of the group by its own ``by``.
    """

    group: str
    by: SpreadBy = SpreadBy.NODE


@dataclass(frozen=True, slots=True)
class Avoid:
    """Nodes, and wallets whose nodes, a task must not run on."""

    nodes: tuple[str, ...] = ()
    wallets: tuple[str, ...] = ()

    def where(self) -> Where:
        """As conditions of its demand."""
        return (*_none_of("node.id", self.nodes), *_none_of("node.wallet", self.wallets))


NOWHERE = Avoid()


def _none_of(attribute: str, values: tuple[str, ...]) -> Iterator[Clause]:
    for start in range(0, len(values), MAX_VALUES):
        some = values[start : start + MAX_VALUES]
        yield Clause((Condition(attribute, Operator.NOT_IN, some),))
