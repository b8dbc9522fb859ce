"""State tables of the code as SVG: a column of states, and an arc for each step; forward right, back left."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from html import escape
from typing import TypeVar

from neurogrid_marketplace import lease, settlement, task
from neurogrid_marketplace.settlement import Settlement, SettlementPhase

State = TypeVar("State", bound=StrEnum)

_ROW, _WIDTH, _HEIGHT, _LEFT = 46, 120, 28, 210


def tables() -> dict[str, Mapping[str, frozenset[str]]]:
    """Name -> state -> what may follow it."""
    return {
        "task": _plain(task.TRANSITIONS),
        "lease": _plain(lease.TRANSITIONS),
        "settlement": _settlement(),
    }


def _plain(table: Mapping[State, frozenset[State]]) -> dict[str, frozenset[str]]:
    return {str(state): frozenset(map(str, after)) for state, after in table.items()}


def _settlement() -> dict[str, frozenset[str]]:
    """Its rules are functions, so each state is put to each of them."""
    steps: tuple[Callable[[Settlement], Settlement], ...] = (
        lambda s: settlement.opening(s, 1),
        lambda s: settlement.opened(s, 1),
        lambda s: settlement.open_failed(s, 1),
        lambda s: settlement.decided(s, 5, 1),
        lambda s: settlement.abandoned(s, 1),
        lambda s: settlement.closed(s, "signature", 5, 1),
    )
    found: dict[str, frozenset[str]] = {}
    for phase in SettlementPhase:
        after: set[str] = set()
        for due in (None, 5):
            here = replace(Settlement("lease", 10), phase=phase, due_micro_usdc=due)
            after |= {str(step(here).phase) for step in steps}
        found[str(phase)] = frozenset(after - {str(phase)})
    return found


def picture(name: str, table: Mapping[str, frozenset[str]]) -> str:
    """The SVG of one table. Colours are the page's own, so that it fits light and dark."""
    order = list(table)
    middle = {state: 24 + row * _ROW for row, state in enumerate(order)}
    parts = []
    for state, after in table.items():
        for then in sorted(after, key=order.index):
            ahead = middle[then] > middle[state]
            rows = abs(order.index(then) - order.index(state))
            x = _LEFT + (_WIDTH if ahead else 0)
            reach = (14 + 17 * rows) * (1 if ahead else -1)
            y0, y1 = middle[state] + (6 if ahead else -6), middle[then] - (6 if ahead else -6)
            parts.append(
                f'<path d="M{x} {y0}C{x + reach} {y0} {x + reach} {y1} {x} {y1}" fill="none" stroke="currentColor"'
                f' stroke-opacity=".55" marker-end="url(#{name}-tip)"><title>{escape(f"{state} to {then}")}</title></path>'
            )
    for state, y in middle.items():
        end = "" if table[state] else ' stroke-width="2.5"'
        parts.append(
            f'<rect x="{_LEFT}" y="{y - _HEIGHT / 2}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="var(--md-code-bg-color)"'
            f' stroke="currentColor"{end}/><text x="{_LEFT + _WIDTH / 2}" y="{y + 4}" text-anchor="middle"'
            f' fill="currentColor" font-size="13">{escape(state)}</text>'
        )
    height = 24 + len(order) * _ROW
    tip = (
        f'<marker id="{name}-tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="currentColor"/></marker>'
    )
    return (
        f'<svg role="img" aria-label="States of a {name}" viewBox="0 0 540 {height}" style="max-width:540px">'
        f"<defs>{tip}</defs>{''.join(parts)}</svg>"
    )
