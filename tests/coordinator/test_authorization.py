"""Every route that there is, times everybody who might ask: who gets in, and what the others hear and change.

The routes are the application's own (`app.routes`); `route_access` has what they do not say themselves. Each
operation is asked about something real of Alice's, which its last request, hers, shows.
"""

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, select

from coordinator.api_world import USDC, Customer, World, open_world
from coordinator.asking import ask
from coordinator.error_answers import check_error, error_of
from coordinator.on_asyncio import on_asyncio
from coordinator.owned_things import Thing, artifact, running_task
from coordinator.places import place_in
from coordinator.records import NOW_MS
from coordinator.route_access import (
    SPECIAL,
    WEBSOCKET,
    Access,
    Operation,
    Who,
    access,
    operations,
    parameters,
)
from neurogrid_coordinator.store import accounts
from neurogrid_coordinator.store.accounts import ROLES, SCOPES
from neurogrid_coordinator.store.tables import metadata, used_signatures

_PAGE = Path(__file__).parent.parent.parent / "docs/authorization.md"
_DEPOSIT = 100_000 * USDC
# A file's hash names it wherever it is, and a machine's id is in the market's lists.
_PUBLIC_NAMES = {"sha256", "resource_id"}


class Asker(StrEnum):
    """Who asks, in the order in which they do; only the last may change something."""

    NO_KEY = "no key"
    OTHER_SCHEME = "a name and password"
    EMPTY = "an empty key"
    LONG = "a key of 600 characters"
    WRONG = "a key that was never issued"
    REVOKED = "a revoked key"
    EXPIRED = "an expired key"
    NODE = "a node, with the token of another lease"
    UNSCOPED = "a key with every scope but the one"
    OF_ANOTHER_ROLE = "a key with every role but the one"
    UNSIGNED = "who may, without the wallet's signature"
    OTHER = "another tenant"
    NOBODYS = "another tenant, about what is nobody's"
    RIGHT = "who may"


_WITHOUT_KEY = tuple(Asker)[: tuple(Asker).index(Asker.NODE)]


@dataclass(frozen=True)
class Cell:
    """An answer, what it was about, and whether anything stored is another than before."""

    answer: httpx.Response
    about: str
    changed: bool


@dataclass(frozen=True)
class Row:
    """All answers of an operation with a query."""

    operation: Operation
    query: str
    access: Access
    cells: dict[Asker, Cell]

    def status(self, asker: Asker) -> int:
        return self.cells[asker].answer.status_code

    def wrong(self, asker: Asker, wanted: object) -> str:
        """What to say of a cell that is not as it must be."""
        answer = self.cells[asker].answer
        return (
            f"{self.operation}{self.query}: {asker} must hear {wanted}, and heard {answer.status_code} "
            f"{answer.text[:200]} (what the route does not say itself belongs in route_access.SPECIAL)"
        )


@dataclass(frozen=True)
class Matrix:
    """See the module.

    Attributes:
        alices: ids that are for her alone.
    """

    rows: list[Row]
    alices: set[str]


@dataclass(frozen=True)
class _Cast:
    """Everybody who asks."""

    alice: Customer
    mallory: Customer
    revoked: str
    expired: str
    other_lease: str
    unscoped: dict[str, str]
    unroled: dict[str, str]
    mallorys_lease: str


async def _cast(world: World) -> _Cast:
    alice = await world.customer("alice", deposit=_DEPOSIT, scopes=SCOPES, roles=ROLES)
    mallory = await world.customer("mallory", deposit=_DEPOSIT, scopes=SCOPES)
    expired, _ = await world.key_of(alice.account, expires_at_ms=1)
    revoked, _ = await world.key_of(alice.account)
    key_id = (
        await world.database.read(lambda conn: accounts.find_key(conn, revoked, NOW_MS - 1))
    ).id
    await world.database.write(lambda conn: accounts.revoke_key(conn, key_id, NOW_MS))
    return _Cast(
        alice,
        mallory,
        revoked,
        expired,
        other_lease=(await running_task(world, alice, "of another lease")).token,
        unscoped={
            scope: (await world.key_of(alice.account, tuple(s for s in SCOPES if s != scope)))[0]
            for scope in SCOPES
        },
        unroled={
            role: (
                await world.key_of(
                    alice.account, SCOPES, roles=tuple(r for r in ROLES if r != role)
                )
            )[0]
            for role in ROLES
        },
        mallorys_lease=(await running_task(world, mallory, "of mallory's")).token,
    )


def _credentials(cast: _Cast, access: Access, thing: Thing) -> dict[Asker, str]:
    """What each of them sends."""
    is_nodes = access.who is Who.NODE
    other = cast.mallorys_lease if is_nodes else cast.mallory.key
    return {
        Asker.NO_KEY: "",
        Asker.OTHER_SCHEME: "Basic YWxpY2U6c2VjcmV0",
        Asker.EMPTY: "Bearer ",
        Asker.LONG: f"Bearer {'x' * 600}",
        Asker.WRONG: "Bearer ng_wrong",
        Asker.REVOKED: f"Bearer {cast.revoked}",
        Asker.EXPIRED: f"Bearer {cast.expired}",
        Asker.NODE: f"Bearer {cast.other_lease}",
        Asker.UNSCOPED: f"Bearer {cast.unscoped[access.scope]}",
        # Where every role may, nobody is of another.
        Asker.OF_ANOTHER_ROLE: f"Bearer {cast.unroled.get(access.role, 'ng_wrong')}",
        # Where nothing has to be signed, nobody lacks a signature.
        Asker.UNSIGNED: f"Bearer {cast.alice.key if access.is_signed else 'ng_wrong'}",
        Asker.OTHER: f"Bearer {other}",
        Asker.NOBODYS: f"Bearer {other}",
        Asker.RIGHT: ""
        if access.who is Who.ANYBODY
        else f"Bearer {thing.token if is_nodes else cast.alice.key}",
    }


def _path(operation: Operation, values: dict[str, str]) -> str:
    names = parameters(operation.path)
    unknown = [name for name in names if name not in values]
    assert not unknown, f"{operation}: its thing does not say what {unknown} are"
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: values[found[1]], operation.path)


def _nobodys(text: str) -> str:
    """The same text, of a path or an answer, with ids that nobody has, and without the time of the answer."""
    timeless = re.sub(r'"timestamp":"[^"]*"', '"timestamp":""', text)
    return re.sub(r"[0-9a-f]{32,}", lambda found: "0" * len(found[0]), timeless)


class _Stored:
    """What the world keeps. Few requests write anything, so rows are read only where SQLite says that one did."""

    def __init__(self, world: World, watching: sqlite3.Connection) -> None:
        self._world = world
        self._watching = watching
        self._version = -1
        self._rows: object = None

    async def now(self) -> object:
        """Every row and file that there is, but for when keys were used."""
        # Another one after each commit of anybody else.
        (version,) = self._watching.execute("pragma data_version").fetchone()
        if version != self._version:
            self._rows = await _rows(self._world)
            self._version = version
        folder = self._world.blobs_folder
        files = sorted(path.name for path in folder.rglob("*") if path.is_file())
        return self._rows, files, list(self._world.woken)


async def _rows(world: World) -> object:
    def read(conn: Connection) -> list[list[tuple[object, ...]]]:
        return [
            sorted((tuple(row) for row in conn.execute(select(*columns))), key=repr)
            for table in metadata.sorted_tables
            # A signature is used, whatever becomes of what was signed.
            if table is not used_signatures
            if (columns := [c for c in table.c if c.name != "last_used_at_ms"])
        ]

    return await world.database.read(read)


async def _row(
    world: World, stored: _Stored, cast: _Cast, operation: Operation, query: str
) -> tuple[Row, Thing]:
    spec = access(operation)
    thing = await spec.thing(world, cast.alice, f"alice's, for {operation}{query}")
    path = _path(operation, thing.parameters) + query
    body = thing.body
    if spec.body is not None:
        body = httpx.Request("POST", "http://api", json=spec.body).content
    cells: dict[Asker, Cell] = {}
    before = await stored.now()
    for asker, credential in _credentials(cast, spec, thing).items():
        where = _nobodys(path) if asker is Asker.NOBODYS else path
        sent = body if operation.method in ("POST", "PUT", "PATCH") else b""
        signed = None
        if spec.is_signed and asker is not Asker.UNSIGNED:
            who = cast.mallory if asker in (Asker.OTHER, Asker.NOBODYS) else cast.alice
            signed = who.signed(operation.method, where, sent)
        answer = await ask(world, operation, where, credential, sent, signed)
        after = await stored.now()
        cells[asker] = Cell(answer, where, after != before)
        before = after
    return Row(operation, query, spec, cells), thing


async def _filled(folder: Path) -> Matrix:
    database = place_in(folder)
    assert isinstance(database, Path), "SQLite's"
    async with open_world(folder) as world:
        cast = await _cast(world)
        watching = sqlite3.connect(database, isolation_level=None)
        stored = _Stored(world, watching)
        made = [
            await _row(world, stored, cast, operation, query)
            for operation in operations(world.app.routes)
            for query in access(operation).queries
        ]
        alices = {cast.alice.account.id, cast.alice.account.wallet}
        for row, thing in made:
            if row.access.is_owned and not _PUBLIC_NAMES & thing.parameters.keys():
                alices.add(next(iter(thing.parameters.values())))
        watching.close()
        return Matrix([row for row, _ in made], alices)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    """Everybody's answer from every route."""
    return asyncio.run(_filled(tmp_path_factory.mktemp("matrix")))


def _kept(matrix: Matrix) -> Iterator[Row]:
    """The rows of what is not for anybody."""
    return (row for row in matrix.rows if row.access.who is not Who.ANYBODY)


def _refused(row: Row, asker: Asker, status: int, code: str) -> None:
    """Check that somebody hears this error in the api's form, and changes nothing."""
    cell = row.cells[asker]
    assert cell.answer.status_code == status, row.wrong(asker, f"{status} {code}")
    assert not cell.changed, f"{row.operation}: {asker} was refused, and still changed something"
    if row.operation.method == "HEAD":
        return
    if row.operation.method == WEBSOCKET:
        assert cell.answer.json()["error"]["code"] == code, row.wrong(asker, code)
    else:
        check_error(cell.answer, status, code)


def _details(row: Row, asker: Asker) -> object:
    answer = row.cells[asker].answer
    if row.operation.method == WEBSOCKET:
        return answer.json()["error"]["details"]
    return error_of(answer).details


def test_every_line_of_the_table_is_about_a_route_that_there_is(matrix: Matrix) -> None:
    there = {(row.operation.method, row.operation.path) for row in matrix.rows}
    assert not SPECIAL.keys() - there
    assert len(there) == sum(not row.query for row in matrix.rows) >= 50


def test_who_may_gets_what_they_ask_for(matrix: Matrix) -> None:
    for row in matrix.rows:
        status, right = row.status(Asker.RIGHT), row.access.right
        fits = status == right if right else 200 <= status < 300 or status == 101
        assert fits, row.wrong(Asker.RIGHT, right or "2xx")


def test_what_is_for_anybody_asks_nobody_who_they_are(matrix: Matrix) -> None:
    for row in matrix.rows:
        if row.access.who is Who.ANYBODY:
            for asker in set(Asker) - {Asker.NOBODYS}:
                assert row.status(asker) == row.status(Asker.RIGHT), row.wrong(asker, "the same")
                assert not row.cells[asker].changed


@pytest.mark.parametrize("asker", _WITHOUT_KEY)
def test_no_other_route_opens_without_a_good_key(matrix: Matrix, asker: Asker) -> None:
    code = "KEY_EXPIRED" if asker is Asker.EXPIRED else "UNAUTHORIZED"
    for row in _kept(matrix):
        if (row.operation.path, asker) == ("/ws", Asker.LONG):
            _refused(row, asker, 422, "INVALID_REQUEST")  # no message of its has such a field
            continue
        _refused(row, asker, 401, code)
        answer = row.cells[asker].answer
        assert "ng_wrong" not in answer.text
        if row.operation.path != "/ws":
            assert answer.headers["www-authenticate"] == "Bearer", row.operation


def test_a_nodes_token_opens_its_leases_files_and_nothing_else(matrix: Matrix) -> None:
    for row in _kept(matrix):
        wanted = row.access.other_lease
        if wanted == 401:
            _refused(row, Asker.NODE, 401, "UNAUTHORIZED")
        else:
            assert row.operation.path.startswith("/api/v1/artifacts/")
            assert row.status(Asker.NODE) == wanted, row.wrong(Asker.NODE, wanted)


def test_a_key_needs_the_scope_of_what_it_does(matrix: Matrix) -> None:
    for row in _kept(matrix):
        _refused(row, Asker.UNSCOPED, 403, "FORBIDDEN")
        if row.operation.method != "HEAD":
            details = _details(row, Asker.UNSCOPED)
            assert details == {"scope": row.access.scope}, row.operation


def test_a_key_acts_as_one_of_those_that_a_route_is_for(matrix: Matrix) -> None:
    for row in _kept(matrix):
        if row.access.who is not Who.KEY or not row.access.role:
            continue
        _refused(row, Asker.OF_ANOTHER_ROLE, 403, "FORBIDDEN")
        if row.operation.method != "HEAD":
            details = _details(row, Asker.OF_ANOTHER_ROLE)
            assert details == {"roles": [row.access.role]}, row.operation


def test_what_the_wallet_has_to_sign_is_not_done_without(matrix: Matrix) -> None:
    signed = [row for row in matrix.rows if row.access.is_signed]
    assert signed
    for row in signed:
        _refused(row, Asker.UNSIGNED, 401, "SIGNATURE_REQUIRED")


def test_what_is_somebody_elses_does_not_exist(matrix: Matrix) -> None:
    for row in _kept(matrix):
        if not row.access.is_owned:
            continue
        theirs, nobodys = row.cells[Asker.OTHER], row.cells[Asker.NOBODYS]
        _refused(row, Asker.OTHER, 404, row.access.missing)
        _refused(row, Asker.NOBODYS, 404, row.access.missing)
        # Not even the words tell whether there is one.
        assert _nobodys(theirs.answer.text) == _nobodys(nobodys.answer.text), row.operation
        ours = {"x-request-id", "content-length"}
        assert theirs.answer.headers.keys() - ours == nobodys.answer.headers.keys() - ours


def test_what_is_everybodys_shows_nothing_of_somebody_elses(matrix: Matrix) -> None:
    for row in matrix.rows:
        if not row.access.is_owned and "{task_id}" not in row.operation.path:
            text = row.cells[Asker.OTHER].answer.text
            shown = {one for one in matrix.alices if one in text}
            assert not shown, f"{row.operation} shows another tenant {shown}"
    # The same words would be seen: Alice's own lists have them.
    of = {str(row.operation): row.cells[Asker.RIGHT].answer.text for row in matrix.rows}
    for listing in ("GET /api/v1/tasks", "GET /api/v1/workflows", "GET /api/v1/account"):
        assert any(one in of[listing] for one in matrix.alices), listing


@on_asyncio
async def test_an_upload_does_not_tell_that_somebody_else_has_the_file(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        theirs = await artifact(world, alice, "the same")
        url = f"/api/v1/artifacts/{theirs.parameters['sha256']}"
        answer = await mallory.http.put(url, content=theirs.body)
        assert (answer.status_code, answer.json()["data"]["created"]) == (201, True)
        assert (await mallory.http.put(url, content=theirs.body)).status_code == 200


def _page_row(row: Row) -> str:
    """An operation as docs/authorization.md has it."""
    access = row.access
    who, role = access.who.value, ""
    if access.who is Who.KEY:
        who, role = f"{who} `{access.scope}`", access.role or "any"
        who += ", signed" if access.is_signed else ""
    others = (
        str(row.status(Asker.OTHER)) if access.is_owned and access.who is not Who.ANYBODY else ""
    )
    path = row.operation.path.replace(":path}", "}")
    return f"| {row.operation.method} `{path}` | {who} | {role} | {others} |"


def test_the_page_says_who_may_call_what(matrix: Matrix) -> None:
    wanted = [_page_row(row) for row in matrix.rows if not row.query]
    said = [line for line in _PAGE.read_text().splitlines() if re.match(r"\| [A-Z]+ `", line)]
    assert said == wanted, "the table of docs/authorization.md is to be:\n" + "\n".join(wanted)
