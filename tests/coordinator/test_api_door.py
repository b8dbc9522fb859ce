"""What every answer carries, and which pages' scripts may read it."""

from pathlib import Path

import pytest

from coordinator.api_world import open_world
from coordinator.asking import ask
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from coordinator.route_access import WEBSOCKET, Operation
from neurogrid_coordinator.server.request_rules import RequestRules

PAGE = "https://app.example.org"


@on_asyncio
async def test_answers_are_data_of_one_client_and_no_page(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for path in ("/health", "/api/v1/tasks", "/nothing", "/openapi.json"):
            headers = (await world.client().get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert headers["cache-control"] == "no-store"
        # A page says itself what it may do.
        page = await world.client().get("/docs")
        assert page.headers.get_list("content-security-policy") == [
            page.headers["content-security-policy"]
        ]
        assert "script-src" in page.headers["content-security-policy"]


@on_asyncio
async def test_a_clients_own_request_id_comes_back_where_it_is_harmless(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        own = "0198c0de-0000-7000-8000-000000000001"
        answer = await world.client().get("/health", headers={"X-Request-ID": own})
        assert answer.headers.get_list("x-request-id") == [own]
        for harmful in ("a" * 65, "two words", "line\tbreak", "short", ""):
            answer = await world.client().get("/health", headers={"X-Request-ID": harmful})
            assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/tasks/task_0/exec"])
def test_a_refused_handshake_has_a_request_id_and_says_why(tmp_path: Path, path: str) -> None:
    @on_asyncio
    async def check() -> None:
        async with open_world(tmp_path) as world:
            alice = await world.customer("alice")
            answer = await ask(world, Operation(WEBSOCKET, path), path, f"Bearer {alice.key}")
            check_error(answer, 404, "NOT_FOUND")
            assert answer.headers["cache-control"] == "no-store"

    check()


@on_asyncio
async def test_scripts_of_listed_pages_may_call_and_of_no_others(tmp_path: Path) -> None:
    rules = RequestRules(per_address=4)
    async with open_world(tmp_path, cors_origins=(PAGE,), requests=rules) as world:
        client = world.client()
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
        }
        for _ in range(5):
            # Cached by browsers, answered without looking further, and not counted.
            preflight = await client.options("/api/v1/tasks", headers={"Origin": PAGE, **asked})
            assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == PAGE
        assert preflight.headers["access-control-max-age"] == "7200"
        assert "access-control-allow-credentials" not in preflight.headers
        for other in (f"{PAGE}.evil.org", "http://app.example.org", "null"):
            refused = await client.options("/api/v1/tasks", headers={"Origin": other, **asked})
            assert "access-control-allow-origin" not in refused.headers
            answer = await client.get("/health", headers={"Origin": other})
            assert "access-control-allow-origin" not in answer.headers
        answers = [await client.get("/nothing", headers={"Origin": PAGE}) for _ in range(2)]
        # Errors can be read as well, and when to come back.
        assert [answer.status_code for answer in answers] == [404, 429]
        for answer in answers:
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert "Retry-After" in answer.headers["access-control-expose-headers"]
            assert answer.headers["vary"] == "Origin"


@on_asyncio
async def test_without_listed_pages_no_script_may_call(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        answer = await world.client().get("/health", headers={"Origin": PAGE})
        assert not [name for name in answer.headers if name.startswith("access-control")]
