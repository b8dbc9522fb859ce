"""The coordinator as a process: init, start, status, its market process killed, SIGTERM."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from solders.pubkey import Pubkey
from websockets.sync.client import connect

from coordinator.chain_parties import market
from coordinator.on_asyncio import on_asyncio
from coordinator.records import NOW_MS, new_task, wallet
from neurogrid_contracts.chain_payments import open_outbox
from neurogrid_coordinator.config import load_config
from neurogrid_coordinator.store import accounts, tasks
from neurogrid_coordinator.store.database import Database
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.transactions import signers_from
from neurogrid_wallet.usdc import create_token_account

pytestmark = pytest.mark.processes

# Importing what a coordinator needs takes seconds of CPU, several times that on a busy machine.
_PATIENCE_S = 180.0
_COMMAND = [sys.executable, "-m", "neurogrid_coordinator"]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_COMMAND, *arguments], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
    )


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("not in time")


@contextmanager
def running(directory: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A coordinator that says where it is."""

    def info() -> dict[str, Any] | None:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        try:
            document: dict[str, Any] = json.loads((directory / "coordinator.json").read_text())
        except FileNotFoundError:
            return None
        return document if document["api_pid"] == process.pid else None

    with subprocess.Popen(
        [*_COMMAND, "start", "--data", str(directory), "--log-level", "warning"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process, wait_for(info)
        finally:
            process.kill()


@pytest.fixture
def directory(ledger: dict[str, Any], tmp_path: Path) -> Path:
    """An initialised coordinator of a new market."""
    chain_file = tmp_path / "chain.json"

    @on_asyncio
    async def create_market() -> None:
        async with market(ledger, tmp_path) as parties:
            chain = {**parties.deployment.to_json(), "rpc_url": ledger["rpc_url"]}
            chain_file.write_text(json.dumps({**chain, "genesis_hash": ledger["genesis_hash"]}))

    create_market()
    directory = tmp_path / "coordinator"
    made = command(
        *("init", "--data", str(directory), "--chain", str(chain_file), "--json"),
        *("--http", "127.0.0.1:0", "--p2p", "/ip4/127.0.0.1/tcp/0"),
    )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["peer_id"].startswith("12D3KooW")
    return directory


def test_a_coordinator_starts_says_where_it_is_and_stops_quickly(directory: Path) -> None:
    account = command(
        *("account", "create", "--data", str(directory), "--json"),
        *("--name", "Ada", "--wallet", "So11111111111111111111111111111111111111112"),
    )
    assert account.returncode == 0, account.stderr
    headers = {"Authorization": f"Bearer {json.loads(account.stdout)['api_key']}"}

    with running(directory) as (process, info):
        url = info["api_url"]
        with httpx.Client(base_url=url, trust_env=False, timeout=_PATIENCE_S) as client:
            assert client.get("/api/v1/tasks").status_code == 401
            answer = client.get("/api/v1/tasks", headers=headers)
            assert (answer.status_code, answer.json()["data"]["total"]) == (200, 0)
            status = wait_for(lambda: _status_if_up(client))
            assert status["nodes"] == 0
        assert info["p2p_addresses"][0].endswith(f"/p2p/{info['peer_id']}")
        for path in directory.glob("*.json"):
            if path.name != "coordinator.json":
                assert path.stat().st_mode & 0o077 == 0, path

        # The lists of peers are read again, and nothing else happens: it answers below.
        process.send_signal(signal.SIGHUP)

        # The market process is replaced when it dies, and the file says so.
        os.kill(info["market_pid"], signal.SIGKILL)

        def replaced() -> bool:
            now = json.loads((directory / "coordinator.json").read_text())
            return now["market_pid"] not in (None, info["market_pid"])

        wait_for(replaced)
        shown = command("status", "--data", str(directory), "--json")
        assert json.loads(shown.stdout)["api_pid"] == process.pid

        second = command("start", "--data", str(directory))
        assert second.returncode == 2
        assert "another process" in second.stderr

        # An open socket does not hold it up.
        with connect(f"{url.replace('http', 'ws', 1)}/ws", proxy=None) as socket:
            socket.recv(timeout=_PATIENCE_S)
            process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            assert process.wait(_PATIENCE_S) == 0
            # A socket that held it up would do so for ever; the rest is the machine's load.
            assert time.monotonic() - started < 15.0
        assert not (directory / "coordinator.json").exists()
    assert command("status", "--data", str(directory)).returncode == 3


def test_reconcile_says_where_books_and_chain_differ(directory: Path) -> None:
    agreed = command("reconcile", "--data", str(directory))
    assert (agreed.returncode, agreed.stdout) == (0, "no differences between books and chain\n")

    @on_asyncio
    async def promise_what_nobody_has() -> None:
        async with Database.open(directory / "coordinator.db") as database:
            account = await database.write(accounts.create, "Ada", wallet("Ada"), NOW_MS)
            await database.write(tasks.insert_new, new_task(account.id), NOW_MS)

    promise_what_nobody_has()
    arguments = ("--data", str(directory), "--patience", "0")
    shown = command("reconcile", *arguments)
    assert shown.returncode == 1
    assert f"holds_uncovered  {wallet('Ada')}\n  booked  tasks hold 60000" in shown.stdout
    assert "2 differences" in shown.stdout
    rows = json.loads(command("reconcile", *arguments, "--json").stdout)
    assert [row["kind"] for row in rows] == ["holds_uncovered", "limit_uncovered"]
    assert rows[0]["first_seen_at_ms"] < rows[0]["last_seen_at_ms"]


def test_a_coordinator_pays_for_going_first_as_its_file_says(
    ledger: dict[str, Any], directory: Path
) -> None:
    settings = directory / "coordinator.toml"
    text = settings.read_text().replace('fee_policy = "percentile"', 'fee_policy = "fixed"')
    text = text.replace("_price_micro_lamports = 0", "_price_micro_lamports = 1_000_000")
    settings.write_text(text.replace("fee_cap_lamports = 100_000", "fee_cap_lamports = 30_000"))
    chain = load_config(settings).chain
    key = KeyPair.read_solana_file(directory / "operator.json")
    operator = Pubkey(key.public_key)

    @on_asyncio
    async def leave_a_payment() -> None:
        """As a coordinator that was killed before it signed."""
        async with open_outbox(chain, directory / "payments.db", signers_from([key])) as (
            rpc,
            outbox,
        ):
            await rpc.request_airdrop(operator, 10**9)
            account = create_token_account(operator, operator, chain.deployment.usdc_mint)
            await outbox.submit("left", [account], operator)

    leave_a_payment()
    with running(directory):
        address = str(chain.deployment.token_account(operator))
        [landed] = wait_for(lambda: _ask(ledger, "getSignaturesForAddress", address))
    options = {"maxSupportedTransactionVersion": 0, "commitment": "confirmed"}
    transaction = _ask(ledger, "getTransaction", landed["signature"], options)
    # 200,000 units at a whole lamport each would be more than the cap.
    assert transaction["meta"]["fee"] == 5_000 + 30_000


def _ask(ledger: dict[str, Any], method: str, *params: Any) -> Any:
    question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(ledger["rpc_url"], json=question, trust_env=False).json()["result"]


def _status_if_up(client: httpx.Client) -> dict[str, Any] | None:
    status: dict[str, Any] = client.get("/api/v1/status").json()["data"]
    return status if status["market"] == "up" else None


def test_a_wrong_configuration_is_named_and_nothing_starts(tmp_path: Path) -> None:
    missing = command("start", "--data", str(tmp_path / "none"))
    assert missing.returncode == 2
    assert "init" in missing.stderr
    (tmp_path / "coordinator.toml").write_text("[timers]\nbid_window = 3\n")
    wrong = command("start", "--data", str(tmp_path))
    assert wrong.returncode == 2
    assert "coordinator.toml" in wrong.stderr


def test_a_backup_of_a_running_coordinator_is_restored_and_started(
    directory: Path, tmp_path: Path
) -> None:
    archive, again = tmp_path / "backup.tar", tmp_path / "again"
    data = ("--data", str(directory))
    create = ("account", "create", "--wallet", wallet("Ada"), "--name", "Ada", *data, "--json")

    @on_asyncio
    async def submit(account_id: str) -> str:
        async with Database.open(directory / "coordinator.db") as database:
            row, _ = await database.write(tasks.insert_new, new_task(account_id), NOW_MS)
            return row.id

    account = json.loads(command(*create).stdout)
    with running(directory):
        task_id = submit(account["account_id"])
        made = command("backup", str(archive), *data, "--with-keys", "--json")
        assert made.returncode == 0, made.stderr
        running_on_it = command("migrate", "--to", "9", *data)
        assert (running_on_it.returncode, "stop it first" in running_on_it.stderr) == (2, True)
        over = command("restore", str(archive), *data)
        assert (over.returncode, "isn't empty" in over.stderr) == (2, True)
    restored = command("restore", str(archive), "--data", str(again))
    assert restored.returncode == 0, restored.stderr
    headers = {"Authorization": f"Bearer {account['api_key']}"}
    with running(again) as (_, info):
        answer = httpx.get(
            f"{info['api_url']}/api/v1/tasks/{task_id}",
            headers=headers,
            trust_env=False,
            timeout=_PATIENCE_S,
        )
    task = answer.json()["data"]
    assert task["status"] == "cancelled"
    assert not (again / "restored.json").exists()
