"""The devnet's coordinator: initialised as by its operator, and given its client by its command."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from neurogrid_coordinator.config import CONFIG_NAME
from neurogrid_coordinator.setup import initialise
from neurogrid_wallet.secret_file import read_secret_file, write_secret_file

from .errors import StartFailed
from .layout import HOST, Layout, Settings

COMMAND = (sys.executable, "-m", "neurogrid_coordinator")
_COMMAND_TIMEOUT_S = 60
_SETTINGS: dict[str, str | int | Sequence[str]] = {
    "timers.voucher_interval_s": 10,
    # An auction ends when everybody has answered; a busy machine's nodes may need longer for it.
    "timers.bid_window_ms": 1000,
    # A devnet is for load tests too.
    "http.connections_per_address": 0,
    "requests.default_tier": "",
    "requests.per_address_per_minute": 0,
    "requests.strangers_per_address_per_minute": 0,
    # Its nodes listen nowhere, and gangs' members have to reach each other.
    "relay.serve": True,
    # Who tries webhooks listens on this machine: docs/devnet.md names the port.
    "webhooks.private": ("hooks.localhost:8099=127.0.0.1",),
    # So that the examples of documents 001 and 002 run. They ask for models that nobody has here, and hear one of a million
    # numbers, which the answer names.
    "models.aliases": [
        f"{name}=bard-1m" for name in ("gpt-4", "gpt-4-turbo", "gpt-3.5-turbo", "llama2-7b")
    ],
    "uploads.write": True,
}


@dataclass(frozen=True, slots=True)
class CoordinatorIdentity:
    """Who the coordinator is, known before it runs.

    Attributes:
        operator: the wallet that opens escrows for clients.
        p2p_address: where nodes connect, with its peer id.
    """

    operator: str
    p2p_address: str


@dataclass(frozen=True, slots=True)
class CoordinatorInfo:
    """What coordinator.json says of the running one."""

    api_url: str
    api_pid: int
    market_pid: int


def read_coordinator_info(layout: Layout) -> CoordinatorInfo | None:
    """What the coordinator says of itself; None until it is ready."""
    try:
        document = json.loads(layout.coordinator_info.read_text())
        return CoordinatorInfo(document["api_url"], document["api_pid"], document["market_pid"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def make_coordinator(
    layout: Layout, settings: Settings, client: str, models: str
) -> CoordinatorIdentity:
    """Initialise the coordinator; keys that were made before stay.

    Args:
        client: the client's wallet; models: of who pays for models that are kept warm.
    """
    # Written anew each time, because the port may be another one.
    (layout.coordinator / CONFIG_NAME).unlink(missing_ok=True)
    layout.uploads.mkdir(exist_ok=True)
    listen = f"/ip4/{HOST}/tcp/{settings.p2p_port}"
    made = initialise(
        layout.coordinator,
        chain_file=layout.chain,
        http_listen=f"{HOST}:{settings.api_port}",
        p2p_listen=(listen,),
        settings=_SETTINGS
        | {
            "timers.dead_after_s": settings.dead_after_s,
            "http.readers": settings.readers,
            # It listens on this machine alone, as document 004's local deployments do.
            "dialects.anonymous_account": client,
            "database.url": settings.database_url,
            "uploads.root": str(layout.uploads),
            **_models(settings.replica_idle_s, models),
        },
    )
    return CoordinatorIdentity(made.operator, f"{listen}/p2p/{made.peer_id}")


def _models(idle_s: int, payer: str) -> dict[str, str | int]:
    """How models are kept warm; leases for asking one end with it."""
    if not idle_s:
        return {"models.replicas": False}
    return {
        "models.replicas": True,
        "models.account": payer,
        "models.replica_idle_s": idle_s,
        "models.use_idle_s": idle_s,
    }


async def api_key(
    layout: Layout,
    name: str,
    wallet: str,
    path: Path,
    roles: Sequence[str] = ("client", "provider"),
) -> str:
    """An account's API key; account and key are made at the first time.

    Args:
        name: of the account; path: where its key is kept; roles: what it acts as.

    Raises:
        StartFailed: the coordinator's command fails.
    """
    kept = _kept(path)
    if kept is not None:
        return kept
    acting = [word for role in roles for word in ("--role", role)]
    try:
        made = await _run(layout, "account", "create", "--name", name, "--wallet", wallet, *acting)
    except StartFailed:
        # An earlier start may have been interrupted before it could keep the key.
        accounts = await _run(layout, "account", "list")
        found = [account["id"] for account in accounts if account["wallet"] == wallet]
        if not found:
            raise
        made = await _run(layout, "key", "create", "--account", found[0], *acting)
    key = str(made["api_key"])
    write_secret_file(path, key.encode(), overwrite=False)
    return key


def _kept(path: Path) -> str | None:
    return read_secret_file(path).decode() if path.exists() else None


async def _run(layout: Layout, *arguments: str) -> Any:
    """What a command of the coordinator prints, as JSON."""
    command = [*COMMAND, *arguments, "--data", str(layout.coordinator), "--json"]
    with trio.move_on_after(_COMMAND_TIMEOUT_S) as scope:
        done = await trio.run_process(
            command, check=False, capture_stdout=True, capture_stderr=True, stdin=subprocess.DEVNULL
        )
    if scope.cancelled_caught:
        raise StartFailed(f"{' '.join(command)} did not end in {_COMMAND_TIMEOUT_S} s")
    if done.returncode != 0:
        raise StartFailed(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")
    return json.loads(done.stdout)
