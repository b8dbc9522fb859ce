"""OAuth 2 over REST, as an application and an owner's browser see it."""

import base64
import html
import re
import time
from pathlib import Path

import pytest

from coordinator.api_world import TASK, open_world
from coordinator.error_answers import check_error
from coordinator.oauth_parties import (
    AUTHORIZE,
    CALLBACK,
    CLIENTS,
    GRANTS,
    KEYS,
    TASKS,
    asked,
    check_oauth_error,
    code_of,
    exchanged,
    looked_up_again,
    people,
    refreshed,
    registered,
    sent_to,
    tokens,
)
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.store.accounts import SCOPES
from neurogrid_coordinator.store.tables import oauth_grants


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
