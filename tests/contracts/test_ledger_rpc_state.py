"""RPC methods that read the present: slots, fees, accounts, tokens, supply; and the faucets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from solders.account import Account
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.rpc.responses import (
    GetMultipleAccountsMaybeJsonParsedResp,
    GetTokenAccountsByOwnerJsonParsedResp,
)
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from spl.token.instructions import get_associated_token_address

from contracts.ledger_world import SOL, World, base64_text
from contracts.rpc_world import BASE64, CONFIRMED, send, usdc_payment, wrapped
from neurogrid_contracts.ledger.genesis import WRAPPED_SOL
from neurogrid_contracts.ledger.tokens import TOKEN_PROGRAM
from neurogrid_marketplace import base58


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "ledger")
    yield world
    world.ledger.close()


# The cluster


def test_slots_and_blockhashes_follow_the_commitment(world: World) -> None:
    slot = world.call("getSlot", CONFIRMED)
    assert world.call("getSlot") == slot - 2
    assert world.call("getBlockHeight", {"commitment": "processed"}) == slot
    final = world.call("getLatestBlockhash")
    fresh = world.call("getLatestBlockhash", CONFIRMED)
    assert final["context"]["slot"] == slot - 2
    assert final["value"]["lastValidBlockHeight"] == slot - 2 + 150
    assert fresh["value"]["lastValidBlockHeight"] == slot + 150
    blockhash = fresh["value"]["blockhash"]
    assert world.call("isBlockhashValid", blockhash, CONFIRMED)["value"] is True
    assert world.call("isBlockhashValid", blockhash)["value"] is False
    assert world.call("isBlockhashValid", str(Hash.new_unique()), CONFIRMED)["value"] is False


def test_the_small_answers(world: World) -> None:
    assert world.call("getHealth") == "ok"
    assert world.call("getVersion")["solana-core"]
    assert world.call("getGenesisHash") == str(world.ledger.genesis.hash)
    assert world.call("getEpochInfo", CONFIRMED)["absoluteSlot"] == world.ledger.slot
    assert world.call("getMinimumBalanceForRentExemption", 165) == 2_039_280
    assert world.call("getRecentPrioritizationFees")[0]["prioritizationFee"] == 0
    assert world.call("neurogrid_info") == {"pid": 1}
    assert len(world.call("getClusterNodes")) == 1
    assert world.call("getEpochSchedule")["slotsPerEpoch"] == 432_000
    assert world.call("getIdentity")["identity"] == str(world.ledger.genesis.faucet.pubkey())


@pytest.mark.parametrize("priority", [False, True])
def test_the_fee_of_a_message_is_what_it_is_charged(world: World, priority: bool) -> None:
    payer = world.rich()
    instructions = [
        transfer(
            TransferParams(from_pubkey=payer.pubkey(), to_pubkey=Keypair().pubkey(), lamports=SOL)
        )
    ]
    if priority:
        instructions += [set_compute_unit_limit(10_001), set_compute_unit_price(1_234_567)]
    raw = world.sign(instructions, payer)
    message = VersionedTransaction.from_bytes(raw).message
    assert isinstance(message, MessageV0)
    told = world.call("getFeeForMessage", base64_text(b"\x80" + bytes(message)), CONFIRMED)
    send(world, raw)
    assert world.lamports(payer.pubkey()) == 100 * SOL - SOL - told["value"]
    assert (told["value"] > 5000) == priority


def test_a_message_with_a_dead_blockhash_has_no_fee(world: World) -> None:
    message = Message.new_with_blockhash([], Keypair().pubkey(), Hash.new_unique())
    assert world.call("getFeeForMessage", base64_text(bytes(message)), CONFIRMED)["value"] is None


# Money


def test_airdrops_are_ordinary_transactions(world: World) -> None:
    to = Keypair().pubkey()
    first = world.call("requestAirdrop", str(to), SOL)
    second = world.call("requestAirdrop", str(to), SOL)
    assert first != second
    assert world.call("getBalance", str(to), CONFIRMED)["value"] == 2 * SOL
    (status, _) = world.call("getSignatureStatuses", [first, second])["value"]
    assert status["err"] is None


def test_usdc_grants_create_the_account_once(world: World) -> None:
    owner = Keypair().pubkey()
    account = str(get_associated_token_address(owner, world.ledger.genesis.usdc_mint))
    for _ in range(2):
        world.call("neurogrid_requestUsdc", str(owner), 1_500_000)
    amount = world.call("getTokenAccountBalance", account, CONFIRMED)["value"]
    assert amount == {"amount": "3000000", "decimals": 6, "uiAmount": 3.0, "uiAmountString": "3"}
    mint = str(world.ledger.genesis.usdc_mint)
    assert world.call("getTokenSupply", mint, CONFIRMED)["value"]["amount"] == "3000000"


def test_reads_of_tokens(world: World) -> None:
    payer, to, _ = usdc_payment(world)
    mint = world.ledger.genesis.usdc_mint
    held = world.call(
        "getTokenAccountsByOwner",
        str(to),
        {"mint": str(mint)},
        {**CONFIRMED, "encoding": "jsonParsed"},
    )
    GetTokenAccountsByOwnerJsonParsedResp.from_json(wrapped(held))
    info = held["value"][0]["account"]["data"]["parsed"]["info"]
    assert info["tokenAmount"]["amount"] == "3000001"
    assert info["owner"] == str(to)
    largest = world.call("getTokenLargestAccounts", str(mint), CONFIRMED)["value"]
    assert [one["amount"] for one in largest] == ["7000000", "3000001"]
    by_program = {"programId": str(TOKEN_PROGRAM)}
    mine = world.call("getTokenAccountsByOwner", str(payer.pubkey()), by_program, BASE64)
    assert len(mine["value"]) == 1
    assert world.call("getTokenAccountsByDelegate", str(to), by_program, BASE64)["value"] == []
    shown = world.call("getAccountInfo", str(mint), {**CONFIRMED, "encoding": "jsonParsed"})
    assert shown["value"]["data"]["parsed"]["info"]["decimals"] == 6


# Accounts


def test_account_data_in_each_encoding(world: World) -> None:
    mint = str(world.ledger.genesis.usdc_mint)
    raw = world.ledger.svm.account(world.ledger.genesis.usdc_mint)
    assert raw is not None
    text = base64_text(raw.data)
    by_default = world.call("getAccountInfo", mint)["value"]
    assert by_default["data"] == base58.encode(raw.data)
    shown = world.call("getAccountInfo", mint, BASE64)["value"]
    assert shown == {
        "data": [text, "base64"],
        "executable": False,
        "lamports": raw.lamports,
        "owner": str(TOKEN_PROGRAM),
        "rentEpoch": raw.rent_epoch,
        "space": 82,
    }
    part = {**BASE64, "encoding": "base58", "dataSlice": {"offset": 44, "length": 2}}
    sliced = world.call("getAccountInfo", mint, part)["value"]
    assert sliced["data"] == [base58.encode(bytes([6, 1])), "base58"]
    assert sliced["space"] == 82
    several = world.call("getMultipleAccounts", [mint, str(Keypair().pubkey())])
    assert several["value"] == [shown, None]
    GetMultipleAccountsMaybeJsonParsedResp.from_json(wrapped(several))


def test_long_data_needs_base64(world: World) -> None:
    owner = Keypair().pubkey()
    world.faucet.send_usdc(owner, 1)
    account = str(get_associated_token_address(owner, world.ledger.genesis.usdc_mint))
    error = world.refused("getAccountInfo", account, CONFIRMED)
    assert "Base64" in error["message"]


def test_program_accounts_by_filter(world: World) -> None:
    owners = [Keypair().pubkey() for _ in range(3)]
    for owner in owners:
        world.faucet.send_usdc(owner, 1)

    def found(*filters: Any) -> list[str]:
        accounts = world.call(
            "getProgramAccounts", str(TOKEN_PROGRAM), {**BASE64, "filters": list(filters)}
        )
        return [one["pubkey"] for one in accounts]

    mint = world.ledger.genesis.usdc_mint
    accounts = sorted(str(get_associated_token_address(owner, mint)) for owner in owners)
    assert sorted(found({"dataSize": 165})) == accounts
    assert sorted(found("tokenAccountState")) == accounts
    of_first = {"memcmp": {"offset": 32, "bytes": str(owners[0])}}
    expected = [str(get_associated_token_address(owners[0], mint))]
    assert found({"dataSize": 165}, of_first) == expected
    in_base64 = {"offset": 32, "bytes": base64_text(bytes(owners[0])), "encoding": "base64"}
    assert found({"memcmp": in_base64}) == expected
    assert found({"memcmp": {"offset": 32, "bytes": list(bytes(owners[0]))}}) == expected
    assert sorted(found({"dataSize": 82})) == sorted([str(mint), str(WRAPPED_SOL)])
    contextual = world.call(
        "getProgramAccounts", str(TOKEN_PROGRAM), {**BASE64, "withContext": True}
    )
    assert len(contextual["value"]) == 3 + 2


def test_a_multisig_is_never_taken_for_a_token_account(world: World) -> None:
    # Bytes 108 and 165 are where an account with extensions says that it is one.
    keys = bytes([2]) * 32 * 11
    data = bytes([2, 3, 1]) + keys
    address = Keypair().pubkey()
    world.ledger.svm.put_account(address, Account(10**7, data, TOKEN_PROGRAM))
    shown = world.call("getAccountInfo", str(address), {**CONFIRMED, "encoding": "jsonParsed"})
    parsed = shown["value"]["data"]["parsed"]
    assert parsed["type"] == "multisig"
    assert parsed["info"]["numRequiredSigners"] == 2
    assert len(parsed["info"]["signers"]) == 3
    assert "not a Token account" in world.refused("getTokenAccountBalance", str(address))["message"]


def test_blocks_and_votes_of_one_node(world: World) -> None:
    world.rich()
    world.slots(151)
    identity = world.call("getIdentity")["identity"]
    other = str(Keypair().pubkey())
    now = world.call("getSlot")
    produced = world.call("getBlockProduction")["value"]
    assert produced["byIdentity"] == {identity: [now + 1, 1]}
    assert produced["range"] == {"firstSlot": 0, "lastSlot": now}
    assert world.call("getBlockProduction", {"identity": other})["value"]["byIdentity"] == {}
    assert world.call("getLeaderSchedule", {"identity": other}) == {}
    assert world.call("getLeaderSchedule", 10**9) is None
    assert world.call("getVoteAccounts", {"votePubkey": other})["current"] == []
    (sample,) = world.call("getRecentPerformanceSamples", 5)
    assert (sample["numSlots"], sample["samplePeriodSecs"]) == (150, 60)
    assert world.refused("getHighestSnapshotSlot")["code"] == -32008


def test_supply_is_what_the_accounts_hold(world: World) -> None:
    before = world.call("getSupply")["value"]["total"]
    payer = world.rich(5 * SOL)
    after = world.call("getSupply")["value"]
    assert before - after["total"] == 5000  # the fee of the faucet's transaction
    largest = world.call("getLargestAccounts")["value"]
    assert {"address": str(payer.pubkey()), "lamports": 5 * SOL} in largest
    assert world.call("getLargestAccounts", {"filter": "nonCirculating"})["value"] == []
