"""RPC methods about transactions: sending, simulating, statuses, history, blocks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.rpc.responses import (
    GetBlockResp,
    GetSignatureStatusesResp,
    GetTransactionResp,
    SimulateTransactionResp,
)
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction, VersionedTransaction

from contracts.ledger_world import SOL, World, base64_text
from contracts.rpc_world import BASE64, CONFIRMED, send, usdc_payment, wrapped
from neurogrid_marketplace import base58

LOOKUP_TABLE_PROGRAM = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "ledger")
    yield world
    world.ledger.close()


# Transactions


def test_send_takes_base58_too(world: World) -> None:
    raw = world.payment(world.rich(), Keypair().pubkey(), SOL)
    signature = world.call(
        "sendTransaction", base58.encode(raw), {"preflightCommitment": "processed"}
    )
    assert signature == str(VersionedTransaction.from_bytes(raw).signatures[0])


def test_a_preflight_failure_carries_its_logs(world: World) -> None:
    raw = world.payment(world.rich(), Keypair().pubkey(), 1000 * SOL)
    error = world.refused(
        "sendTransaction",
        base64_text(raw),
        {"encoding": "base64", "preflightCommitment": "confirmed"},
    )
    assert error["code"] == -32002
    assert error["message"] == (
        "Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1"
    )
    assert error["data"]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert any("insufficient lamports" in line for line in error["data"]["logs"])


def test_a_status_settles(world: World) -> None:
    raw = world.payment(world.rich(), Keypair().pubkey(), SOL)
    signature = send(world, raw)
    unknown = base58.encode(b"\7" * 64)

    def status() -> Any:
        answer = world.call("getSignatureStatuses", [signature, unknown])
        GetSignatureStatusesResp.from_json(wrapped(answer))
        assert answer["value"][1] is None
        return answer["value"][0]

    slot = world.ledger.slot
    assert status() == {
        "slot": slot,
        "confirmations": 0,
        "err": None,
        "status": {"Ok": None},
        "confirmationStatus": "confirmed",
    }
    world.slots(1)
    assert status()["confirmations"] == 1
    world.slots(1)
    assert status()["confirmationStatus"] == "finalized"
    assert status()["confirmations"] is None


def test_an_old_status_has_to_be_searched_for(world: World) -> None:
    signature = send(world, world.payment(world.rich(), Keypair().pubkey(), SOL))
    world.restart()
    assert world.call("getSignatureStatuses", [signature])["value"] == [None]
    search = {"searchTransactionHistory": True}
    (found,) = world.call("getSignatureStatuses", [signature], search)["value"]
    assert found["confirmationStatus"] == "finalized"


@pytest.mark.parametrize("encoding", ["json", "jsonParsed", "base64", "base58"])
def test_a_past_transaction_in_each_encoding(world: World, encoding: str) -> None:
    payer, to, signature = usdc_payment(world)
    options = {**CONFIRMED, "encoding": encoding, "maxSupportedTransactionVersion": 0}
    shown = world.call("getTransaction", signature, options)
    GetTransactionResp.from_json(wrapped(shown))
    assert shown["version"] == 0
    meta = shown["meta"]
    assert (meta["fee"], meta["err"]) == (5000, None)
    balances = {one["owner"]: one["uiTokenAmount"] for one in meta["postTokenBalances"]}
    assert balances[str(to)]["uiAmountString"] == "3.000001"
    assert meta["preBalances"][0] - meta["postBalances"][0] == 5000
    if encoding == "jsonParsed":
        (instruction,) = shown["transaction"]["message"]["instructions"]
        assert instruction["parsed"]["type"] == "transferChecked"
        assert instruction["parsed"]["info"]["tokenAmount"]["amount"] == "3000000"
        assert instruction["parsed"]["info"]["authority"] == str(payer.pubkey())
        first = shown["transaction"]["message"]["accountKeys"][0]
        assert first == {
            "pubkey": str(payer.pubkey()),
            "signer": True,
            "writable": True,
            "source": "transaction",
        }


def test_the_faucets_transactions_read_well(world: World) -> None:
    owner = Keypair().pubkey()
    signature = world.call("neurogrid_requestUsdc", str(owner), 7)
    options = {**CONFIRMED, "encoding": "jsonParsed", "maxSupportedTransactionVersion": 0}
    shown = world.call("getTransaction", signature, options)
    kinds = [
        one["parsed"]["type"] if isinstance(one["parsed"], dict) else one["parsed"].split()[0]
        for one in shown["transaction"]["message"]["instructions"]
    ]
    assert kinds == ["createIdempotent", "mintToChecked", "faucet"]
    inner = shown["meta"]["innerInstructions"][0]["instructions"]
    assert [one["parsed"]["type"] for one in inner if "parsed" in one] == [
        "createAccount",
        "initializeAccount3",
    ]


def test_versions_have_to_be_asked_for(world: World) -> None:
    _, _, signature = usdc_payment(world)
    assert world.refused("getTransaction", signature, CONFIRMED)["code"] == -32015
    payer = world.rich()
    pay = transfer(
        TransferParams(from_pubkey=payer.pubkey(), to_pubkey=Keypair().pubkey(), lamports=SOL)
    )
    blockhash = world.blockhash()
    legacy = Transaction.new_signed_with_payer([pay], payer.pubkey(), [payer], blockhash)
    shown = world.call("getTransaction", send(world, bytes(legacy)), CONFIRMED)
    assert "version" not in shown
    assert shown["transaction"]["message"]["recentBlockhash"] == str(blockhash)


def test_a_transaction_shows_once_it_is_as_settled_as_asked(world: World) -> None:
    _, _, signature = usdc_payment(world)
    options = {"maxSupportedTransactionVersion": 0}
    assert world.call("getTransaction", signature, options) is None
    world.slots(2)
    assert world.call("getTransaction", signature, options)["slot"] == world.ledger.slot - 2


def test_the_history_of_an_address(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    signatures = [send(world, world.payment(payer, to, SOL + i)) for i in range(5)]
    signatures.reverse()

    def history(**options: Any) -> list[str]:
        rows = world.call("getSignaturesForAddress", str(to), {**CONFIRMED, **options})
        return [row["signature"] for row in rows]

    assert history() == signatures
    assert history(limit=2) == signatures[:2]
    assert history(before=signatures[1]) == signatures[2:]
    assert history(until=signatures[3]) == signatures[:3]
    assert history(before=signatures[0], until=signatures[4]) == signatures[1:4]
    assert history(before=base58.encode(b"\7" * 64)) == []
    assert world.call("getSignaturesForAddress", str(to)) == []  # nothing is final yet
    faucet = str(world.ledger.genesis.faucet.pubkey())
    (grant,) = world.call("getSignaturesForAddress", faucet, CONFIRMED)
    assert grant["memo"].startswith("[")
    assert "faucet" in grant["memo"]


def test_blocks_are_the_slots_with_transactions(world: World) -> None:
    payer = world.rich()
    slot = world.ledger.slot
    world.slots(1)
    one = send(world, world.payment(payer, Keypair().pubkey(), SOL))
    two = send(world, world.payment(payer, Keypair().pubkey(), SOL))
    blockhash = str(world.ledger.svm.blockhash)
    world.slots(2)
    options = {**CONFIRMED, "maxSupportedTransactionVersion": 0}
    block = world.call("getBlock", slot + 1, options)
    GetBlockResp.from_json(wrapped(block))
    assert block["blockhash"] == blockhash
    assert block["parentSlot"] == slot
    assert [each["transaction"]["signatures"][0] for each in block["transactions"]] == [one, two]
    brief = world.call("getBlock", slot + 1, {**options, "transactionDetails": "signatures"})
    assert brief["signatures"] == [one, two]
    assert world.refused("getBlock", slot + 2, options)["code"] == -32007
    assert world.refused("getBlock", slot + 99, options)["code"] == -32004
    assert world.call("getBlocks", 0, slot + 50, CONFIRMED) == [slot, slot + 1]
    assert world.call("getBlocks", slot + 1, CONFIRMED) == [slot + 1]
    assert world.call("getBlocksWithLimit", 0, 1, CONFIRMED) == [slot]
    assert world.call("getFirstAvailableBlock") == slot
    assert world.call("getBlockTime", slot + 1) == int(world.now_s)
    assert world.call("getBlockTime", slot + 2) == int(world.now_s)
    assert world.refused("getBlockTime", slot + 99)["code"] == -32004
    assert world.call("getTransactionCount") == 3


# Simulation


def test_a_simulation_changes_nothing(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    raw = base64_text(world.payment(payer, to, SOL))
    wanted = {"addresses": [str(to), str(Keypair().pubkey())], "encoding": "base64"}
    result = world.call(
        "simulateTransaction", raw, {**BASE64, "accounts": wanted, "innerInstructions": True}
    )
    SimulateTransactionResp.from_json(wrapped(result))
    value = result["value"]
    assert value["err"] is None
    assert value["unitsConsumed"] == 150
    assert value["accounts"][0]["lamports"] == SOL
    assert value["accounts"][1] is None
    assert value["innerInstructions"] == []
    assert world.lamports(to) == 0


def test_a_simulation_tells_the_error(world: World) -> None:
    payer = world.rich()
    raw = base64_text(world.payment(payer, Keypair().pubkey(), 1000 * SOL))
    value = world.call("simulateTransaction", raw, BASE64)["value"]
    assert value["err"] == {"InstructionError": [0, {"Custom": 1}]}


def test_a_simulation_may_replace_the_blockhash(world: World) -> None:
    payer = world.rich()
    dead = world.payment(payer, Keypair().pubkey(), SOL, blockhash=Hash.new_unique())
    raw = base64_text(dead)
    assert world.call("simulateTransaction", raw, BASE64)["value"]["err"] == "BlockhashNotFound"
    replaced = world.call("simulateTransaction", raw, {**BASE64, "replaceRecentBlockhash": True})
    assert replaced["value"]["err"] is None
    assert replaced["value"]["replacementBlockhash"]["blockhash"] == str(world.blockhash())
    both = {**BASE64, "replaceRecentBlockhash": True, "sigVerify": True}
    assert world.refused("simulateTransaction", raw, both)["code"] == -32602


def test_a_simulation_verifies_signatures_when_asked(world: World) -> None:
    raw = bytearray(world.payment(world.rich(), Keypair().pubkey(), SOL))
    raw[1] ^= 1
    text = base64_text(bytes(raw))
    assert world.call("simulateTransaction", text, BASE64)["value"]["err"] is None
    assert (
        world.refused("simulateTransaction", text, {**BASE64, "sigVerify": True})["code"] == -32003
    )


# Address lookup tables


def test_a_transaction_through_a_lookup_table(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    slot = world.ledger.slot - 1
    seeds = [bytes(payer.pubkey()), slot.to_bytes(8, "little")]
    table, bump = Pubkey.find_program_address(seeds, LOOKUP_TABLE_PROGRAM)
    owner_accounts = [
        AccountMeta(table, is_signer=False, is_writable=True),
        AccountMeta(payer.pubkey(), is_signer=True, is_writable=False),
        AccountMeta(payer.pubkey(), is_signer=True, is_writable=True),
        AccountMeta(Pubkey.default(), is_signer=False, is_writable=False),
    ]
    create = bytes(4) + slot.to_bytes(8, "little") + bytes([bump])
    extend = b"\2\0\0\0" + (1).to_bytes(8, "little") + bytes(to)
    send(
        world,
        world.sign(
            [
                Instruction(LOOKUP_TABLE_PROGRAM, create, owner_accounts),
                Instruction(LOOKUP_TABLE_PROGRAM, extend, owner_accounts),
            ],
            payer,
        ),
    )
    world.slots(1)
    pay = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=SOL))
    message = MessageV0.try_compile(
        payer.pubkey(), [pay], [AddressLookupTableAccount(table, [to])], world.blockhash()
    )
    assert to not in message.account_keys
    signature = send(world, bytes(VersionedTransaction(message, [payer])))
    assert world.lamports(to) == SOL
    for encoding in ("json", "jsonParsed"):
        shown = world.call(
            "getTransaction",
            signature,
            {**CONFIRMED, "encoding": encoding, "maxSupportedTransactionVersion": 0},
        )
        GetTransactionResp.from_json(wrapped(shown))
    assert shown["transaction"]["message"]["accountKeys"][-1]["source"] == "lookupTable"
    assert world.call("getSignaturesForAddress", str(to), CONFIRMED)[0]["signature"] == signature
    # A table that does not exist.
    nowhere = AddressLookupTableAccount(Keypair().pubkey(), [to])
    message = MessageV0.try_compile(payer.pubkey(), [pay], [nowhere], world.blockhash())
    raw = base64_text(bytes(VersionedTransaction(message, [payer])))
    error = world.refused(
        "sendTransaction", raw, {"encoding": "base64", "preflightCommitment": "confirmed"}
    )
    assert error["data"]["err"] == "AddressLookupTableNotFound"
    simulated = world.call("simulateTransaction", raw, BASE64)["value"]
    assert simulated["err"] == "AddressLookupTableNotFound"
