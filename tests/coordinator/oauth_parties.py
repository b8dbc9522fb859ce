"""An application, an owner's browser, and what passes between them."""

import base64
import hashlib
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from coordinator.api_world import Customer, World
from neurogrid_coordinator.store.accounts import ROLES, SCOPES

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
    # Once: two make no type that anybody knows.
    assert answer.headers.get_list("content-type") == ["application/json"]
    assert (answer.status_code, answer.json()["error"]) == (status, code), answer.text
    assert set(answer.json()) <= {"error", "error_description"}
    assert answer.headers["cache-control"] == "no-store"


async def people(world: World) -> tuple[Customer, Customer]:
    """Who has registered an application, and whose account it is to use."""
    return (
        await world.customer("dev", scopes=SCOPES),
        await world.customer("alice", scopes=SCOPES, roles=ROLES),
    )


async def looked_up_again(world: World, secret: str) -> None:
    """Wait until the api looks a token up again, as it does within a second."""
    deadline = time.monotonic() + 60
    while (await world.client(secret).get(TASKS)).status_code == 200:
        assert time.monotonic() < deadline
