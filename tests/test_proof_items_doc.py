"""docs/receipts.md has every item that `neurogrid verify` can print, docs/challenges.md those of `verify-evidence`."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import neurogrid.receipts
from neurogrid_marketplace import challenge_evidence, receipt

DOCS = Path(__file__).parent.parent / "docs"
RULES = Path(receipt.__file__).parent
EVIDENCE = Path(challenge_evidence.__file__)
RECEIPTS = [*RULES.glob("receipt*.py"), Path(neurogrid.receipts.__file__)]


def items(source: str) -> Iterator[str]:
    """The names that are said to be proven, claimed or absent anywhere in a module."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Name(id="proven" | "claimed" | "absent"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def explained(page: str) -> set[str]:
    """The items in a page's table."""
    text = (DOCS / page).read_text()
    table = re.split(r"\n#+ ", re.split(r"\n#+ Line by line\n", text)[1])[0]
    return {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])
    }


@pytest.mark.parametrize(
    ("page", "modules"), [("receipts.md", RECEIPTS), ("challenges.md", [EVIDENCE])]
)
def test_the_page_explains_every_item(page: str, modules: Iterable[Path]) -> None:
    assert explained(page) == {name for path in modules for name in items(path.read_text())}


def test_no_other_module_makes_items() -> None:
    others = set(RULES.glob("*.py")) - {*RECEIPTS, EVIDENCE}
    assert not [name for path in others for name in items(path.read_text())]
