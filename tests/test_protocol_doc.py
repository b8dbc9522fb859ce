"""docs/protocol.md has every message, field, bound, transition, timer and outcome of the code."""

import ast
import dataclasses
import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest
from msgspec import Meta

from neurogrid_marketplace import (
    advert,
    checkpoint,
    comparator,
    conditions,
    demand,
    fields,
    gang,
    lease,
    messages,
    network,
    offer,
    price_sheet,
    resources,
    serving,
    spot,
    task,
    units,
    usage,
)
from neurogrid_marketplace.advert import Advert
from neurogrid_marketplace.attributes import NODE
from neurogrid_marketplace.bid import MEANINGS, DeclineCode
from neurogrid_marketplace.faults import CONSEQUENCES
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.gang_packets import Greeting
from neurogrid_marketplace.messages import MESSAGE_TYPES
from neurogrid_marketplace.price_sheet import PriceSheet
from neurogrid_marketplace.receipt_kinds import KINDS, SettlementStatement
from neurogrid_marketplace.units import Units

PAGE = (Path(__file__).parent.parent / "docs/protocol.md").read_text()
# Where the bounded types have their names.
_TYPE_MODULES = (
    *(fields, resources, spot, comparator, conditions, checkpoint),
    *(gang, network, offer, demand, messages, advert, price_sheet, usage, units, serving),
)


def _section(heading: str) -> str:
    """What stands under a heading, up to the next one."""
    lines = PAGE.splitlines()
    starts = [number for number, line in enumerate(lines) if line.lstrip("# ") == heading]
    assert len(starts) == 1, f"{heading!r} is a heading {len(starts)} times"
    rest = lines[starts[0] + 1 :]
    end = next((n for n, line in enumerate(rest) if line.startswith("#")), len(rest))
    return "\n".join(rest[:end])


def _rows(heading: str) -> list[list[str]]:
    """The cells of the rows of the tables under a heading."""
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in _section(heading).splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ][1:]


# --- types, as the page words them ----------------------------------------------------------------


def words(annotation: ast.expr, module: ModuleType) -> str:
    """An annotation as the page words it."""
    match annotation:
        case ast.Name(id=name) | ast.Constant(value=str(name)):
            return {"bool": "bool", "int": "int"}.get(name, f"`{name}`")
        case ast.BinOp(left=left, right=ast.Constant(value=None)):
            return f"{words(left, module)} or null"
        case ast.BinOp(left=left, right=right):
            return f"{words(left, module)} or {words(right, module)}"
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[base, meta])):
            found = eval(ast.unparse(meta), vars(module))
            assert isinstance(found, Meta)
            return _bounded(base, found, module)
    raise AssertionError(f"no words for {ast.unparse(annotation)}")


def _bounded(base: ast.expr, meta: Meta, module: ModuleType) -> str:
    match base:
        case ast.Name(id="int") if meta.le is None:
            return f"int, at least {_number(meta.ge)}"
        case ast.Name(id="int"):
            return f"int, {_number(meta.ge)} to {_number(meta.le)}"
        case ast.Name(id="str"):
            return ", ".join(["str", *_text_bounds(meta)])
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[item, _])):
            number = f"{meta.min_length} to" if meta.min_length else "at most"
            return f"list of {words(item, module)}, {number} {meta.max_length}"
        case ast.Subscript(value=ast.Name(id="Mapping"), slice=ast.Tuple(elts=[key, value])):
            of = f"{words(key, module)} to {words(value, module)}"
            return f"map of {of}, at most {meta.max_length}"
    raise AssertionError(f"no words for {ast.unparse(base)}")


def _text_bounds(meta: Meta) -> Iterator[str]:
    if meta.pattern:
        assert meta.pattern.startswith("^")
        assert meta.pattern.endswith(r"\Z")
        pattern = meta.pattern[1:-2].replace("|", r"\|")
        yield f"`{pattern}`"
    if meta.max_length:
        yield f"at most {meta.max_length} characters"


def _number(value: float | None) -> str:
    return "2^53 - 1" if value == 2**53 - 1 else str(value)


def types() -> dict[str, str]:
    """Every named bounded type, in words."""
    found = {}
    for module in _TYPE_MODULES:
        for node in ast.parse(inspect.getsource(module)).body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Subscript)
                and isinstance(node.targets[0], ast.Name)
                and ast.unparse(node.value).startswith("Annotated[")
            ):
                found[node.targets[0].id] = words(node.value, module)
    return found


# --- dataclasses that travel ----------------------------------------------------------------------


def travellers() -> dict[str, type]:
    """Every dataclass and enumeration that a message is made of, by name."""
    found: dict[str, type] = {}

    def visit(kind: Any) -> None:
        for part in getattr(kind, "__args__", ()):
            visit(part)
        if not isinstance(kind, type) or kind.__name__ in found:
            return
        if dataclasses.is_dataclass(kind):
            found[kind.__name__] = kind
            for hint in get_type_hints(kind).values():
                visit(hint)
        elif issubclass(kind, Enum):
            found[kind.__name__] = kind

    for kind in (*MESSAGE_TYPES.values(), SettlementStatement, Greeting, Advert, PriceSheet):
        visit(kind)
    return found


def field_rows(kind: type) -> list[tuple[str, str, str]]:
    """Name, type and default of every field of a dataclass, as the page words them."""
    assert dataclasses.is_dataclass(kind)
    module = sys.modules[kind.__module__]
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    annotations = {
        node.target.id: words(node.annotation, module)
        for node in body.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return [
        (item.name, annotations[item.name], _default(item)) for item in dataclasses.fields(kind)
    ]


def _default(item: "dataclasses.Field[Any]") -> str:
    if item.default_factory is not dataclasses.MISSING:
        value = item.default_factory()
    elif item.default is dataclasses.MISSING:
        return ""
    else:
        value = item.default
    if value == "0" * 64:
        return "64 zeros"
    if isinstance(value, Enum):
        value = value.value
    mark = ", omitted" if fields.is_omitted(item) else ""
    return f"`{json.dumps(value)}`{mark}"


DATACLASSES = [kind for kind in travellers().values() if dataclasses.is_dataclass(kind)]
ENUMS = [kind for kind in travellers().values() if issubclass(kind, Enum)]


def test_the_page_lists_every_message() -> None:
    assert [row[0] for row in _rows("Messages")] == [f"`{name}`" for name in MESSAGE_TYPES]


@pytest.mark.parametrize("kind", DATACLASSES, ids=lambda kind: kind.__name__)
def test_the_page_has_every_field_with_its_type_and_default(kind: type) -> None:
    name = next((name for name, message in MESSAGE_TYPES.items() if message is kind), None)
    rows = _rows(f"`{name or kind.__name__}`")
    assert [tuple(row[:3]) for row in rows] == [
        (f"`{field}`", type_, default) for field, type_, default in field_rows(kind)
    ]
    assert all(row[3] for row in rows), "each field has a meaning"


def test_the_page_has_every_type_with_its_bounds() -> None:
    assert {row[0]: row[1] for row in _rows("Types")} == {
        f"`{name}`": words for name, words in types().items()
    }


@pytest.mark.parametrize("kind", ENUMS, ids=lambda kind: kind.__name__)
def test_the_page_has_every_word(kind: type[Enum]) -> None:
    rows = {row[0]: row[1] for row in _rows("Words")}
    assert rows[f"`{kind.__name__}`"] == ", ".join(f"`{member.value}`" for member in kind)


def test_the_page_has_every_outcome_with_its_consequence() -> None:
    assert [row[:4] for row in _rows("Outcomes")] == [
        [
            f"`{outcome.value}`",
            consequence.fault.value,
            "yes" if consequence.charged else "no",
            "yes" if consequence.retried else "no",
        ]
        for outcome, consequence in CONSEQUENCES.items()
    ]


@pytest.mark.parametrize(
    ("heading", "table"),
    [("The node's lease", lease.TRANSITIONS), ("The coordinator's task", task.TRANSITIONS)],
)
def test_the_page_has_every_transition(heading: str, table: dict[Enum, frozenset[Enum]]) -> None:
    for (state, followers), row in zip(table.items(), _rows(heading), strict=True):
        assert row[0] == f"`{state.value}`"
        listed = re.findall(r"`([a-z]+)`", row[1])
        assert sorted(listed) == sorted(follower.value for follower in followers)


def test_the_page_has_the_timers_that_the_code_keeps() -> None:
    rows = _rows("Timers")
    assert len(rows) >= 15
    for row in rows:
        module_name, _, constant = row[2].strip("`").rpartition(".")
        if not module_name:
            continue
        value = getattr(importlib.import_module(module_name), constant)
        number, unit = row[1].split()
        factor = {"s": 1, "ms": 0.001, "min": 60, "h": 3600, "d": 86_400}[unit]
        seconds = value / (1000 if constant.endswith("_MS") else 1)
        assert seconds == pytest.approx(float(number) * factor), row[2]


def test_the_page_has_every_attribute_of_a_node() -> None:
    assert _rows("Conditions") == [
        [
            f"`{each.name}`",
            each.subject.value,
            each.kind.name,
            each.kind.base_unit,
            each.meaning,
        ]
        for each in NODE
    ]


def test_the_page_has_every_kind_of_link_of_a_receipt() -> None:
    assert [row[:3] for row in _rows("Kinds of links")] == [
        [
            f"`{kind.name}`",
            str(kind.least) if kind.least == kind.most else f"{kind.least} to {kind.most}",
            kind.signer.value,
        ]
        for kind in KINDS
    ]


def test_the_page_says_what_every_decline_means() -> None:
    assert _rows("Declines") == [[f"`{code.value}`", meaning] for code, meaning in MEANINGS.items()]
    assert list(MEANINGS) == list(DeclineCode)


def test_a_message_hash_has_every_field() -> None:
    """What the page says of hashes of messages: all fields, defaults filled in."""
    decoded = fields.decode(
        messages.Result,
        {"outcome": "completed", "exit_code": 0, "message": "", "metered_ms": 1, "later": 2},
    )
    assert set(plain(decoded)) == {
        item.name for item in dataclasses.fields(messages.Result) if not fields.is_omitted(item)
    }


def test_a_later_field_is_in_a_hash_only_where_it_says_something() -> None:
    """So that what was signed before it existed keeps its hash."""
    meter = messages.Meter("lease_" + "1" * 32, 1, 2)
    assert set(plain(meter)) == {"lease_id", "metered_ms", "cumulative_micro_usdc", "voucher_hash"}
    counted = dataclasses.replace(meter, served=Units(output_tokens=1))
    assert plain(counted)["served"] == plain(Units(output_tokens=1))
