"""docs/oauth.md's examples, typed as they stand there against a real socket."""

import base64
import hashlib
import json
import os
import re
import secrets
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from coordinator.served import served_in_thread
from neurogrid_coordinator.store.accounts import SCOPES

_PAGE = Path(__file__).parent.parent.parent / "docs/oauth.md"
_LIMIT_S = 30


def _commands(page: str) -> list[str]:
    """Each ``$ ...`` of the page's consoles, whole."""
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    return [command for block in blocks for command in block.removeprefix("$ ").split("\n$ ")]


class _Shell:
    """Types commands with what was learned so far in its environment."""

    def __init__(self, **known: str) -> None:
        self.known = known

    def type(self, command: str) -> dict[str, Any]:
        done = subprocess.run(
            ["bash", "-euc", command],
            env={**os.environ, **self.known},
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=True,
        )
        answer = json.loads(done.stdout)
        assert "error" not in answer, (command, answer)
        found = answer.get("data", answer)
        assert isinstance(found, dict)
        return found


def test_every_example_of_the_page_works(tmp_path: Path) -> None:
    page = _PAGE.read_text()
    register, exchange, refresh, own, introspect, revoke = _commands(page)
    with served_in_thread(tmp_path / "api") as api:
        alice = api.run(lambda world: world.customer("alice", scopes=SCOPES))
        shell = _Shell(API=api.address, KEY=alice.key)
        made = shell.type(register)
        verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        shell.known |= {
            "CLIENT_ID": made["client_id"],
            "CLIENT_SECRET": made["client_secret"],
            "VERIFIER": verifier,
            "CHALLENGE": challenge,
            "STATE": "abc",
        }
        found = re.search(r"^    (\$API/oauth/authorize\?.*)$", page, re.MULTILINE)
        assert found is not None
        url = re.sub(r"\$(\w+)", lambda name: shell.known[name[1]], found[1])
        shown = httpx.get(url)
        assert (shown.status_code, "Grid dashboard" in shown.text) == (200, True)
        fields = dict(re.findall(r'<input type="hidden" name="(.*?)" value="(.*?)">', shown.text))
        said = httpx.post(
            f"{api.address}/oauth/authorize",
            data={**fields, "action": "allow", "api_key": alice.key},
        )
        assert said.status_code == 303, said.text
        told = parse_qs(urlsplit(said.headers["location"]).query)
        assert told["state"] == ["abc"]
        shell.known["CODE"] = told["code"][0]

        tokens = shell.type(exchange)
        example = json.loads(re.findall(r"```json\n(.*?)```", page, re.DOTALL)[0])
        assert tokens.keys() == example.keys()
        assert tokens["scope"] == example["scope"]
        shell.known["REFRESH_TOKEN"] = tokens["refresh_token"]
        tokens = shell.type(refresh)
        assert tokens["refresh_token"] != shell.known["REFRESH_TOKEN"]
        shell.known["TOKEN"] = tokens["access_token"]
        assert shell.type(introspect)["active"]
        assert shell.type(revoke) == {}
        assert shell.type(introspect) == {"active": False}
        mine = shell.type(own)["access_token"]
        answer = httpx.get(
            f"{api.address}/api/v1/account", headers={"Authorization": f"Bearer {mine}"}
        )
        assert answer.json()["data"]["id"] == alice.account.id
