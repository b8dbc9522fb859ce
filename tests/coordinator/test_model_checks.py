"""Answers of replicas, asked again of other owners' replicas: what is seen, what it comes to, and what follows."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection

from coordinator.api_world import Customer, node_view
from coordinator.fake_jobs import Serve
from coordinator.on_asyncio import on_asyncio
from coordinator.places import place_in
from coordinator.records import node_id
from coordinator.replica_world import (
    CATALOGUE,
    HEAD,
    MODEL,
    ReplicaWorld,
    open_replica_world,
    well_but,
)
from neurogrid_coordinator.__main__ import main
from neurogrid_coordinator.api.app import create_app
from neurogrid_coordinator.commands.options import now_ms
from neurogrid_coordinator.config import CONFIG_NAME
from neurogrid_coordinator.model_checks.checker import PENDING_MAX, ModelChecker
from neurogrid_coordinator.model_checks.delivered import Delivered
from neurogrid_coordinator.model_checks.readings import Reading
from neurogrid_coordinator.model_checks.settings import CheckSettings
from neurogrid_coordinator.replicas.asking import Question
from neurogrid_coordinator.replicas.serving import Asked
from neurogrid_coordinator.store import audit, findings, model_checks
from neurogrid_coordinator.store.audit import AuditFilter
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.model_checks import CHARGE_LASTS_MS, CheckRow, SuspicionRow
from neurogrid_marketplace.model_check import Judged
from neurogrid_marketplace.model_reply import Reply, ReplyReader
from neurogrid_marketplace.replica_routing import Preferences
from neurogrid_marketplace.reputation import FindingKind
from neurogrid_marketplace.service import PORTS
from neurogrid_marketplace.serving import ServingTerms
from neurogrid_marketplace.suspicion import Charge, Suspicion

NAMES = ("one", "two", "three")
READ = 5


def right(prompt: str) -> Reply:
    """What the model answers."""
    return Reply(f"{prompt}, said the model, and went on at length", "length", (), READ, 11)


@dataclass
class Server:
    """A replica's server: what it answers, and all that it was asked, byte for byte.

    Attributes:
        text: of its answers; None: the model's.
    """

    text: str | None = None
    claims: int = 11
    asked: list[tuple[bytes, bytes]] = field(default_factory=list)

    def serve(self) -> Serve:
        async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /health "):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                return
            await self._answer(head, reader, writer)

        return both

    async def _answer(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        body = await reader.readexactly(length)
        self.asked.append((head, body))
        text = right(json.loads(body)["prompt"]).text if self.text is None else self.text
        pieces = [
            {"index": 0, "text": word, "finish_reason": None} for word in (text[:9], text[9:])
        ]
        events: list[Any] = [{"choices": [piece]} for piece in pieces]
        events.append({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
        usage = {"prompt_tokens": READ, "completion_tokens": self.claims}
        events.append({"choices": [], "usage": usage})
        writer.write(HEAD + b"".join(f"data: {json.dumps(each)}\n\n".encode() for each in events))
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()


@dataclass
class Checked:
    """Replicas at three nodes of three owners, and who checks them."""

    here: ReplicaWorld
    checker: ModelChecker
    servers: tuple[Server, ...]
    task_ids: tuple[str, ...]
    payer: Customer

    async def ask(self, customer: Customer, prompt: str, name: str, **changes: Any) -> None:
        """An answer of a node's, delivered, and whatever check follows."""
        body = {
            "model": MODEL,
            "prompt": prompt,
            "stream": True,
            "temperature": 0,
            "provider": {"order": [node_id(name)]},
            **changes,
        }
        answer = await customer.http.post("/v1/completions", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.text.endswith("data: [DONE]\n\n"), answer.text
        await self.settled()

    async def settled(self) -> None:
        """All that was drawn is checked."""
        await asyncio.wait_for(asyncio.gather(*self.checker.pending), 30)

    async def check(self, answer: Delivered) -> None:
        """Check one answer."""
        self.checker.delivered(answer)
        await self.settled()

    def delivered(self, number: int, name: str = "three", **changes: Any) -> Delivered:
        """An answer that a node has delivered: another than the model's."""
        prompt = f"prompt {number}"
        task_id = self.task_ids[NAMES.index(name)]
        lease = self.here.pool.replicas[task_id].lease
        assert lease is not None
        body = json.dumps({"model": MODEL, "prompt": prompt, "stream": True}).encode()
        asked: dict[str, Any] = {
            "model_id": MODEL,
            "tenant": self.payer.account.id,
            "question": Question("POST", "/v1/completions", (), body),
        }
        of_request = {"tenant", "preferences"} & changes.keys()
        asked |= {each: changes.pop(each) for each in of_request}
        values: dict[str, Any] = {
            "request_id": f"req_{number}",
            "asked": Asked(**asked),
            "task_id": task_id,
            "lease": lease,
            "reply": Reply("quite another text", "length", (), READ, 5),
            "reading": Reading(ReplyReader, is_repeatable=True),
        }
        return Delivered(**(values | changes))

    async def rows(self) -> list[CheckRow]:
        return await self.here.world.database.read(model_checks.newest, 100)

    async def known(self, name: str) -> SuspicionRow | None:
        return await self.here.world.database.read(model_checks.suspicion, node_id(name), MODEL)


@asynccontextmanager
async def checked(
    folder: Path,
    *servers: Server,
    percent: int = 100,
    catalogue: str = CATALOGUE,
    features: tuple[str, ...] = ("stream", "usage_in_stream"),
    **changes: Any,
) -> AsyncIterator[Checked]:
    """Three replicas, each with a server."""
    servers = servers or (Server(), Server(), Server())
    async with open_replica_world(
        folder, entry=catalogue, features=features, replicas_min=3, replicas_max=3
    ) as here:
        world = here.world
        world.market.views = [
            node_view(name, access=(PORTS,), serving=ServingTerms(0)) for name in NAMES
        ]
        payer = await world.customer("checks")
        settings = CheckSettings(percent, payer.account.id, within_s=0)
        checker = ModelChecker(
            replace(settings, **changes),
            here.serving,
            database=world.database,
            secret=b"secret",
            found_out=lambda node: world.woken.append(node),
            now_ms=lambda: world.now_ms,
        )
        world.collaborators = replace(world.collaborators, answer_checks=checker)
        world.app = create_app(world.settings, world.collaborators)
        await here.upkeep.look()
        rows = await here.rows()
        for row, name, server in zip(rows, NAMES, servers, strict=True):
            await here.up(row.id, name, server.serve())
        yield Checked(here, checker, servers, tuple(row.id for row in rows), payer)


@on_asyncio
async def test_an_honest_answer_is_asked_again_once_and_byte_for_byte(tmp_path: Path) -> None:
    async with checked(tmp_path) as here:
        alice = await here.here.world.customer("alice")
        await here.ask(alice, "To be", "one")
        first, others = here.servers[0].asked, [*here.servers[1].asked, *here.servers[2].asked]
        # Nobody who is asked could tell which of the two is the client's.
        assert others == first
        assert len(first) == 1
        (row,) = await here.rows()
        assert (row.judged, row.node_id, row.account_id) == (
            Judged.RIGHT,
            node_id("one"),
            alice.account.id,
        )
        assert row.others in ((node_id("two"),), (node_id("three"),))
        assert row.evidence_json is None, "what agreed is not kept"
        known = await here.known("one")
        assert known is not None
        assert (known.suspicion.checks, known.suspicion.is_raised) == (1, False)
        assert here.here.pool.tally.checks == {"right": 1}


@pytest.mark.both_databases
@on_asyncio
async def test_who_serves_another_model_is_found_out_let_go_and_not_chosen_again(
    tmp_path: Path,
) -> None:
    async with checked(tmp_path, Server(), Server(), Server("quite another text")) as here:
        world = here.here.world
        alice, bob = await world.customer("alice"), await world.customer("bob")
        for number in range(7):
            assert (await world.database.read(findings.count_by_kind, node_id("three")))[
                FindingKind.MODEL_FALSE
            ] == 0
            await here.ask((alice, bob)[number % 2], f"prompt {number}", "three")
        known = await here.known("three")
        assert known is not None
        assert known.charge is Charge.SUBSTITUTES
        rows = await here.rows()
        assert {row.judged for row in rows} == {Judged.WRONG}
        evidence = json.loads(rows[0].evidence_json or "")
        assert evidence["delivered"]["text"] == "quite another text"
        assert [each["text"] for each in evidence["others"]] == 2 * [right("prompt 6").text]
        assert json.loads(evidence["request"])["prompt"] == "prompt 6"
        assert world.woken.count(node_id("three")) == 1, "its standing is worked out anew"
        assert (await world.database.read(findings.count_by_kind, node_id("three")))[
            FindingKind.MODEL_FALSE
        ] == 1
        told, _ = await world.database.read(
            lambda conn: audit.list_rows(conn, AuditFilter(type="system"), limit=9, offset=0)
        )
        assert [row.details["charge"] for row in told] == ["substitutes"]

        # Its replica gets nothing more and ends; the next one is at nobody's of that owner.
        false = here.task_ids[2]
        await here.here.upkeep.look()
        assert here.here.pool.replicas[false].leaving
        *_, begun = await here.here.rows()
        assert begun.id not in here.task_ids
        avoided = [
            condition.values
            for clause in begun.state.demand.where
            for condition in clause.alternatives
            if condition.attribute == "node.wallet"
        ]
        assert node_view("three").offer.wallet in {each for some in avoided for each in some}
        asked = len(here.servers[2].asked)
        for number in range(6):
            await here.ask(alice, f"after {number}", "three")
        assert len(here.servers[2].asked) == asked


@on_asyncio
async def test_others_are_not_charged_for_one_whose_word_is_wrong(tmp_path: Path) -> None:
    lying = Server("a lie about others")
    async with checked(tmp_path, Server(), lying, Server()) as here:
        for number in range(12):
            answer = here.delivered(number, "one", reply=right(f"prompt {number}"))
            await here.check(answer)
        known = await here.known("one")
        assert known is not None
        assert (known.suspicion.checks, known.suspicion.against) == (12, 0)
        # What a server says while it is asked again is held neither for nor against it.
        assert await here.known("two") is None


@on_asyncio
async def test_two_owners_cannot_tell_which_of_them_is_wrong(tmp_path: Path) -> None:
    async with checked(tmp_path) as here:
        del here.here.pool.replicas[here.task_ids[1]]
        await here.check(here.delivered(1))
        (row,) = await here.rows()
        assert (row.judged, row.others) == (Judged.UNDECIDED, (node_id("one"),))
        assert row.evidence_json is not None
        assert await here.known("three") is None


@on_asyncio
async def test_one_whom_the_operator_trusts_is_asked_first_and_enough(tmp_path: Path) -> None:
    async with checked(tmp_path, trusted=(node_id("two"),)) as here:
        await here.check(here.delivered(1))
        (row,) = await here.rows()
        assert (row.judged, row.others) == (Judged.WRONG, (node_id("two"),))


@on_asyncio
async def test_nobody_is_asked_whom_the_client_does_not_allow(tmp_path: Path) -> None:
    async with checked(tmp_path) as here:
        only = Preferences(only=(node_id("three"),))
        await here.check(here.delivered(1, preferences=only))
        await here.check(
            here.delivered(2, preferences=Preferences(ignore=(node_id("one"), node_id("two"))))
        )
        assert await here.rows() == []
        assert not any(server.asked for server in here.servers)
        assert here.here.pool.tally.checks == {"unanswered": 2}


@on_asyncio
async def test_checks_stop_at_their_budget_and_without_somebody_who_pays(tmp_path: Path) -> None:
    async with checked(tmp_path, budget_micro_usdc_per_day=10) as here:
        world = here.here.world
        await here.check(here.delivered(1))
        (row,) = await here.rows()

        def dear(conn: Connection) -> None:
            model_checks.add(conn, replace(row, id="req_dear", cost_micro_usdc=10))

        await world.database.write(dear)
        await here.check(here.delivered(2))
        assert here.here.pool.tally.checks == {"wrong": 1, "left_out": 1}
        # The day after there is money again.
        here.here.turn(24 * 3600 + 1)
        await here.check(here.delivered(3))
        assert here.here.pool.tally.checks["wrong"] == 2
    async with checked(tmp_path / "other", account="acct_" + 32 * "0") as here:
        await here.check(here.delivered(1))
        assert here.here.pool.tally.checks == {"left_out": 1}


@on_asyncio
async def test_a_share_is_drawn_and_all_of_whom_something_speaks_against(tmp_path: Path) -> None:
    async with checked(tmp_path, percent=10) as here:
        right_one = [
            here.delivered(number, "one", reply=right(f"prompt {number}")) for number in range(100)
        ]
        for answer in right_one:
            await here.check(answer)
        drawn = len(await here.rows())
        assert 3 <= drawn <= 20
        for number in range(100, 200):
            await here.check(here.delivered(number))
            if (known := await here.known("three")) is not None:
                break
        assert known is not None
        assert known.suspicion.is_raised
        before = known.suspicion.checks
        for number in range(200, 205):
            await here.check(here.delivered(number))
        known = await here.known("three")
        assert known is not None
        assert known.suspicion.checks == before + 5


@on_asyncio
async def test_one_request_counts_once_however_often_it_is_asked(tmp_path: Path) -> None:
    async with checked(tmp_path) as here:
        for number in range(5):
            await here.check(here.delivered(0, request_id=f"req_{number}"))
        # And one check counts once, too: its commit may be done twice.
        await here.check(here.delivered(7, request_id="req_0"))
        known = await here.known("three")
        assert known is not None
        assert known.suspicion.checks == 1
        assert len(await here.rows()) == 5


@on_asyncio
async def test_nothing_follows_of_itself_from_one_clients_requests(tmp_path: Path) -> None:
    async with checked(tmp_path) as here:
        for number in range(15):
            await here.check(here.delivered(number))
        known = await here.known("three")
        assert known is not None
        assert (known.suspicion.exceeds, known.charge) == (Charge.SUBSTITUTES, None)
        bob = await here.here.world.customer("bob")
        await here.check(here.delivered(99, tenant=bob.account.id))
        known = await here.known("three")
        assert known is not None
        assert known.charge is Charge.SUBSTITUTES


@pytest.mark.both_databases
@on_asyncio
async def test_whoever_was_charged_may_serve_again_after_its_time_or_when_forgiven(
    tmp_path: Path,
) -> None:
    async with checked(tmp_path) as here:
        world = here.here.world
        bob = await world.customer("bob")
        for number in range(12):
            account_id = (bob.account.id, here.payer.account.id)[number % 2]
            await here.check(here.delivered(number, tenant=account_id))
        now_ms = world.now_ms

        def charged(conn: Connection, at_ms: int) -> list[str]:
            return [row.node_id for row in model_checks.charged(conn, at_ms)]

        read = world.database.read
        assert await read(charged, now_ms) == [node_id("three")]
        assert await read(charged, now_ms + CHARGE_LASTS_MS) == []
        assert await world.database.write(model_checks.forgive, node_id("three"), MODEL)
        assert not await world.database.write(model_checks.forgive, node_id("three"), MODEL)
        assert await read(charged, now_ms) == []
        known = await here.known("three")
        assert known is not None
        assert not known.suspicion.is_raised


@on_asyncio
async def test_no_more_wait_to_be_checked_than_there_is_room_for(tmp_path: Path) -> None:
    async with checked(tmp_path) as here:
        for number in range(PENDING_MAX + 5):
            here.checker.delivered(here.delivered(number))
        assert len(here.checker.pending) == PENDING_MAX
        assert here.here.pool.tally.checks == {"left_out": 5}
        # Who dies leaves them out.
        running = asyncio.create_task(here.checker.run())
        await asyncio.sleep(0)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert here.checker.pending == []


@on_asyncio
async def test_a_server_that_answers_a_check_with_anything_at_all_is_no_reference(
    tmp_path: Path,
) -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"data: [1, 2]\n\ndata: [DONE]\n\n")

    async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 999\r\n\r\n") + b"data: {")

    async with checked(tmp_path) as here:
        for task_id, serve in zip(here.task_ids[:2], (garbage, breaks), strict=True):
            lease = here.here.pool.replicas[task_id].lease
            assert lease is not None
            here.here.jobs.servers[lease.lease_id] = well_but(serve)
        await here.check(here.delivered(1))
        assert await here.rows() == []
        assert here.here.pool.tally.checks == {"unanswered": 1}


def test_the_operator_is_shown_what_was_seen_and_may_forgive(tmp_path: Path) -> None:
    rows = [
        SuspicionRow(
            "12D3A", MODEL, "wallet", Suspicion(checks=9, against=8), Charge.SHORTENS, now_ms()
        ),
        SuspicionRow(
            "12D3B", MODEL, "wallet", Suspicion(20.0, checks=7, against=7, accounts=("a",))
        ),
        SuspicionRow("12D3C", MODEL, "wallet", Suspicion(3.0, checks=7, against=2)),
        SuspicionRow("12D3D", MODEL, "wallet", Suspicion(checks=7)),
    ]

    def run(*arguments: str) -> tuple[int, str]:
        found = CliRunner().invoke(main, ["models", *arguments, "--data", str(tmp_path)])
        return found.exit_code, found.output

    async def store() -> None:
        async with Database.open(place_in(tmp_path)) as database:

            def save(conn: Connection) -> None:
                for row in rows:
                    model_checks.save(conn, row)

            await database.write(save)

    (tmp_path / CONFIG_NAME).write_text("")
    asyncio.run(store())
    code, text = run("checks")
    assert code == 1
    a, b, c, d = text.splitlines()
    assert a.endswith(
        "9 checks, 8 against it  it shortens: not chosen for 30 days, or until it is forgiven"
    )
    assert b.endswith("it substitutes, by one account's requests: nothing follows of itself")
    assert c.endswith("2 against it  in doubt")
    assert d.endswith("7 checks, 0 against it")
    code, text = run("checks", "--node", "12D3A", "--json")
    (node,) = json.loads(text)["nodes"]
    assert (code, node["charge"], node["against"]) == (1, "shortens", 8)
    assert run("forgive", "12D3A", MODEL) == (0, f"12D3A may serve {MODEL} again\n")
    assert run("forgive", "12D3A", MODEL)[0] == 2
    assert run("checks")[0] == 0


@on_asyncio
async def test_replicas_that_check_each_other_begin_one_after_the_other(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path, replicas_min=2) as here:
        await here.restart(one_by_one=True)
        await here.upkeep.look()
        (first,) = await here.rows()
        await here.upkeep.look()
        assert len(await here.rows()) == 1, "where it will be is not known yet"
        await here.up(first.id, "one")
        await here.upkeep.look()
        _, second = await here.rows()
        conditions = [each for clause in second.state.demand.where for each in clause.alternatives]
        avoided = {(each.attribute, each.values) for each in conditions}
        view = node_view("one").offer
        assert ("node.wallet", (view.wallet,)) in avoided
