"""What tasks cost, and invoices, over REST."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.money.invoicing import issue_due, month_of
from neurogrid_coordinator.store.tables import leases

BILLING = "/api/v1/billing"
HOUR_MS = 3_600_000


def ms(year: int, month: int, day: int) -> int:
    return round(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)


async def paid_task(world: World, who: Customer, **changes: Any) -> str:
    answer = await who.http.post("/api/v1/tasks", json={**TASK, **changes})
    assert answer.status_code == 201, answer.text
    task_id = str(answer.json()["data"]["id"])
    await world.start(task_id)
    await world.finish(task_id)
    await world.pay(task_id)
    return task_id


async def settled_at(world: World, task_id: str, at_ms: int) -> None:
    """Have a task's escrow be closed at another moment."""

    def change(conn: Connection) -> None:
        conn.execute(
            update(leases)
            .where(leases.c.task_id == task_id)
            .values(settled_at_ms=at_ms, created_at_ms=at_ms - 60_000)
        )

    await world.database.write(change)


async def issued(world: World, now_ms: int) -> list[int]:
    """Numbers of the invoices that are issued now."""
    found = await world.database.write(issue_due, now_ms)
    return [invoice.number for invoice in found]


async def data(who: Customer, path: str) -> dict[str, Any]:
    answer = await who.http.get(f"{BILLING}{path}")
    assert answer.status_code == 200, answer.text
    found = answer.json()["data"]
    assert isinstance(found, dict)
    return found


@pytest.mark.both_databases
@on_asyncio
async def test_each_run_shows_what_was_locked_paid_and_came_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await paid_task(world, alice)
        # Of 0.36 USDC an hour, ten seconds.
        found = await data(alice, "/history")
        (charge,) = found["history"]
        assert (charge["task_id"], charge["task_name"], charge["status"]) == (
            task_id,
            "Resize images",
            "settled",
        )
        assert (charge["escrowed"], charge["paid"], charge["refunded"]) == (
            "0.36",
            "0.001",
            "0.359",
        )
        assert charge["escrow_transaction"] == "5" * 88
        assert charge["payment_transaction"] == "4" * 88
        assert found["totals"] == {
            "escrowed": "0.36",
            "paid": "0.001",
            "refunded": "0.359",
            "open": "0.00",
        }
        balance = await data(alice, "/balance")
        assert (balance["balance"], balance["spent_this_month"]) == ("100.00", "0.001")

        answer = await alice.http.post("/api/v1/tasks", json={**TASK, "name": "=1+1"})
        running = answer.json()["data"]["id"]
        await world.start(running)
        found = await data(alice, "/history?limit=1")
        (charge,) = found["history"]
        assert (charge["status"], charge["refunded"], charge["settled_at"]) == (
            "escrowed",
            None,
            None,
        )
        assert (found["total"], found["totals"]["open"]) == (2, "0.36")
        bob = await world.customer("bob")
        assert (await data(bob, "/history"))["total"] == 0


@pytest.mark.both_databases
@on_asyncio
async def test_history_is_cut_by_days_and_exported_whole(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        for number, day in enumerate((1, 2, 3)):
            task_id = await paid_task(world, alice, name="=HYPERLINK(0)" if number else "plain")
            await settled_at(world, task_id, ms(2026, 1, day) + HOUR_MS)
        page = await data(alice, "/history?start_date=2026-01-02&end_date=2026-01-02")
        assert page["total"] == 1
        assert page["history"][0]["created_at"].startswith("2026-01-02")
        assert (await data(alice, "/history?end_date=2026-01-02"))["total"] == 2
        assert (await data(alice, "/history?start_date=0001-01-01&end_date=9999-12-31"))[
            "total"
        ] == 3
        for query in ("start_date=2026-01-02&end_date=2026-01-01", "start_date=x"):
            answer = await alice.http.get(f"{BILLING}/history?{query}")
            check_error(answer, 422, "INVALID_REQUEST")
        answer = await alice.http.get(f"{BILLING}/history?end_date=2026-01-31&format=csv&limit=1")
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["task_name"] for row in rows] == ["'=HYPERLINK(0)", "'=HYPERLINK(0)", "plain"]
        assert {row["paid"] for row in rows} == {"0.001"}


@pytest.mark.both_databases
@on_asyncio
async def test_a_month_becomes_one_invoice_that_never_changes(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        for day in ((2026, 1, 31), (2026, 3, 1), (2026, 3, 31), (2026, 4, 1)):
            task_id = await paid_task(world, alice)
            await settled_at(world, task_id, ms(*day))
        await settled_at(world, await paid_task(world, bob), ms(2026, 3, 7))
        # The month is over, but what was settled in its last moments may still be on its way.
        assert await issued(world, ms(2026, 2, 1) + HOUR_MS - 1) == []
        assert await issued(world, ms(2026, 4, 1) + HOUR_MS) == [1, 2, 1]
        assert await issued(world, ms(2026, 4, 1) + HOUR_MS) == []
        page = await data(alice, "/invoices")
        assert [
            (one["number"], one["period_start"], one["period_end"], one["total"])
            for one in page["invoices"]
        ] == [
            (2, "2026-03-01", "2026-03-31", "0.002"),
            (1, "2026-01-01", "2026-01-31", "0.001"),
        ]
        first = page["invoices"][0]
        before = await data(alice, f"/invoices/{first['id']}")
        assert [line["settled_at"][:10] for line in before["lines"]] == ["2026-03-01", "2026-03-31"]
        assert before["line_count"] == 2
        # One that was found late is on an invoice of its own.
        await settled_at(world, await paid_task(world, alice), ms(2026, 3, 15))
        assert await issued(world, ms(2026, 5, 1) + HOUR_MS) == [3, 4]
        assert await data(alice, f"/invoices/{first['id']}") == before
        check_error(await bob.http.get(f"{BILLING}/invoices/{first['id']}"), 404, "NOT_FOUND")
        totals = [one["total"] for one in (await data(alice, "/invoices"))["invoices"]]
        assert totals == ["0.001", "0.001", "0.002", "0.001"]
        on_invoices = await world.database.read(
            lambda conn: conn.scalars(select(leases.c.invoice_id)).all()
        )
        assert None not in on_invoices


@pytest.mark.both_databases
@on_asyncio
async def test_an_invoice_is_a_pdf_by_its_ending_and_by_accept(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("алиса")
        await settled_at(world, await paid_task(world, alice, name="渲染 é"), ms(2026, 3, 7))
        await issued(world, ms(2026, 5, 1))
        (invoice,) = (await data(alice, "/invoices"))["invoices"]
        by_ending = await alice.http.get(invoice["pdf"])
        assert by_ending.headers["content-type"] == "application/pdf"
        assert by_ending.content.startswith(b"%PDF-")
        url = f"{BILLING}/invoices/{invoice['id']}"
        by_accept = await alice.http.get(url, headers={"Accept": "application/pdf"})
        assert by_accept.content == by_ending.content, "the same bytes, whenever it is asked for"
        assert (await alice.http.get(url, headers={"Accept": "*/*"})).json()["success"]
        check_error(await alice.http.get(f"{BILLING}/invoices/invoice_0.pdf"), 404, "NOT_FOUND")


@pytest.mark.both_databases
@on_asyncio
async def test_credits_are_deposits_and_no_card_is_taken(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        # As document 002 prints it.
        body = {"amount": 50.00, "payment_method": "card_123"}
        answer = await alice.http.post(f"{BILLING}/credits", json=body)
        assert "deposit" in check_error(answer, 422, "INVALID_REQUEST")
        assert answer.json()["error"]["details"] == {
            "field": "payment_method",
            "payment_methods": ["usdc"],
            "deposit": "/api/v1/wallet/deposits",
        }
        answer = await alice.http.post(
            f"{BILLING}/credits", json={"amount": 5.0, "payment_method": "usdc"}
        )
        assert answer.status_code == 201
        assert (answer.json()["data"]["kind"], answer.json()["data"]["amount"]) == (
            "deposit",
            "5.00",
        )
        poor = await alice.http.post(f"{BILLING}/credits", json={**body, "payment_method": "usdc"})
        check_error(poor, 402, "INSUFFICIENT_CREDITS")


def test_months_are_those_of_the_calendar_in_utc() -> None:
    assert month_of(ms(2026, 12, 31) + 24 * HOUR_MS - 1) == (ms(2026, 12, 1), ms(2027, 1, 1))
    assert month_of(ms(2028, 2, 29)) == (ms(2028, 2, 1), ms(2028, 3, 1))
    assert month_of(ms(2026, 3, 1)) == (ms(2026, 3, 1), ms(2026, 4, 1))
