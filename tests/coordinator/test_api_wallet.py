"""A client's wallet over REST."""

import base64
from pathlib import Path
from typing import Any

from solders.message import from_bytes_versioned

from coordinator.api_world import TASK, USDC, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from neurogrid_contracts.instructions import deposit, open_client, set_operator
from neurogrid_contracts.instructions.wire import Tag
from neurogrid_coordinator.money.client_funds import ClientFunds
from neurogrid_coordinator.services.transfers import UNFINISHED_MAX
from neurogrid_marketplace.identity import address_bytes
from neurogrid_wallet.chain import TransactionFailure

WALLET = "/api/v1/wallet"


def instructions_of(made: dict[str, Any]) -> list[bytes]:
    """What the instructions of a transaction to sign say."""
    message = from_bytes_versioned(base64.b64decode(made["message"]))
    assert base64.b64decode(made["transaction"]) == b"\x01" + bytes(64) + base64.b64decode(
        made["message"]
    )
    return [bytes(instruction.data) for instruction in message.instructions]


@on_asyncio
async def test_the_balance_tells_free_held_and_escrowed_apart(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        world.chain.funds_of[alice.account.wallet] = ClientFunds(
            balance_micro_usdc=100 * USDC,
            locked_micro_usdc=15 * USDC,
            operator_limit_micro_usdc=30 * USDC,
            wallet_micro_usdc=5 * USDC,
        )
        assert (await alice.http.post("/api/v1/tasks", json=TASK)).status_code == 201
        balance = (await alice.http.get(f"{WALLET}/balance")).json()["data"]
        assert balance == {
            "usdc_balance": "100.00",
            "usdt_balance": "0",
            "free": "75.00",
            "held": "10.00",
            "escrowed": "15.00",
            "available": "20.00",
            "operator_limit": "30.00",
            "in_wallet": "5.00",
            "wallet": alice.account.wallet,
        }
        world.wallets.away = True
        check_error(await alice.http.get(f"{WALLET}/balance"), 503, "UNAVAILABLE")


@on_asyncio
async def test_a_deposit_is_a_transaction_that_says_what_it_does(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=0)
        body = {"amount": "2.5", "currency": "USDC", "operator_limit": "2", "operator_days": 7}
        answer = await alice.http.post(f"{WALLET}/deposits", json=body)
        assert answer.status_code == 201
        made = answer.json()["data"]
        assert answer.headers["location"] == f"{WALLET}/transfers/{made['id']}"
        assert (made["kind"], made["status"], made["amount"]) == (
            "deposit",
            "awaiting_signature",
            "2.50",
        )
        assert (made["fee_sol"], made["wallet"]) == ("0.000005", alice.account.wallet)
        assert made["does"][0] == "deposit 2.50 USDC into the client account"
        assert "up to 2.00 USDC" in made["does"][-1]
        opened, deposited, allowed = instructions_of(made)
        assert opened[0] == Tag.OPEN_CLIENT
        assert deposited == bytes([Tag.DEPOSIT]) + (2_500_000).to_bytes(8, "little")
        assert allowed[:33] == bytes([Tag.SET_OPERATOR]) + bytes(world.wallets.operator)
        for built in (open_client, deposit, set_operator):
            assert built.__doc__, "the program's own builders made them"
        listed = (await alice.http.get(f"{WALLET}/deposits")).json()["data"]
        assert ([one["id"] for one in listed["deposits"]], listed["total"]) == ([made["id"]], 1)


@on_asyncio
async def test_a_withdrawal_goes_to_the_own_wallet_or_another(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        url = f"{WALLET}/withdrawals"
        made = (await alice.http.post(url, json={"amount": 1})).json()["data"]
        assert made["wallet_address"] == alice.account.wallet
        to = str(world.wallets.operator)
        other = await alice.http.post(url, json={"amount": 1, "wallet_address": "1" * 40})
        assert "wallet_address" in check_error(other, 422, "INVALID_REQUEST")
        program = str(world.wallets.deployment.client(world.wallets.operator))
        vault = await alice.http.post(url, json={"amount": 1, "wallet_address": program})
        assert "account of a program" in check_error(vault, 422, "INVALID_REQUEST")
        much = await alice.http.post(url, json={"amount": "100.000001"})
        message = check_error(much, 402, "INSUFFICIENT_CREDITS")
        assert message.startswith("100.000001 USDC are asked for, and 100.00 are unlocked")
        assert to != made["wallet_address"]


@on_asyncio
async def test_what_cannot_be_asked_for_is_refused_and_says_why(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        url = f"{WALLET}/deposits"
        for body, field in [
            ({}, "amount"),
            ({"amount": "0"}, "amount"),
            ({"amount": "-1"}, "amount"),
            ({"amount": "0.0000001"}, "amount"),
            ({"amount": "1", "operator_days": 0}, "operator_days"),
            ({"amount": "1", "currency": "USDT"}, "currency"),
        ]:
            assert field in check_error(
                await alice.http.post(url, json=body), 422, "INVALID_REQUEST"
            )
        poor = await alice.http.post(url, json={"amount": "6"})
        assert "5.00 are in the wallet" in check_error(poor, 402, "INSUFFICIENT_CREDITS")
        world.wallets.refuse = TransactionFailure("InsufficientFundsForFee")
        lacks = await alice.http.post(url, json={"amount": "1"})
        assert "lacks SOL" in check_error(lacks, 402, "INSUFFICIENT_CREDITS")
        world.wallets.refuse = TransactionFailure("Custom", 1, 121)
        paused = await alice.http.post(url, json={"amount": "1"})
        assert "PAUSED" in check_error(paused, 409, "CONFLICT")
        world.wallets.away = True
        away = await alice.http.post(url, json={"amount": "1"})
        assert "nothing to sign" in check_error(away, 503, "UNAVAILABLE")
        listed = (await alice.http.get(f"{WALLET}/transfers")).json()["data"]
        assert listed["total"] == 0


@on_asyncio
async def test_asking_again_with_the_same_key_asks_once(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        url, key = f"{WALLET}/deposits", {"Idempotency-Key": "one"}
        first = await alice.http.post(url, json={"amount": "1"}, headers=key)
        again = await alice.http.post(url, json={"amount": "1.00"}, headers=key)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["data"] == again.json()["data"]
        other = await alice.http.post(url, json={"amount": "2"}, headers=key)
        check_error(other, 409, "IDEMPOTENCY_MISMATCH")
        for _ in range(UNFINISHED_MAX - 1):
            assert (await alice.http.post(url, json={"amount": "1"})).status_code == 201
        check_error(await alice.http.post(url, json={"amount": "1"}), 409, "CONFLICT")
        bob = await world.customer("bob")
        assert (await bob.http.post(url, json={"amount": "1"})).status_code == 201


@on_asyncio
async def test_what_is_handed_in_is_exactly_what_was_asked_for(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        made = (await alice.http.post(f"{WALLET}/operator", json={"limit": "1"})).json()["data"]
        url = f"{WALLET}/transfers/{made['id']}/submit"
        for sent, words in [
            ("%%%", "base64"),
            ("grün", "base64"),
            ("AAAA", "another transaction"),
            (made["message"], "another transaction"),
            (made["transaction"], f"of the wallet {alice.account.wallet}"),
        ]:
            answer = await alice.http.post(url, json={"signed_transaction": sent})
            assert words in check_error(answer, 422, "INVALID_REQUEST")
        shown = (await alice.http.get(f"{WALLET}/transfers/{made['id']}")).json()["data"]
        assert shown["status"] == "awaiting_signature"
        kinds = (await alice.http.get(f"{WALLET}/transfers?kind=deposit")).json()["data"]
        assert kinds["total"] == 0
        assert len(address_bytes(made["wallet"])) == 32
