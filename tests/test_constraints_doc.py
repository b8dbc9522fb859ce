"""docs/constraints.md lists what the language has."""

import re
from pathlib import Path
from typing import Any

import pytest

from neurogrid_marketplace.attributes import NODE, TASK, Vocabulary
from neurogrid_marketplace.bid import MEANINGS
from neurogrid_marketplace.condition_text import read_conditions
from neurogrid_marketplace.conditions import Operator

PAGE = (Path(__file__).parent.parent / "docs/constraints.md").read_text()


def _section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def _rows(heading: str) -> list[list[str]]:
    lines = [line for line in _section(heading).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


@pytest.mark.parametrize(
    ("heading", "vocabulary"), [("Of nodes", NODE), ("Of tasks: for who owns a node", TASK)]
)
def test_every_attribute_is_there_with_its_kind_and_meaning(
    heading: str, vocabulary: Vocabulary[Any]
) -> None:
    assert _rows(heading) == [
        [f"`{each.name}`", f"{each.kind.name}: `{each.example}`", each.meaning]
        for each in vocabulary
    ]


def test_every_comparison_is_there() -> None:
    shown = re.findall(r"`([^`]+)`", " ".join(row[0] for row in _rows("Writing them")))
    assert {text.partition(" (")[0] for text in shown} == {each.value for each in Operator}


def test_every_decline_is_there() -> None:
    assert _rows("Declines") == [[f"`{code.value}`", means] for code, means in MEANINGS.items()]


def test_its_examples_are_read() -> None:
    (on_nodes,) = re.findall(r"--where '([^']+)'", PAGE)
    assert len(read_conditions(on_nodes, NODE)) == 6
    (on_tasks,) = re.findall(r'^    accept = "([^"]+)"', PAGE, re.MULTILINE)
    assert len(read_conditions(on_tasks, TASK)) == 2
