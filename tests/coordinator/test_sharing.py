"""Coordinators that share a database: what one that does not lead answers, passes on, and hands over."""

import asyncio
import itertools
import json
import socket
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from coordinator.api_world import TASK, World, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from coordinator.postgresql_server import PostgresqlServer
from coordinator.replica_world import AtNoPrice
from coordinator.served import served
from neurogrid_coordinator.api.app import create_app
from neurogrid_coordinator.api.client_address import NO_PROXIES
from neurogrid_coordinator.api.rate_limit import Taken, Verdict
from neurogrid_coordinator.api.request_limits import RequestCounts
from neurogrid_coordinator.market.errors import MarketAway
from neurogrid_coordinator.metrics.reading import PassedOn
from neurogrid_coordinator.replicas.orders import ReplicaSettings
from neurogrid_coordinator.replicas.serving import ModelServing, serving_of
from neurogrid_coordinator.sharing import leader as leader_module
from neurogrid_coordinator.sharing import passing_on
from neurogrid_coordinator.sharing.between import Leading
from neurogrid_coordinator.sharing.counting import count_together, lines_of, messages
from neurogrid_coordinator.sharing.following import NodesElsewhere, StepsHandedOver
from neurogrid_coordinator.sharing.hearing import move_others_tasks
from neurogrid_coordinator.sharing.leader import Leader
from neurogrid_coordinator.sharing.own_routes import is_own
from neurogrid_coordinator.sharing.passing_on import Following
from neurogrid_coordinator.store import lead_url, tasks
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.hints import hints
from neurogrid_coordinator.store.places import Server
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.spreading import NOBODY
from neurogrid_marketplace.task import Phase

TOKEN = "between ourselves"


def test_what_only_the_leader_knows_is_passed_on() -> None:
    own = (
        "/api/v1/tasks",
        "/api/v1/tasks/task_1/logs",
        "/api/v1/batches/b",
        "/oauth/token",
        "/tasks",
        "/v1/chat/completions",
        "/v1/batches/batch_1",
    )
    for path in own:
        assert is_own("http", path), path
    others = (
        *("/api/v1/nodes", "/api/v1/status", "/api/v1/tasks/task_1/exec", "/api/v1/services/t/x"),
        *("/", "/devices", "/health", "/api/v1/taskshow", "/something/new"),
    )
    for path in others:
        assert not is_own("http", path), path
    assert not is_own("websocket", "/ws")


def test_where_replicas_are_kept_the_leader_is_asked_what_they_answer() -> None:
    for path in ("/v1/models", "/v1/models/bard-1m", "/v1/files", "/v1/files/f/content"):
        assert is_own("http", path, keeps_replicas=True), path
    for path in ("/v1/chat/completions", "/v1/embeddings", "/v1/batches", "/v1/audio/translations"):
        assert not is_own("http", path, keeps_replicas=True), path
        assert is_own("http", path), path


class Asked:
    """The api of the one that leads; notes what it is asked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.paths: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        await self._app(scope, receive, send)


@dataclass(frozen=True)
class Two:
    """One that leads, and where one answers that follows it."""

    world: World
    url: str
    leader: Leader
    asked: Asked
    counts: PassedOn


@asynccontextmanager
async def two(folder: Path, **settings: Any) -> AsyncGenerator[Two]:
    async with open_world(folder, **settings) as world:
        none = serving_of(
            ReplicaSettings(), world.collaborators.open_job_stream, lambda: 0, AtNoPrice()
        )
        async with followed(world, none) as both:
            yield both


@asynccontextmanager
async def followed(world: World, serving: ModelServing) -> AsyncGenerator[Two]:
    """This world leads, with these replicas, and another one follows."""
    async with httpx.AsyncClient(trust_env=False) as http:
        leader = Leader(world.database, TOKEN, http, wait_s=0.3)
        counts = PassedOn()
        follower = create_app(
            world.settings,
            replace(
                world.collaborators,
                nodes=NodesElsewhere(world.database, leader),
                serving=None,
                explain=leader.explain,
                market_is_up=lambda: False,
            ),
            lambda app, forms: Following(
                *(app, leader, NO_PROXIES, forms, counts), keeps_replicas=bool(serving.pools)
            ),
        )
        asked = Asked(world.app)
        leading: Any = Leading(
            asked,
            token=TOKEN,
            explain=world.market.explain,
            nodes=world.nodes,
            serving=serving,
        )
        world.app = leading
        async with served(world) as lead_at:
            await world.database.write(lead_url.save, f"http://{lead_at}")
            front: Any = type("Front", (), {"app": follower, "stopping": asyncio.Event()})
            async with served(front) as follows_at:
                yield Two(world, f"http://{follows_at}", leader, asked, counts)


@on_asyncio
async def test_a_follower_answers_its_own_and_has_the_leader_answer_the_rest(
    tmp_path: Path,
) -> None:
    async with two(tmp_path) as both, httpx.AsyncClient(base_url=both.url) as http:
        world, url = both.world, both.url
        alice = await world.customer("alice")
        key = {"Authorization": f"Bearer {alice.key}"}
        assert (await http.get("/api/v1/tasks", headers=key)).status_code == 200
        assert not both.asked.paths
        shown = await http.get(
            "/api/v1/nodes?limit=1", headers={**key, "X-Request-Id": "of-a-client"}
        )
        assert (len(shown.json()["data"]["nodes"]), shown.json()["data"]["total"]) == (1, 2)
        assert shown.headers["x-request-id"] == "of-a-client"
        explained = await http.post("/api/v1/match/explain", headers=key, json=TASK)
        assert explained.json()["data"]["matching"] == 2
        check_error(await http.get("/api/v1/nodes"), 401, "UNAUTHORIZED")
        # WebSockets too, and what refuses one.
        async with connect(url.replace("http", "ws") + "/ws") as events:
            assert json.loads(await events.recv())["type"] == "connected"
            await events.send(json.dumps({"type": "auth", "token": alice.key}))
            while (said := json.loads(await events.recv()))["type"] == "heartbeat":
                pass
            assert said["type"] == "authenticated"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url.replace("http", "ws") + "/api/v1/tasks/task_1/exec").__aenter__()
        assert refused.value.response.status_code == 401
        assert b"UNAUTHORIZED" in refused.value.response.body
        # What was passed on once is not again.
        twice = await http.get("/api/v1/nodes", headers={**key, "X-NeuroGrid-Passed-On": "1"})
        check_error(twice, 503, "UNAVAILABLE")
        # Nobody leads, or who did is gone.
        for place in ("", "http://127.0.0.1:9"):
            await world.database.write(lead_url.save, place)
            none = await http.get("/api/v1/nodes", headers=key)
            assert "leads" in check_error(none, 503, "UNAVAILABLE")
            assert (await http.get("/api/v1/tasks", headers=key)).status_code == 200
        assert (both.counts.answered, both.counts.unanswered) == (4, 3)


@on_asyncio
async def test_refusals_of_a_follower_have_their_paths_form_and_pages_can_read_them(
    tmp_path: Path,
) -> None:
    page = "https://app.example.org"
    async with (
        two(tmp_path, cors_origins=(page,)) as both,
        httpx.AsyncClient(base_url=both.url, headers={"Origin": page}) as http,
    ):
        here = (await http.get("/devices"), await http.get("/api/v1/nodes"))
        assert [answer.status_code for answer in here] == [401, 401]
        await both.world.database.write(lead_url.save, "")
        away = await http.get("/devices")
        assert (away.status_code, away.headers["retry-after"]) == (503, "1")
        assert away.json()["status"] == "error"
        assert away.json()["data"]["code"] == "UNAVAILABLE"
        runner = await http.get("/runner/api/v1/status")
        assert runner.status_code == 503
        assert runner.json()["error"]["code"] == "SERVICE_UNAVAILABLE"
        for answer in (*here, away, runner):
            assert answer.headers["access-control-allow-origin"] == page
            assert answer.headers.get_list("access-control-allow-origin") == [page]
            assert answer.headers["x-request-id"]
            assert answer.headers["cache-control"] == "no-store"
        asked = {"Access-Control-Request-Method": "GET"}
        assert (await http.options("/devices", headers=asked)).status_code == 200


@on_asyncio
async def test_a_follower_says_how_it_is_when_nobody_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing_on, "ABOUT_US_LIMIT_S", 0.2)
    async with two(tmp_path) as both, httpx.AsyncClient(base_url=both.url) as http:
        health = (await http.get("/health")).json()
        assert (health["status"], health["devices"] > 0) == ("healthy", True)
        assert (await http.get("/api/v1/status")).json()["data"]["status"] == "ok"
        with socket.create_server(("127.0.0.1", 0)) as stopped:
            # Nobody leads; who did is gone; who does is stopped: the system takes connections, and nobody speaks.
            silent = f"http://127.0.0.1:{stopped.getsockname()[1]}"
            for place in ("", "http://127.0.0.1:9", silent):
                await both.world.database.write(lead_url.save, place)
                health = (await http.get("/health")).json()
                assert (health["status"], health["devices"]) == ("degraded", 0)
                status = (await http.get("/api/v1/status")).json()["data"]
                assert status["status"] == "degraded"


async def drained(events: ClientConnection) -> None:
    async for _ in events:
        pass


@on_asyncio
async def test_who_waits_for_a_leader_that_was_replaced_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader_module, "_FOLLOW_S", 0.05)
    async with (
        two(tmp_path) as both,
        httpx.AsyncClient(base_url=both.url) as http,
        connect(both.url.replace("http", "ws") + "/ws") as events,
    ):
        await events.recv()
        with socket.create_server(("127.0.0.1", 0)) as stopped:
            silent = f"http://127.0.0.1:{stopped.getsockname()[1]}"
            await both.world.database.write(lead_url.save, silent)
            # What was open to the one before is closed, as what is to be opened again.
            with pytest.raises(ConnectionClosedError):
                await drained(events)
            assert events.close_code == 1012
            waiting = asyncio.create_task(http.get("/api/v1/nodes"))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            await both.world.database.write(lead_url.save, "http://127.0.0.1:9")
            answer = await waiting
            check_error(answer, 503, "UNAVAILABLE")
            assert answer.headers["retry-after"] == "1"


@on_asyncio
async def test_a_follower_asks_the_leader_for_what_it_needs_to_know(tmp_path: Path) -> None:
    async with two(tmp_path) as both, httpx.AsyncClient() as http:
        world, leader = both.world, both.leader
        alice = await world.customer("alice")
        made = await alice.http.post("/api/v1/tasks", json=TASK)
        demand = demand_of(await world.state(made.json()["data"]["id"]))
        explanation = await leader.explain(demand, NOBODY)
        assert explanation == await world.market.explain(demand, NOBODY)
        assert not await leader.is_ready("node", "lease")
        at = await world.database.read(lead_url.get)
        for token, status in (("guessed", 404), (TOKEN, 400)):
            answer = await http.post(
                f"{at}/between-coordinators/servable",
                headers={"Authorization": f"Bearer {token}"},
                json={"demand": {}},
            )
            assert answer.status_code == status
        world.market.away = True
        with pytest.raises(MarketAway):
            await leader.explain(demand, NOBODY)
        await world.database.write(lead_url.save, "")
        with pytest.raises(MarketAway):
            await leader.explain(demand, NOBODY)
        assert not await leader.is_ready("node", "lease")


class Orchestrator:
    """Of the one that leads; says what it was given."""

    def __init__(self) -> None:
        self.looked = asyncio.Event()
        self.known: set[str] = set()
        self.taken: asyncio.Queue[str] = asyncio.Queue()

    def knows(self, task_id: str) -> bool:
        return task_id in self.known

    async def look_again(self) -> None:
        self.looked.set()

    async def taken_elsewhere(self, task_ids: Iterable[str]) -> None:
        for task_id in task_ids:
            self.known.add(task_id)
            self.taken.put_nowait(task_id)


@on_asyncio
async def test_what_one_stores_is_taken_up_by_who_leads(
    tmp_path: Path, postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = postgresql.new()
    monkeypatch.setattr("coordinator.api_world.place_in", lambda _: place)
    async with open_world(tmp_path) as world, Database.open(place) as leads:
        orchestrator: Any = Orchestrator()
        told = asyncio.Event()
        moving = asyncio.create_task(
            move_others_tasks(hints(place), leads, world.feed, orchestrator, told.set)
        )
        async with asyncio.timeout(60):
            await orchestrator.looked.wait()
            alice = await world.customer("alice")
            made = await alice.http.post("/api/v1/tasks", json=TASK)
            task_id = made.json()["data"]["id"]
            assert await orchestrator.taken.get() == task_id
            assert told.is_set()
            # What is asked for otherwise there is auctioned so here.
            change = {"max_price_per_hour": "9.00"}
            changed = await alice.http.patch(f"/api/v1/tasks/{task_id}", json=change)
            assert changed.status_code == 200, changed.text
            assert await orchestrator.taken.get() == task_id
            # A step that changes nothing that listeners hear of is taken up too.
            await world.start(task_id)
            steps = StepsHandedOver(world.database, world.feed)
            assert await steps.request_cancel(task_id) is Phase.RUNNING
            assert await orchestrator.taken.get() == task_id
            state = await leads.read(tasks.state_of, task_id)
            assert state is not None
            assert state.task.cancel_requested
            with pytest.raises(LookupError):
                await steps.request_cancel("task_none")
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)


def test_more_names_than_a_message_holds_go_in_several_and_what_is_odd_is_left_out() -> None:
    told = [("address", Taken(f"2001:db8::{number:x}/64", 100, 7)) for number in range(1000)]
    sent = list(messages(told))
    assert 1 < len(sent) < 10
    assert all(len(each.encode()) < 8000 for each in sent)
    assert [line for each in sent for line in lines_of(each)] == told
    for odd in ("", "{}", '[["account", "a", 0, 1]]', '[["account", "a", 60, -5]]', "[1]"):
        assert list(lines_of(odd)) == []
    RequestCounts().hear("a newer release's", Taken("a", 60, 1))


@on_asyncio
async def test_what_one_lets_in_the_other_counts_and_again_after_a_lost_session(
    postgresql: PostgresqlServer,
) -> None:
    place = postgresql.new()
    here, there = RequestCounts(), RequestCounts()
    counting = [asyncio.create_task(count_together(place, each)) for each in (here, there)]

    async def heard(counts: RequestCounts, account: str) -> None:
        while (await asyncio.sleep(0.05, take(counts, account, 1))).remaining > 5000:
            pass

    async with asyncio.timeout(60):
        while await listening(place) < 2:  # noqa: ASYNC110 - a database has no event for it
            await asyncio.sleep(0.05)
        take(here, "alice", 6000)
        await heard(there, "alice")
        # Nobody hears itself.
        assert not take(here, "alice", 1000).retry_after_s
        take(there, "bob", 6000)
        await heard(here, "bob")
        # What is let in at both before they hear of each other is owed at both.
        take(there, "carol", 5000)
        take(here, "carol", 10_000)
        while take(there, "carol", 1).retry_after_s < 20:  # noqa: ASYNC110 - nor have buckets
            await asyncio.sleep(0.05)
        assert await listening(place, end=True) == 2
        # What is said before both have a session again is lost.
        for attempt in itertools.count():
            take(here, f"dave {attempt}", 6000)
            await asyncio.sleep(0.5)
            if take(there, f"dave {attempt}", 1).remaining <= 5000:
                break
    for task in counting:
        task.cancel()
    await asyncio.gather(*counting, return_exceptions=True)


def take(counts: RequestCounts, account: str, requests: int) -> Verdict:
    """The last one's verdict."""
    assert requests
    for _ in range(requests):
        (verdict,) = counts.accounts.take([(account, 10_000)], time.time())
    return verdict


async def listening(place: Server, *, end: bool = False) -> int:
    """How many sessions listen for what is counted; ended, where that is wanted."""
    which = "pg_terminate_backend(pid)" if end else "pid"
    async with await psycopg.AsyncConnection.connect(place.url, autocommit=True) as raw:
        found = await raw.execute(
            f"select {which} from pg_stat_activity where datname = current_database()"
            " and (query like 'listen neurogrid_taken%' or query like 'select pg_notify(%')".encode()
        )
        return len(await found.fetchall())
