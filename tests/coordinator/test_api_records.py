"""Who changed what, and what failed: as an account and the operator read it, and that it can't be changed unseen."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, delete, update

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from coordinator.owned_things import failure
from coordinator.records import wallet
from neurogrid_coordinator.__main__ import main
from neurogrid_coordinator.setup import DATABASE_FILE
from neurogrid_coordinator.store import audit, failures
from neurogrid_coordinator.store.accounts import SCOPES
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.tables import audit_rows

LOGS = "/api/v1/audit/logs"
ERRORS = "/api/v1/errors"


async def logs(http: httpx.AsyncClient, **filters: str) -> dict[str, Any]:
    answer = await http.get(LOGS, params=filters)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def busy(world: World) -> Customer:
    """An account that has submitted, made a key, been refused, and looked."""
    alice = await world.customer("alice", scopes=SCOPES)
    await alice.http.post("/api/v1/tasks", json=TASK, headers={"X-Request-Id": "mine-0001"})
    await alice.http.post("/api/v1/tasks", json={"name": "refused"})
    await alice.http.get("/api/v1/tasks")
    await alice.http.post("/api/v1/api-keys", json={"name": "another", "scopes": ["read"]})
    return alice


@pytest.mark.both_databases
@on_asyncio
async def test_each_change_says_who_made_it_from_where(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await busy(world), await world.customer("mallory")
        data = await logs(alice.http)
        made_key, submitted = data["logs"]
        assert submitted["message"] == "POST /api/v1/tasks"
        assert (submitted["type"], submitted["level"]) == ("task", "info")
        assert submitted["details"]["request_id"] == "mine-0001"
        assert submitted["details"]["address"] == "127.0.0.1"
        assert submitted["details"]["key_id"].startswith("key_")
        assert (made_key["type"], made_key["level"]) == ("api", "warning")
        assert made_key["previous"] == submitted["hash"]
        assert data["metadata"] == {"total": 2, "filtered": 2, "time_range": "../.."}
        assert (await logs(mallory.http))["logs"] == []


@pytest.mark.both_databases
@on_asyncio
async def test_changes_are_found_by_time_type_and_level(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await busy(world)
        newest, oldest = (await logs(alice.http))["logs"]
        for filters, wanted in (
            ({"type": "task"}, [oldest]),
            ({"level": "warning"}, [newest]),
            ({"type": "system"}, []),
            ({"start_time": newest["timestamp"], "type": "api"}, [newest]),
            ({"end_time": oldest["timestamp"]}, []),
            ({"limit": "1", "offset": "1"}, [oldest]),
        ):
            assert (await logs(alice.http, **filters))["logs"] == wanted, filters
        found = await logs(alice.http, start_time="2026-01-01T00:00:00", level="error")
        assert found["metadata"] == {
            "total": 2,
            "filtered": 0,
            "time_range": "2026-01-01T00:00:00.000Z/..",
        }
        for wrong in ("?start_time=yesterday", "?type=money", "?limit=0"):
            check_error(await alice.http.get(LOGS + wrong), 422, "INVALID_REQUEST")


def _change(conn: Connection) -> None:
    conn.execute(update(audit_rows).where(audit_rows.c.seq == 2).values(message="GET /"))


def _take_out(conn: Connection) -> None:
    conn.execute(delete(audit_rows).where(audit_rows.c.seq == 2))


def _cut_off(conn: Connection) -> None:
    conn.execute(delete(audit_rows).where(audit_rows.c.seq > 1))


def _make_anew(conn: Connection) -> None:
    conn.execute(delete(audit_rows))
    audit.append(conn, audit.Acting("api", "info", None, "nothing happened"), 1)


def typed(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["audit", *arguments, "--data", str(folder)])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (_change, "row 2 is not what was written"),
        (_take_out, "row 2 is missing"),
        (_cut_off, "cut off or made anew"),
        (_make_anew, "cut off or made anew"),
    ],
)
def test_no_change_of_the_log_stays_unseen(tmp_path: Path, forge: Any, words: str) -> None:
    @on_asyncio
    async def fill() -> None:
        async with open_world(tmp_path) as world:
            alice = await busy(world)
            await alice.http.delete("/api/v1/api-keys/current")

    @on_asyncio
    async def change() -> None:
        async with Database.open(tmp_path / DATABASE_FILE) as database:
            await database.write(forge)

    fill()
    said = json.loads(typed(tmp_path, "verify", "--json")[1])
    assert said["rows"] == 3
    code, exported = typed(tmp_path, "export")
    rows = [json.loads(line) for line in exported.splitlines()]
    assert [row["seq"] for row in rows] == [1, 2, 3]
    assert rows[-1]["hash"] == said["head"]
    for row in rows:
        values = {name: value for name, value in row.items() if name != "hash"}
        assert audit.hash_of(values) == row["hash"]
    assert typed(tmp_path, "verify", "--head", rows[1]["hash"])[0] == 0
    change()
    code, text = typed(tmp_path, "verify", "--head", said["head"])
    assert code != 0
    assert words in text


def test_the_operators_commands_are_written_down_and_only_the_operator_reads_them(
    tmp_path: Path,
) -> None:
    data = ("--data", str(tmp_path))
    made = CliRunner().invoke(
        main,
        [
            *("account", "create", *data, "--name", "ops", "--wallet", wallet("ops")),
            *("--role", "operator", "--role", "client", "--json"),
        ],
    )
    assert made.exit_code == 0, made.output
    key = json.loads(made.stdout)["api_key"]

    @on_asyncio
    async def read() -> None:
        async with open_world(tmp_path) as world:
            operator = world.client(key)
            answer = await operator.get("/api/v1/operator/audit/logs?type=system")
            (row,) = answer.json()["data"]["logs"]
            assert row["message"].endswith("account create")
            assert row["details"]["name"] == "ops"
            assert (row["account_id"], row["level"]) == (None, "warning")
            assert key not in answer.text
            alice = await busy(world)
            everything = (await operator.get("/api/v1/operator/audit/logs")).json()["data"]
            assert everything["metadata"]["total"] == 3
            of = f"?account_id={alice.account.id}"
            hers = (await operator.get(f"/api/v1/operator/audit/logs{of}")).json()["data"]
            assert len(hers["logs"]) == 2
            check_error(await alice.http.get("/api/v1/operator/audit/logs"), 403, "FORBIDDEN")

    (tmp_path / "coordinator.db").touch()
    read()


@pytest.mark.both_databases
@on_asyncio
async def test_a_failed_task_is_in_its_owners_error_log_until_somebody_says_what_it_was(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        error_id = (await failure(world, alice, "")).parameters["error_id"]
        data = (await alice.http.get(ERRORS)).json()["data"]
        assert (data["total"], len(data["errors"])) == (1, 1)
        (shown,) = data["errors"]
        assert (shown["id"], shown["severity"]) == (error_id, "medium")
        assert shown["message"]
        assert shown["context"]["phase"] == "failed"
        assert shown["context"]["node_id"]
        assert shown["resolution"] is shown["resolved_at"] is None
        for query, number in (
            (f"task_id={shown['task_id']}", 1),
            ("task_id=task_0", 0),
            ("severity=medium&timeframe=24h", 1),
            ("severity=high", 0),
            ("resolved=false", 1),
            ("resolved=true", 0),
        ):
            assert (await alice.http.get(f"{ERRORS}?{query}")).json()["data"]["total"] == number
        words = {"resolution": "The image lacked a library."}
        answer = await alice.http.patch(f"{ERRORS}/{error_id}", json=words)
        assert answer.json()["data"]["resolution"] == words["resolution"]
        assert answer.json()["data"]["resolved_at"]
        assert (await alice.http.get(f"{ERRORS}/{error_id}")).json()["data"] == answer.json()[
            "data"
        ]
        check_error(await mallory.http.patch(f"{ERRORS}/{error_id}", json=words), 404, "NOT_FOUND")
        check_error(await mallory.http.get(f"{ERRORS}/{error_id}"), 404, "NOT_FOUND")
        assert (await mallory.http.get(ERRORS)).json()["data"]["total"] == 0
        for wrong in ("yesterday", "0h", "10w", "h"):
            answer = await alice.http.get(f"{ERRORS}?timeframe={wrong}")
            check_error(answer, 422, "INVALID_REQUEST")


@on_asyncio
async def test_a_bug_of_ours_is_the_operators_to_see_without_what_was_in_the_request(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        world.market.bug = ZeroDivisionError("the secret is swordfish")
        answer = await alice.http.post("/api/v1/tasks", json=TASK)
        check_error(answer, 500, "INTERNAL")
        assert (await alice.http.get(ERRORS)).json()["data"]["total"] == 0

        def read(conn: Connection) -> list[failures.Failure]:
            return failures.list_rows(conn, failures.FailureFilter(), limit=9, offset=0)[0]

        (found,) = await world.database.read(read)
        assert found.context["request_id"] == answer.headers["x-request-id"]
        assert (found.severity, found.account_id) == ("high", None)
        assert "ZeroDivisionError" in found.message
        assert "api_surroundings.py" in found.stack
        assert "swordfish" not in repr(found)


@pytest.mark.both_databases
@on_asyncio
async def test_the_error_log_keeps_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "KEPT_MAX", 3)
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")

        def add(conn: Connection, account_id: str | None) -> None:
            for number in range(5):
                failures.add(
                    conn,
                    at_ms=number,
                    account_id=account_id,
                    severity="low",
                    code="X",
                    message="",
                    context={},
                    stack="",
                )

        await world.database.write(add, alice.account.id)
        await world.database.write(add, None)
        found, total = await world.database.read(
            lambda conn: failures.list_rows(conn, failures.FailureFilter(), limit=9, offset=0)
        )
        assert (total, sorted(each.at_ms for each in found)) == (6, [2, 2, 3, 3, 4, 4])


@on_asyncio
async def test_a_change_that_is_undone_leaves_no_row(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "db") as database:

        def fail(_: Connection) -> None:
            raise ZeroDivisionError

        with audit.Scene():
            audit.act(audit.Acting("api", "info", None, "POST /nothing"))
            with pytest.raises(ZeroDivisionError):
                await database.write(fail)
            assert await database.read(audit.count, None) == 0
            await database.write(lambda _: None)
            await database.write(lambda _: None)
            assert await database.read(audit.count, None) == 1
        await database.write(lambda _: None)
        assert await database.read(audit.verify) == (
            1,
            (await database.read(audit.page, 0))[0].hash,
        )
