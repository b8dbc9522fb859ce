"""OAuth 2 over REST, as an application and an owner's browser see it."""

import base64
import hashlib
import html
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.request_rules import RequestRules
from neurogrid_coordinator.services import oauth_server
from neurogrid_coordinator.store import accounts, oauth
from neurogrid_coordinator.store.accounts import ROLES, SCOPES
from neurogrid_coordinator.store.tables import oauth_grants

CLIENTS = "/api/v1/oauth/clients"
GRANTS = "/api/v1/oauth/grants"
AUTHORIZE = "/oauth/authorize"
TOKEN = "/oauth/token"
KEYS = "/api/v1/api-keys"
TASKS = "/api/v1/tasks"
CALLBACK = "https://app.example/done?from=grid"
VERIFIER = "v" * 20 + "-._~" + "0" * 30
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
)


async def registered(who: Customer, **changes: Any) -> dict[str, Any]:
    body = {"name": "Grid <app>", "redirect_uris": [CALLBACK], "scopes": ["read", "write"]}
    answer = await who.http.post(CLIENTS, json=body | changes)
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]
    assert isinstance(made, dict)
    return made


def asked(app: dict[str, Any], **changes: str) -> dict[str, str]:
    """What the application sends the browser with."""
    return {
        "response_type": "code",
        "client_id": app["client_id"],
        "redirect_uri": CALLBACK,
        "scope": "read write",
        "state": 'x "y" &',
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    } | changes


def sent_to(answer: httpx.Response) -> dict[str, str]:
    """What the application is told by the redirect."""
    location = answer.headers["location"]
    assert location.startswith(CALLBACK), location
    assert answer.headers["cache-control"] == "no-store"
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def code_of(world: World, app: dict[str, Any], who: Customer, **changes: str) -> str:
    form = asked(app, **changes) | {"action": "allow", "api_key": who.key}
    answer = await world.client().post(AUTHORIZE, data=form)
    assert answer.status_code == 303, answer.text
    told = sent_to(answer)
    assert told["state"] == 'x "y" &'
    assert told["from"] == "grid"
    return told["code"]


async def exchanged(world: World, app: dict[str, Any], good: str, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": good,
        "redirect_uri": CALLBACK,
        "client_id": app["client_id"],
        "code_verifier": VERIFIER,
    }
    if app["client_secret"]:
        form["client_secret"] = app["client_secret"]
    return await world.client().post(TOKEN, data=form | changes)


async def refreshed(world: World, app: dict[str, Any], token: str, **more: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": app["client_id"]}
    if app["client_secret"]:
        form["client_secret"] = app["client_secret"]
    return await world.client().post(TOKEN, data=form | more)


async def tokens(world: World, app: dict[str, Any], who: Customer) -> dict[str, Any]:
    answer = await exchanged(world, app, await code_of(world, app, who))
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert isinstance(made, dict)
    return made


def check_oauth_error(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, code), answer.text
    assert set(answer.json()) <= {"error", "error_description"}
    assert answer.headers["cache-control"] == "no-store"


async def people(world: World) -> tuple[Customer, Customer]:
    """Who has registered an application, and whose account it is to use."""
    return (
        await world.customer("dev", scopes=SCOPES),
        await world.customer("alice", scopes=SCOPES, roles=ROLES),
    )


@pytest.mark.both_databases
@on_asyncio
async def test_an_application_is_allowed_and_acts_until_that_is_taken_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        dev, alice = await people(world)
        app = await registered(dev)
        answer = await world.client().get(AUTHORIZE, params=asked(app))
        assert answer.status_code == 200
        assert "Grid &lt;app&gt;" in answer.text
        assert "Grid <app>" not in answer.text
        assert "<script" not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "form-action 'self' https://app.example;" in policy
        assert "frame-ancestors 'none'" in policy
        assert "set-cookie" not in answer.headers

        made = await tokens(world, app, alice)
        # Document 000.
        assert set(made) == {
            "access_token",
            "token_type",
            "expires_in",
            "refresh_token",
            "scope",
        }
        assert (made["token_type"], made["expires_in"], made["scope"]) == (
            "Bearer",
            3600,
            "read write",
        )
        program = world.client(made["access_token"])
        assert (await program.post(TASKS, json=TASK)).status_code == 201
        assert (await alice.http.get(TASKS)).json()["data"]["total"] == 1
        own = (await program.get(f"{KEYS}/current")).json()["data"]
        assert (own["kind"], own["name"]) == ("application", "Grid <app>")
        assert own["roles"] == ["client", "provider"], "an operator's powers are not passed on"
        check_error(await program.get("/api/v1/operator/accounts"), 403, "FORBIDDEN")
        check_error(await program.get(KEYS), 403, "FORBIDDEN")

        [grant] = (await alice.http.get(GRANTS)).json()["data"]["grants"]
        assert (grant["name"], grant["scopes"]) == ("Grid <app>", ["read", "write"])
        check_error(await dev.http.delete(f"{GRANTS}/{grant['id']}"), 404, "NOT_FOUND")
        for _ in range(2):
            assert (await alice.http.delete(f"{GRANTS}/{grant['id']}")).status_code == 200
        await looked_up_again(world, made["access_token"])
        check_error(await world.client(made["access_token"] + "").get(TASKS), 401, "UNAUTHORIZED")
        check_oauth_error(await refreshed(world, app, made["refresh_token"]), 400, "invalid_grant")
        stored = everything_in(tmp_path)
        for secret in (made["access_token"], made["refresh_token"], app["client_secret"]):
            assert secret.encode() not in stored


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def looked_up_again(world: World, secret: str) -> None:
    """Wait until the api looks a token up again, as it does within a second."""
    deadline = time.monotonic() + 5
    while (await world.client(secret).get(TASKS)).status_code == 200:
        assert time.monotonic() < deadline


@pytest.mark.both_databases
@on_asyncio
async def test_a_code_is_good_once_for_its_application_and_who_began(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        dev, alice = await people(world)
        app, other = await registered(dev), await registered(dev)
        code = await code_of(world, app, alice)
        for changes in (
            {"code_verifier": "w" * 50},
            {"code_verifier": ""},
            {"redirect_uri": "https://app.example/done"},
            {"code": "ngo_wrong"},
            {"client_id": other["client_id"], "client_secret": other["client_secret"]},
        ):
            answer = await exchanged(world, app, code, **changes)
            assert answer.status_code == 400, changes
            assert answer.json()["error"] in ("invalid_grant", "invalid_request"), changes
        for changes in ({"client_secret": "wrong"}, {"client_id": "client_nobody"}):
            answer = await exchanged(world, app, code, **changes)
            assert answer.json()["error"] == "invalid_client", changes
        first = await exchanged(world, app, code)
        assert first.status_code == 200, first.text
        # Somebody has it, too: what it gave ends.
        check_oauth_error(await exchanged(world, app, code), 400, "invalid_grant")
        await looked_up_again(world, first.json()["access_token"])
        answer = await refreshed(world, app, first.json()["refresh_token"])
        check_oauth_error(answer, 400, "invalid_grant")


@on_asyncio
async def test_a_code_that_comes_late_is_no_good(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        dev, alice = await people(world)
        app = await registered(dev)
        code = await code_of(world, app, alice)
        await world.database.write(
            lambda conn: conn.execute(oauth_grants.update().values(code_until_ms=1))
        )
        check_oauth_error(await exchanged(world, app, code), 400, "invalid_grant")


@pytest.mark.both_databases
@on_asyncio
async def test_a_refresh_token_is_good_once_and_coming_again_ends_all(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        dev, alice = await people(world)
        app = await registered(dev)
        first = await tokens(world, app, alice)
        answer = await refreshed(world, app, first["refresh_token"], scope="read")
        second = answer.json()
        assert (answer.status_code, second["scope"]) == (200, "read")
        assert second["refresh_token"] != first["refresh_token"]
        lesser = world.client(second["access_token"])
        check_error(await lesser.post(TASKS, json=TASK), 403, "FORBIDDEN")
        third = (await refreshed(world, app, second["refresh_token"])).json()
        assert third["scope"] == "read write"
        answer = await refreshed(world, app, third["refresh_token"], scope="keys")
        check_oauth_error(answer, 400, "invalid_scope")
        # The second comes again: somebody has stolen one of them.
        check_oauth_error(
            await refreshed(world, app, second["refresh_token"]), 400, "invalid_grant"
        )
        check_oauth_error(await refreshed(world, app, third["refresh_token"]), 400, "invalid_grant")
        await looked_up_again(world, third["access_token"])
        for odd in ("", "ngr_", "ngr_" + "x" * 65, third["access_token"]):
            check_oauth_error(await refreshed(world, app, odd), 400, "invalid_grant")


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
async def test_an_owner_allows_with_the_wallets_signature_or_says_no(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        dev, alice = await people(world)
        app = await registered(dev, confidential=False)
        http = world.client()
        form = asked(app)
        answer = await http.post(
            AUTHORIZE, data={**form, "action": "challenge", "wallet": alice.account.wallet}
        )
        found = re.search(r"<textarea[^>]*>(.*?)</textarea>", answer.text, re.DOTALL)
        assert found is not None
        message = html.unescape(found[1])
        signature = base64.b64encode(alice.wallet.sign(message.encode())).decode()
        # Browsers send line ends so.
        signed = {**form, "action": "signed", "message": message.replace("\n", "\r\n")}
        wrong = await http.post(AUTHORIZE, data={**signed, "signature": "AAAA"})
        assert wrong.status_code == 401
        assert "not the signature of wallet" in wrong.text
        answer = await http.post(AUTHORIZE, data={**signed, "signature": signature})
        told = sent_to(answer)
        made = await exchanged(world, app, told["code"])
        assert made.status_code == 200, made.text
        assert (await world.client(made.json()["access_token"]).get(TASKS)).status_code == 200
        again = await http.post(AUTHORIZE, data={**signed, "signature": signature})
        assert again.status_code == 401
        assert "used before" in again.text

        answer = await http.post(AUTHORIZE, data={**form, "action": "deny"})
        assert (answer.status_code, sent_to(answer)["error"]) == (303, "access_denied")


@on_asyncio
async def test_a_key_allows_no_more_than_itself(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        dev, alice = await people(world)
        app = await registered(dev)
        http = world.client()
        unable, _ = await world.key_of(alice.account, ("read", "write"))
        lesser, _ = await world.key_of(alice.account, ("read", "keys"))
        for key, status, why in (
            (unable, 403, "scope &#x27;keys&#x27;"),
            (lesser, 403, "yours lacks &#x27;write&#x27;"),
            ("ng_wrong", 401, "not known here"),
            ("", 401, "not known here"),
        ):
            answer = await http.post(
                AUTHORIZE, data={**asked(app), "action": "allow", "api_key": key}
            )
            assert (answer.status_code, why in answer.text) == (status, True), answer.text
            assert key == "" or key not in answer.text
        # It ends with the key, too.
        soon_ms = int(time.time() * 1000) + 600_000
        short, _ = await world.key_of(alice.account, SCOPES, soon_ms)
        answer = await http.post(
            AUTHORIZE, data={**asked(app), "action": "allow", "api_key": short}
        )
        made = (await exchanged(world, app, sent_to(answer)["code"])).json()
        assert 500 < made["expires_in"] <= 600
        body = {"name": "x", "scopes": ["keys"], "redirect_uris": [CALLBACK]}
        _, http = await world.key_of(dev.account, ("read", "keys"))
        assert (await http.post(CLIENTS, json=body)).status_code == 201
        check_error(await http.post(CLIENTS, json=body | {"scopes": ["write"]}), 403, "FORBIDDEN")


@on_asyncio
async def test_nobody_is_sent_where_the_application_has_not_said(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        dev, _ = await people(world)
        app = await registered(dev)
        http = world.client()
        for changes in (
            {"redirect_uri": "https://evil.example/"},
            {"redirect_uri": CALLBACK + "&x=1"},
            {"redirect_uri": ""},
            {"client_id": "client_nobody"},
            {"client_id": ""},
            {"redirect_uri": CALLBACK + "\r\nSet-Cookie: x=1"},
            {"scope": "ä"},
            {"state": "x" * 3000},
        ):
            answer = await http.get(AUTHORIZE, params=asked(app, **changes))
            assert answer.status_code == 400, changes
            assert "location" not in answer.headers
            posted = await http.post(AUTHORIZE, data=asked(app, **changes) | {"action": "deny"})
            assert (posted.status_code, "location" in posted.headers) == (400, False), changes
        for changes, error in (
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"response_type": ""}, "unsupported_response_type"),
            ({"scope": "keys"}, "invalid_scope"),
            ({"scope": "everything"}, "invalid_scope"),
            ({"code_challenge": ""}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"code_challenge": "short"}, "invalid_request"),
        ):
            answer = await http.get(AUTHORIZE, params=asked(app, **changes))
            assert answer.status_code == 302, (changes, answer.text)
            told = sent_to(answer)
            assert (told["error"], told["state"]) == (error, 'x "y" &'), changes


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
