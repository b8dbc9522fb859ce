"""Draw docs/market-scale.svg: ``python -m simulation.plot`` with ``tests`` on the path.

Messages and looks per order against the size of the market, counted, not timed: the same numbers on
every machine. `test_big_market` fails when the picture is not what this makes.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .big_market import BigMarket
from .clockwork import Chaos
from .fleet import LARGEST

MARKET_SVG = Path(__file__).parents[2] / "docs/market-scale.svg"
_SIZES = (100, 300, 1_000, 3_000, LARGEST)
# So many for which every shape of demand is new, and so many after them.
_ORDERS = 200
_WIDTH, _HEIGHT = 720, 340
# A label is above its line, or below it where another's is there.
_ABOVE, _BELOW = -8, 18
_PANEL, _GAP, _LEFT, _TOP, _BOTTOM = 280, 80, 60, 50, 280
_INK, _OURS, _FIRST, _PLAIN = "#333333", "#1f6f8b", "#7fb069", "#b5651d"
_FONT = f'font-family="sans-serif" font-size="12" fill="{_INK}"'


@dataclass(frozen=True, slots=True)
class Point:
    """What orders cost in a market of one size.

    Attributes:
        looks_at_first: offers held against a demand, for an order of the first 200, in which the
            lists of new shapes are made; looks_later: of the next 200.
    """

    nodes: int
    messages_per_order: float
    messages_most: int
    looks_at_first: float
    looks_later: float


@lru_cache(maxsize=1)
def measured() -> tuple[Point, ...]:
    """One calm run for each size, the smallest first."""
    points = []
    for nodes in _SIZES:
        market = BigMarket(7, Chaos(), size=nodes, orders=2 * _ORDERS)
        market.run()
        market.check()
        messages = [item.messages for item in market.orders]
        looks = [item.looks for item in market.orders]
        points.append(
            Point(
                nodes,
                sum(messages) / len(messages),
                max(messages),
                sum(looks[:_ORDERS]) / _ORDERS,
                sum(looks[_ORDERS:]) / _ORDERS,
            )
        )
    return tuple(points)


def drawn(points: tuple[Point, ...]) -> str:
    """The picture."""
    left = _Panel(_LEFT, "messages per order", 0, 24, is_log=False)
    right = _Panel(_LEFT + _PANEL + _GAP, "offers looked at per order", 10, LARGEST, is_log=True)
    ours_left = [(p.nodes, p.messages_per_order) for p in points]
    at_first = [(p.nodes, p.looks_at_first) for p in points]
    later = [(p.nodes, p.looks_later) for p in points]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {_FONT}>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        *left.axes((0, 6, 12, 18, 24)),
        *left.line([(n, 19.0) for n in (_SIZES[0], _SIZES[-1])], _PLAIN, "2k + 3, k = 8"),
        *left.line(ours_left, _OURS, "sent", _BELOW),
        *right.axes((10, 100, 1_000, LARGEST)),
        *right.line([(n, float(n)) for n in (_SIZES[0], _SIZES[-1])], _PLAIN, "every offer"),
        *right.line(at_first, _FIRST, f"first {_ORDERS} orders"),
        *right.line(later, _OURS, "later orders", _BELOW),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Panel:
    """One diagram; nodes go from left to right, by powers of ten."""

    left: int
    title: str
    low: float
    high: float
    is_log: bool

    def axes(self, marks: tuple[int, ...]) -> list[str]:
        bottom, right = _BOTTOM, self.left + _PANEL
        drawing = [
            f'<text x="{self.left}" y="{_TOP - 18}" font-weight="bold">{self.title}</text>',
            f'<path d="M{self.left} {_TOP}V{bottom}H{right}" fill="none" stroke="{_INK}"/>',
            f'<text x="{self.left + _PANEL // 2}" y="{bottom + 40}" text-anchor="middle">nodes</text>',
        ]
        for nodes in (100, 1_000, LARGEST):
            drawing.append(
                f'<text x="{self._x(nodes):.1f}" y="{bottom + 18}" text-anchor="middle">{nodes:,}</text>'
            )
        for mark in marks:
            y = self._y(mark)
            drawing += [
                f'<path d="M{self.left} {y:.1f}H{right}" stroke="#dddddd"/>',
                f'<text x="{self.left - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:,}</text>',
            ]
        return drawing

    def line(
        self, points: list[tuple[int, float]], color: str, label: str, label_at: int = _ABOVE
    ) -> list[str]:
        places = [(self._x(nodes), self._y(value)) for nodes, value in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        end_x, end_y = places[-1]
        return [
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>',
            f'<text x="{end_x:.1f}" y="{end_y + label_at:.1f}" text-anchor="end" fill="{color}">{label}</text>',
        ]

    def _x(self, nodes: int) -> float:
        share = math.log10(nodes / _SIZES[0]) / math.log10(_SIZES[-1] / _SIZES[0])
        return self.left + 20 + share * (_PANEL - 40)

    def _y(self, value: float) -> float:
        if self.is_log:
            share = math.log10(value / self.low) / math.log10(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return _BOTTOM - share * (_BOTTOM - _TOP)


def main() -> None:
    """Write the file."""
    MARKET_SVG.write_text(drawn(measured()))


if __name__ == "__main__":
    main()
