"""Money, bills, figures and operations by the SDK and the command line, against a real api."""

import base64
import csv
import io
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import Customer, World
from coordinator.fake_parties import DEPLOYMENT
from coordinator.fake_wallet_chain import provider_account
from coordinator.served import ServedWorld
from marketplace.keys import person
from neurogrid import AuthenticationError, Client, ConfigurationError, OperationFailed, WaitTimeout
from neurogrid.profile import CLIENT_ID_VARIABLE, CLIENT_SECRET_VARIABLE, find_profile
from neurogrid_coordinator.money.invoicing import issue_due
from neurogrid_marketplace.faults import Outcome
from neurogrid_wallet.keys import KeyPair
from sdk.typing_commands import JOB, Run

USDC = 1_000_000
MONTH_MS = 32 * 24 * 3_600_000


@pytest.fixture
def alice(api: ServedWorld) -> Customer:
    return api.run(lambda world: world.customer("alice"))


@pytest.fixture
def network(api: ServedWorld, alice: Customer, tmp_path: Path) -> Path:
    """Of this account, for what is typed."""
    path = tmp_path / "network.json"
    path.write_text(json.dumps({"api_url": api.address, "api_key": alice.key}))
    return path


@pytest.fixture
def wallet_key(alice: Customer, tmp_path: Path) -> Path:
    path = tmp_path / "alice.json"
    alice.wallet.write_solana_file(path)
    return path


@pytest.fixture
def client(api: ServedWorld, alice: Customer) -> Iterator[Client]:
    with Client(alice.key, api.address) as made:
        yield made


def typed(run: Run, *words: str, **more: str) -> Any:
    done = run(*words, "--json", **more)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_money_moves_by_what_the_wallets_key_signs_here(
    client: Client, wallet_key: Path, run: Run, tmp_path: Path
) -> None:
    balance = client.wallet.get_balance()
    assert balance.deposited == balance.free == 100
    asked = client.wallet.deposit("2.50", operator_limit=5)
    assert (asked.kind, asked.status, asked.amount) == (
        "deposit",
        "awaiting_signature",
        Decimal("2.5"),
    )
    # No other key signs it, and nothing but a transaction of this wallet alone is signed.
    stranger = tmp_path / "stranger.json"
    KeyPair(b"s" * 32).write_solana_file(stranger)
    with pytest.raises(ConfigurationError, match="the account's wallet is"):
        client.wallet.sign(asked, stranger)
    with pytest.raises(ConfigurationError, match="NEUROGRID_WALLET_KEY"):
        client.wallet.sign(asked)
    message = base64.b64decode(asked.message or "")
    for other in (b"neurogrid:request", b"\x80\x02" + message[2:], message[:5]):
        odd = type(asked)(**{**_fields(asked), "message": base64.b64encode(other).decode()})
        with pytest.raises(ValueError, match="it was not signed"):
            client.wallet.sign(odd, wallet_key)
    done = client.wallet.submit(asked.id, client.wallet.sign(asked, wallet_key))
    assert (done.status, done.transaction) == ("submitted", None)
    with pytest.raises(ValueError, match="nothing to sign"):
        client.wallet.sign(done, wallet_key)

    key = {"NEUROGRID_WALLET_KEY": str(wallet_key)}
    withdrawn = typed(run, "funds", "withdraw", "1.25", "--yes", **key)
    assert (withdrawn["kind"], withdrawn["status"]) == ("withdrawal", "submitted")
    limited = typed(run, "funds", "limit", "0", "--yes", "--wallet-key", str(wallet_key))
    assert limited["kind"] == "operator"
    asked_in_vain = run("funds", "deposit", "1", **key)
    assert asked_in_vain.exit_code == 1, "it asks, and there is nobody"
    page = typed(run, "funds", "transfers")
    assert [item["kind"] for item in page["transfers"]] == [
        "deposit",
        "operator",
        "withdrawal",
        "deposit",
    ]
    assert client.wallet.list_transfers(kind="operator").total == 1
    assert client.wallet.get_transfer(asked.id).status == "submitted"
    assert "awaiting_signature" in run("funds", "transfers", page["transfers"][0]["id"]).output
    assert "100.00 USDC" in run("funds", "balance").output


def test_nothing_is_carried_out_that_was_not_read(
    api: ServedWorld, alice: Customer, wallet_key: Path, tmp_path: Path
) -> None:
    chain = tmp_path / "chain.json"
    market = {"program_id": DEPLOYMENT.program_id, "usdc_mint": DEPLOYMENT.usdc_mint}
    named = {**market, "admin": DEPLOYMENT.admin}
    chain.write_text(json.dumps({name: str(value) for name, value in named.items()}))
    with Client(alice.key, api.address, wallet=wallet_key, market=chain) as client:
        asked = client.wallet.deposit("2.50", operator_limit=5)
        with pytest.raises(WaitTimeout, match="submitted"):
            # The test's chain carries nothing out.
            client.wallet.carry_out(asked, timeout_s=0)
        assert client.wallet.get_transfer(asked.id).status == "submitted"
        # What a coordinator that lies answers in its place.
        asked = client.wallet.deposit("2.50")
        other = client.wallet.deposit("3.50")
        lie = type(asked)(**{**_fields(asked), "message": other.message})
        with pytest.raises(ConfigurationError, match="moves 3500000 millionths"):
            client.wallet.carry_out(lie)
    with (
        Client(alice.key, api.address, wallet=wallet_key, market=chain) as another,
        pytest.raises(ConfigurationError, match="has not asked for it"),
    ):
        another.wallet.carry_out(asked)
    with (
        Client(alice.key, api.address, wallet=wallet_key) as blind,
        pytest.raises(ConfigurationError, match=r"chain\.json"),
    ):
        blind.wallet.carry_out(blind.wallet.deposit("1.00"))
    chain.write_text("{}")
    with (
        Client(alice.key, api.address, wallet=wallet_key, market=chain) as client,
        pytest.raises(ConfigurationError, match="names no market"),
    ):
        client.wallet.carry_out(client.wallet.deposit("1.00"))


def test_a_providers_money_moves_by_what_its_key_signs_here(
    api: ServedWorld, run: Run, tmp_path: Path
) -> None:
    async def provider(world: World) -> Customer:
        owner = await world.customer("owner", roles=("provider",))
        mine = owner.account.wallet
        world.wallets.providers[mine] = provider_account(mine, staked=9 * USDC, unbonding=3 * USDC)
        return owner

    owner = api.run(provider)
    key_file, network = tmp_path / "owner.json", tmp_path / "owner-network.json"
    owner.wallet.write_solana_file(key_file)
    network.write_text(json.dumps({"api_url": api.address, "api_key": owner.key}))
    of_owner = {"NEUROGRID_NETWORK": str(network)}
    unsigned = run("provider", "rebond", "1", "--yes", **of_owner)
    assert unsigned.exit_code != 0
    assert "wallet" in unsigned.output
    for words, kind in [
        (("stake", "1.50"), "stake"),
        (("unstake", "2"), "unstake"),
        (("rebond", "1"), "rebond"),
        (("payout", "0.50", "--to", person("cold").address), "payout"),
    ]:
        signs = ("--wallet-key", str(key_file))
        moved = typed(run, "provider", *words, "--yes", *signs, **of_owner)
        assert (moved["kind"], moved["status"]) == (kind, "submitted")
    key = {"NEUROGRID_WALLET_KEY": str(key_file), **of_owner}
    for words, why in [
        (("withdraw",), "are unbonding until"),
        (("close",), "escrows are open"),
        (("claim", "lease_" + "1" * 32), "there is no lease"),
    ]:
        refused = run("provider", *words, "--yes", **key)
        assert refused.exit_code != 0
        assert why in refused.output
    assert "asks for 5.00" in run("provider", "stake", **of_owner).output.replace(" USDC", "")


def test_bills_figures_and_who_changed_what(
    api: ServedWorld, client: Client, run: Run, tmp_path: Path
) -> None:
    assert run(*JOB).exit_code == 0

    async def pay(world: World) -> None:
        task_id = world.woken.pop(0)
        await world.start(task_id)
        await world.finish(task_id)
        await world.pay(task_id)
        await world.database.write(issue_due, time.time_ns() // 1_000_000 + MONTH_MS)

    api.run(pay)
    (charge,) = client.billing.get_history().history
    assert charge.status == "settled"
    assert charge.paid > 0
    assert charge.paid + (charge.refunded or 0) == charge.escrowed
    rows = list(csv.DictReader(io.StringIO(b"".join(client.billing.export_history()).decode())))
    assert [row["lease_id"] for row in rows] == [charge.lease_id]
    assert client.billing.get_balance().spent_this_month == charge.paid
    (invoice,) = client.billing.list_invoices().invoices
    assert client.billing.get_invoice(invoice.id).lines == [charge]
    assert client.billing.get_invoice_pdf(invoice.id).startswith(b"%PDF")

    file = tmp_path / "invoice.pdf"
    assert run("billing", "invoice", invoice.id, "--pdf", str(file)).exit_code == 0
    assert file.read_bytes() == client.billing.get_invoice_pdf(invoice.id)
    assert charge.lease_id in run("billing", "history", "--csv", "-").stdout
    assert charge.task_id in run("billing", "history").stdout
    assert invoice.id in run("billing", "invoices").stdout
    assert "number 1" in run("billing", "invoice", invoice.id).stdout
    assert "this month" in run("billing", "balance").stdout
    missing = run("billing", "invoice", "nothing", "--pdf", str(tmp_path / "no.pdf"))
    assert missing.exit_code == 4
    assert not list(tmp_path.glob("no.pdf*"))

    assert client.analytics.get_usage().current_month.tasks_completed == 1
    assert client.analytics.get_task_metrics("day").completed == 1
    assert client.analytics.get_performance(metric="tasks_completed").metrics == {
        "tasks_completed": 1
    }
    assert client.analytics.get_stats().total_nodes > 0
    set_to = client.limits.set(monthly_budget="50", monthly_tasks=7)
    assert (set_to.monthly_budget, set_to.monthly_tasks) == (Decimal(50), 7)
    assert set_to.task_budget is None
    assert client.limits.get() == set_to
    assert "50.00 USDC" in run("usage").stdout
    assert "connected of" in run("stats").stdout

    # Each change once, newest first, however many pages there are.
    for _ in range(3):
        client.limits.set(monthly_tasks=7)
    records = list(client.audit.export(page_size=2))
    ids = [record.id for record in records]
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) >= 5
    lines = run("audit", "--type", "task").stdout.splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["task"] * len(lines)
    assert lines


def test_an_operation_is_asked_for_by_name_and_its_result_read(
    api: ServedWorld, client: Client, run: Run
) -> None:
    names = [each.name for each in client.operations.list()]
    assert "matrix_multiply" in names
    assert "--size" in run("operation", "list").stdout
    data = b'{"device_used": "cpu", "output": {"checksum": "ab", "verified": true}}'

    task = client.operations.submit("matrix_multiply", {"size": 100})
    with pytest.raises(OperationFailed, match="left no result"):
        client.operations.get_result(task)

    async def compute(world: World, outcome: Outcome = Outcome.COMPLETED) -> None:
        task_id = world.woken.pop(0)
        await world.start(task_id)
        done = outcome is Outcome.COMPLETED
        outputs = [await world.upload(task_id, "result.json", data)] if done else []
        await world.finish(task_id, *outputs, outcome=outcome)

    api.run(compute)
    result = client.operations.get_result(client.tasks.wait(task.id))
    assert (result.device_used, result.output["checksum"]) == ("cpu", "ab")
    wrong = run("operation", "run", "matrix_multiply", "--size")
    assert (wrong.exit_code, "--size needs a value" in wrong.output) == (2, True)
    refused = run("operation", "run", "matrix_multiply", "--size=-1", "--wait", "1")
    assert refused.exit_code == 2
    unended = run("operation", "run", "matrix_multiply", "--size", "100", "--wait", "0")
    assert unended.exit_code == 8, unended.output
    api.run(lambda world: compute(world, Outcome.EXIT_NONZERO))
    (failed, _) = client.tasks.list().tasks
    with pytest.raises(OperationFailed):
        client.operations.get_result(client.tasks.wait(failed.id))


def test_an_application_works_with_tokens_in_place_of_a_key(
    api: ServedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def register(world: World) -> dict[str, Any]:
        dev = await world.customer("dev", scopes=("read", "write", "keys"))
        body = {"name": "A program", "redirect_uris": [], "scopes": ["read", "write"]}
        answer = await dev.http.post("/api/v1/oauth/clients", json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()["data"]
        return made

    app = api.run(register)
    asked: list[str] = []

    class Counting(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(request.url.path)
            return super().handle_request(request)

    for name in ("NEUROGRID_API_KEY", "NEUROGRID_NETWORK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(CLIENT_ID_VARIABLE, app["client_id"])
    monkeypatch.setenv(CLIENT_SECRET_VARIABLE, app["client_secret"])
    with Client(base_url=api.address, transport=Counting()) as client:
        assert client.account().name == "dev"
        client.tasks.list()
        assert asked == ["/oauth/token", "/api/v1/account", "/api/v1/tasks"], "one token for both"
        _, headers = client._transport.websocket("/ws")
        assert headers["Authorization"].startswith("Bearer ng_")
        assert app["client_secret"] not in repr(client._transport._application)
        # One that is good for nothing any more is replaced at the next request.
        application = client._transport._application
        assert application is not None
        application._token = "ng_" + "0" * 40
        with pytest.raises(AuthenticationError):
            client.account()
        assert client.account().name == "dev"
    monkeypatch.setenv(CLIENT_SECRET_VARIABLE, "wrong")
    with (
        Client(base_url=api.address) as client,
        pytest.raises(AuthenticationError, match="no token"),
    ):
        client.account()
    with pytest.raises(ConfigurationError, match="NEUROGRID_CLIENT_SECRET is missing"):
        find_profile(base_url="http://x", environment={CLIENT_ID_VARIABLE: "x"})


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}
