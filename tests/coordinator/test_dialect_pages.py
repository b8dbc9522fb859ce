"""The pages of the documents' calls (docs/dialects): each call that a document prints has a row, and each row's routes exist.

What the documents print is in tests/conformance, word by word.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance import (
    document_000,
    document_001,
    document_002,
    document_003,
    document_003_provider,
    document_004,
)
from conformance.exchanges import Document
from coordinator.api_world import open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.route_access import operations

_PAGES = Path(__file__).parent.parent.parent / "docs/dialects"
_API = "/api/v1"
_SAME = "the same"
_CALL = re.compile(r"`(GET|POST|PUT|PATCH|DELETE|WS) (/[^`\s?]*)[^`]*`")


@dataclass(frozen=True)
class Row:
    """A row of a page's table.

    Attributes:
        printed: method and path of each call of the document's; native: of those that they are here.
        is_same: they are native calls by themselves.
    """

    printed: tuple[tuple[str, str], ...]
    native: tuple[tuple[str, str], ...]
    is_same: bool


def _table(page: str, head: str) -> list[list[str]]:
    """The cells of the table whose head begins so."""
    lines = (_PAGES / page).read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(head))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def _rows(page: str, head: str) -> list[Row]:
    rows = []
    for cells in _table(page, head):
        printed, native = (tuple(_CALL.findall(cell)) for cell in cells[:2])
        assert printed, f"{page}: {cells[0]} names no call"
        rows.append(Row(printed, native, cells[1] == _SAME))
    return rows


def _fits(path: str, pattern: str) -> bool:
    """Whether a path is one of a row's or a route's, whose parameters are ``{name}`` or ``:name``."""
    parts = re.split(r"\{[^}]*\}|:\w+", pattern)
    return re.fullmatch("[^/]+".join(re.escape(part) for part in parts), path) is not None


# Document, page, how its table begins, and where its calls and what they are natively lie.
DOCUMENTS = (
    (document_000.DOCUMENT, "bolt.md", "| document 000 | natively", "", ""),
    (document_001.DOCUMENT, "runner.md", "| document 001, below", "/runner/api/v1", _API),
    (document_002.DOCUMENT, "native.md", "| document 002 | here", _API, _API),
    (document_004.DOCUMENT, "openruntime.md", "| document 004 | natively", "", ""),
)


@pytest.mark.parametrize(("document", "page", "head"), [each[:3] for each in DOCUMENTS])
def test_each_call_that_a_document_prints_has_a_row(
    document: Document, page: str, head: str
) -> None:
    rows = [call for row in _rows(page, head) for call in row.printed]
    asked = [tuple(each.request.split(" ", 1)) for each in document.exchanges]
    # What makes ready, what is refused as an unknown path.
    theirs = [
        (method, path.partition("?")[0])
        for method, path in asked
        if not path.startswith(f"{_API}/") and not path.endswith("/none")
    ]
    assert len(theirs) >= 10
    lacking = [
        f"{method} {path}"
        for method, path in theirs
        if not any(method == known and _fits(path, pattern) for known, pattern in rows)
    ]
    assert not lacking, f"docs/dialects/{page} has no row for them"


@on_asyncio
async def test_each_route_that_a_row_names_exists(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        there = {
            (operation.method, re.sub(r"\{[^}]*\}", "{}", operation.path))
            for operation in operations(world.app.routes)
        }
    wanted: set[tuple[str, str]] = set()
    for _, page, head, below, native_below in DOCUMENTS:
        for row in _rows(page, head):
            wanted |= {(method, f"{below}{path}") for method, path in row.printed}
            natively = row.printed if row.is_same and below else row.native
            wanted |= {(method, f"{native_below}{path}") for method, path in natively}
    for cells in _table("native.md", "| document 003 | over REST"):
        wanted |= {(method, f"{_API}{path}") for method, path in _CALL.findall(cells[1])}
    # Beside the rest, not below it.
    wanted = {(method, "/ws" if path.endswith("/ws") else path) for method, path in wanted}
    plain = {(method, re.sub(r"\{[^}]*\}|:\w+", "{}", path)) for method, path in wanted}
    assert len(plain) >= 60
    assert not plain - there


def test_each_call_of_document_003_has_a_row() -> None:
    named: set[str] = set()
    for cells in _table("native.md", "| document 003 | over REST"):
        room = ""
        for name in re.findall(r"`([a-z._]+)`", cells[0]):
            if not name.startswith("."):
                room = name.rpartition(".")[0]
                named.add(name)
                continue
            # `client.wallet.get_balance`, `.deposit`: of the same room.
            named.add(f"{room}{name}")
    printed = {
        found
        for document in (document_003.DOCUMENT, document_003_provider.DOCUMENT)
        for call in document.calls
        for found in re.findall(r"\b(?:client|provider)\.\w+\.\w+(?=\()", call.code)
    }
    assert len(printed) >= 25
    assert not printed - named, "docs/dialects/native.md has no row for them"
