"""docs/receipts.md has every item that `neurogrid verify` can print."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import neurogrid.receipts
import neurogrid_marketplace

PAGE = (Path(__file__).parent.parent / "docs/receipts.md").read_text()
CHECKED_IN = [
    *Path(neurogrid_marketplace.__path__[0]).glob("*.py"),
    Path(neurogrid.receipts.__file__),
]


def items(source: str) -> Iterator[str]:
    """The names that are said to be proven, claimed or absent anywhere in a module."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Name(id="proven" | "claimed" | "absent"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def test_the_page_explains_every_item() -> None:
    table = PAGE.partition("## Line by line")[2].partition("\n## ")[0]
    explained = {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])
    }
    said = {name for path in CHECKED_IN for name in items(path.read_text())}
    assert len(said) >= 20
    assert explained == said
