"""Applications as their owners see them: registered, with secrets, bounded, and refused in OAuth's form."""

import time
from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import open_world
from coordinator.error_answers import check_error
from coordinator.oauth_parties import (
    AUTHORIZE,
    CLIENTS,
    GRANTS,
    KEYS,
    TASKS,
    TOKEN,
    asked,
    check_oauth_error,
    looked_up_again,
    people,
    refreshed,
    registered,
    tokens,
)
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.server.request_rules import RequestRules
from neurogrid_coordinator.services import oauth_server
from neurogrid_coordinator.store import accounts, oauth
from neurogrid_coordinator.store.accounts import SCOPES


@on_asyncio
async def test_an_application_acts_for_its_own_account_with_its_secret(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        dev = await world.customer("dev", scopes=SCOPES)
        app = await registered(dev, redirect_uris=[])
        http = world.client()
        form = {"grant_type": "client_credentials", "scope": "read"}
        basic = (app["client_id"], app["client_secret"])
        answer = await http.post(TOKEN, data=form, auth=basic)
        made = answer.json()
        assert (answer.status_code, made["scope"]) == (200, "read"), answer.text
        assert set(made) == {"access_token", "token_type", "expires_in", "scope"}
        account = (await world.client(made["access_token"]).get("/api/v1/account")).json()["data"]
        assert account["id"] == dev.account.id
        everything = await http.post(TOKEN, data={"grant_type": "client_credentials"}, auth=basic)
        assert everything.json()["scope"] == "read write"
        answer = await http.post(TOKEN, data={**form, "scope": "keys"}, auth=basic)
        check_oauth_error(answer, 400, "invalid_scope")
        answer = await http.post(TOKEN, data=form, auth=(app["client_id"], "wrong"))
        check_oauth_error(answer, 401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic")
        # A public one has no secret to show, and no such grant.
        public = await registered(dev, confidential=False)
        assert public["client_secret"] is None
        answer = await http.post(TOKEN, data={**form, "client_id": public["client_id"]})
        assert answer.json()["error"] == "invalid_client"


@pytest.mark.both_databases
@on_asyncio
async def test_a_secret_is_replaced_within_a_day_and_a_deleted_application_ends(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        dev, alice = await people(world)
        app = await registered(dev)
        made = await tokens(world, app, alice)
        url = f"{CLIENTS}/{app['client_id']}"
        renewed = (await dev.http.post(f"{url}/rotate-secret")).json()["data"]
        form = {"grant_type": "client_credentials"}
        for secret in (app["client_secret"], renewed["client_secret"]):
            answer = await world.client().post(TOKEN, data=form, auth=(app["client_id"], secret))
            assert answer.status_code == 200
        await dev.http.post(f"{url}/rotate-secret")
        late = (app["client_id"], app["client_secret"])
        answer = await world.client().post(TOKEN, data=form, auth=late)
        check_oauth_error(answer, 401, "invalid_client")
        check_error(await alice.http.delete(url), 404, "NOT_FOUND")
        assert (await dev.http.delete(url)).status_code == 200
        check_error(await dev.http.get(url), 404, "NOT_FOUND")
        await looked_up_again(world, made["access_token"])
        assert (await alice.http.get(GRANTS)).json()["data"]["total"] == 0
        answer = await world.client().get(AUTHORIZE, params=asked(app))
        assert answer.status_code == 400


@on_asyncio
async def test_tokens_are_revoked_and_looked_into_by_their_own_application_alone(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        dev, alice = await people(world)
        app, other = await registered(dev), await registered(dev)
        own = (app["client_id"], app["client_secret"])
        foreign = (other["client_id"], other["client_secret"])
        made = await tokens(world, app, alice)
        http = world.client()

        async def look(token: str, auth: tuple[str, str]) -> Any:
            answer = await http.post("/oauth/introspect", data={"token": token}, auth=auth)
            assert answer.status_code == 200, answer.text
            return answer.json()

        seen = await look(made["access_token"], own)
        assert (seen["active"], seen["scope"], seen["sub"]) == (
            True,
            "read write",
            alice.account.id,
        )
        assert seen["exp"] - seen["iat"] == 3600
        assert (await look(made["refresh_token"], own))["token_type"] == "refresh_token"
        for token in (made["access_token"], made["refresh_token"], "x", alice.key):
            assert await look(token, foreign) == {"active": False}
        assert await look(alice.key, own) == {"active": False}
        answer = await http.post("/oauth/introspect", data={"token": "x"})
        check_oauth_error(answer, 401, "invalid_client")

        refused = await http.post(
            "/oauth/revoke", data={"token": made["access_token"]}, auth=foreign
        )
        check_oauth_error(refused, 400, "invalid_grant")
        for token in (made["access_token"], "never issued", alice.key):
            answer = await http.post("/oauth/revoke", data={"token": token}, auth=own)
            assert answer.status_code == 200
        assert (await alice.http.get(TASKS)).status_code == 200, "a key is no token"
        await looked_up_again(world, made["access_token"])
        again = (await refreshed(world, app, made["refresh_token"])).json()
        answer = await http.post("/oauth/revoke", data={"token": again["refresh_token"]}, auth=own)
        assert answer.status_code == 200
        await looked_up_again(world, again["access_token"])
        assert await look(again["refresh_token"], own) == {"active": False}


@on_asyncio
async def test_an_odd_form_is_refused_in_the_form_of_oauth(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        http = world.client()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        for body, headers in (
            (b"grant_type=x&grant_type=y", kind),
            (b"grant_type=%ff", kind),
            (b"grant_type=\xff", kind),
            (b'grant_type="odd"', kind),
            (b"grant_type=a%00b", kind),
            (b"&".join(b"a%d=1" % number for number in range(100)), kind),
            (b'{"grant_type": "x"}', {"Content-Type": "application/json"}),
            (b"", {}),
        ):
            for path in (TOKEN, "/oauth/revoke", "/oauth/introspect"):
                answer = await http.post(path, content=body, headers=headers)
                check_oauth_error(answer, 400, "invalid_request")
        answer = await http.post(TOKEN, data={"grant_type": "password"})
        check_oauth_error(answer, 400, "unsupported_grant_type")
        large = b"grant_type=" + b"x" * 20_000
        for path in (TOKEN, "/oauth/revoke", "/oauth/introspect"):
            answer = await http.post(path, content=large, headers=kind)
            check_oauth_error(answer, 413, "invalid_request")
            check_oauth_error(await http.get(path), 405, "invalid_request")


@on_asyncio
async def test_too_many_requests_are_refused_in_the_form_of_oauth(tmp_path: Path) -> None:
    form = {"grant_type": "client_credentials"}
    for rules in (RequestRules(strangers_per_address=1), RequestRules(per_address=1)):
        folder = tmp_path / str(rules.per_address)
        folder.mkdir()
        async with open_world(folder, requests=rules) as world:
            http = world.client()
            check_oauth_error(await http.post(TOKEN, data=form), 401, "invalid_client")
            refused = await http.post(TOKEN, data=form)
            check_oauth_error(refused, 429, "temporarily_unavailable")
            assert 1 <= int(refused.headers["retry-after"]) <= 61


@on_asyncio
async def test_redirect_uris_are_safe_or_refused(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        dev = await world.customer("dev", scopes=SCOPES)
        body = {"name": "x", "scopes": ["read"], "confidential": False}
        good = ["http://127.0.0.1:8080/cb", "http://[::1]/cb", "com.example.app:/cb"]
        assert (await registered(dev, redirect_uris=good))["redirect_uris"] == good
        for uri in (
            "http://app.example/cb",
            "javascript:alert(1)",
            "https:///cb",
            "https://app.example/#part",
            "https://user:pass@app.example/",
            "https://app.example/ ;script-src",
            "https://app.example/'",
            "https://app.example:port/",
            "/cb",
            "data:text/html,x",
        ):
            answer = await dev.http.post(CLIENTS, json=body | {"redirect_uris": [uri]})
            check_error(answer, 422, "INVALID_REQUEST")
        check_error(await dev.http.post(CLIENTS, json=body), 422, "INVALID_REQUEST")


@on_asyncio
async def test_everything_has_a_bound(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        dev, alice = await people(world)
        app = await registered(dev)
        first = await tokens(world, app, alice)
        now_ms = int(time.time() * 1000)
        for _ in range(oauth_server.TOKENS_MAX):
            first["refresh_token"] = (await refreshed(world, app, first["refresh_token"])).json()[
                "refresh_token"
            ]
        kept = await world.database.read(
            oauth.tokens_of, app["client_id"], alice.account.id, now_ms
        )
        assert len(kept) == oauth_server.TOKENS_MAX
        await looked_up_again(world, first["access_token"])
        for _ in range(19):
            await registered(dev)
        body = {"name": "x", "scopes": ["read"]}
        check_error(await dev.http.post(CLIENTS, json=body), 409, "CONFLICT")
        # Tokens take no key's place.
        found = await world.database.read(accounts.get, alice.account.id)
        assert found is not None
        made = await alice.http.post(KEYS, json={"name": "more", "scopes": ["read"]})
        assert made.status_code == 201


@on_asyncio
async def test_libraries_find_everything_by_the_metadata(tmp_path: Path) -> None:
    async with open_world(tmp_path, public_url="https://grid.example") as world:
        answer = await world.client().get("/.well-known/oauth-authorization-server")
        said = answer.json()
        assert said["issuer"] == "https://grid.example"
        assert said["token_endpoint"] == "https://grid.example/oauth/token"
        assert said["code_challenge_methods_supported"] == ["S256"]
    async with open_world(tmp_path) as world:
        answer = await world.client().get("/.well-known/oauth-authorization-server")
        assert answer.json()["issuer"] == "http://api"
