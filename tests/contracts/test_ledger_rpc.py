"""The RPC methods: results a client can use, and refusals that say what was wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.rpc.responses import (
    GetBlockResp,
    GetMultipleAccountsMaybeJsonParsedResp,
    GetSignatureStatusesResp,
    GetTokenAccountsByOwnerJsonParsedResp,
    GetTransactionResp,
    SimulateTransactionResp,
)
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction, VersionedTransaction
from spl.token.instructions import get_associated_token_address, transfer_checked
from spl.token.models import TransferCheckedParams

from contracts.ledger_world import SOL, World, base64_text, request
from neurogrid_contracts.ledger import rpc
from neurogrid_contracts.ledger.genesis import WRAPPED_SOL
from neurogrid_contracts.ledger.tokens import TOKEN_PROGRAM
from neurogrid_marketplace import base58

CONFIRMED = {"commitment": "confirmed"}
BASE64 = {"commitment": "confirmed", "encoding": "base64"}
USDC = 10**6
LOOKUP_TABLE_PROGRAM = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "ledger")
    yield world
    world.ledger.close()


def send(world: World, raw: bytes, **options: Any) -> Any:
    config = {"encoding": "base64", "preflightCommitment": "confirmed", **options}
    return world.call("sendTransaction", base64_text(raw), config)


def usdc_payment(world: World, amount: int = 3 * USDC) -> tuple[Keypair, Pubkey, str]:
    """The payer, the payee, and the signature of a USDC payment between them."""
    payer, to = world.rich(), Keypair().pubkey()
    mint = world.ledger.genesis.usdc_mint
    world.call("neurogrid_requestUsdc", str(payer.pubkey()), 10 * USDC)
    world.call("neurogrid_requestUsdc", str(to), 1)
    pay = transfer_checked(
        TransferCheckedParams(
            program_id=TOKEN_PROGRAM,
            source=get_associated_token_address(payer.pubkey(), mint),
            mint=mint,
            dest=get_associated_token_address(to, mint),
            owner=payer.pubkey(),
            amount=amount,
            decimals=6,
        )
    )
    signature = send(world, world.sign([pay], payer))
    assert isinstance(signature, str)
    return payer, to, signature


# The protocol


def test_every_method_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()
    assert [name for name in rpc.METHODS if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (7, -32600),
        ({}, -32600),
        ({"method": 5}, -32600),
        ({"method": "getNothing"}, -32601),
        ({"method": "__class__"}, -32601),
        ({"method": "getSlot", "params": {"commitment": "confirmed"}}, -32602),
        ({"method": "getSlot", "params": [None, None]}, -32602),
    ],
)
def test_malformed_requests(world: World, body: object, code: int) -> None:
    answer = rpc.respond(world.backend, body)
    assert answer["error"]["code"] == code
    assert "result" not in answer


KEY = "11111111111111111111111111111111"


@pytest.mark.parametrize(
    ("method", "params", "named"),
    [
        ("getBalance", [], "missing pubkey"),
        ("getBalance", ["nonsense"], "nonsense"),
        ("getBalance", [5], "base58 string"),
        ("getBalance", [KEY, "confirmed"], "configuration"),
        ("getBalance", [KEY, {"commitment": "sure"}], "commitment"),
        ("getAccountInfo", [KEY, {"encoding": "morse"}], "encoding"),
        ("getAccountInfo", [KEY, {"dataSlice": {"offset": 1}}], "dataSlice"),
        ("getAccountInfo", [KEY, {"dataSlice": 7}], "dataSlice"),
        ("getMultipleAccounts", [KEY], "array"),
        ("getMultipleAccounts", [[KEY] * 101], "max 100"),
        ("getProgramAccounts", [KEY, {"filters": [{"dataSize": -1}]}], "0 to"),
        ("getProgramAccounts", [KEY, {"filters": [{}] * 5}], "max 4"),
        ("getProgramAccounts", [KEY, {"filters": [{"memcmp": {"bytes": "1"}}]}], "offset"),
        ("getProgramAccounts", [KEY, {"filters": [{"memcmp": {"offset": 0, "bytes": "0"}}]}], "58"),
        ("getMinimumBalanceForRentExemption", [-1], "0 to"),
        ("getMinimumBalanceForRentExemption", [True], "integer"),
        ("getMinimumBalanceForRentExemption", [1.5], "integer"),
        ("getTokenAccountBalance", [str(Keypair().pubkey())], "could not find account"),
        ("getTokenSupply", [str(Keypair().pubkey())], "could not find mint"),
        ("getTokenAccountsByOwner", [KEY, {}], "mint or programId"),
        ("getSignatureStatuses", [["x"]], "signature"),
        ("getSignatureStatuses", [["x"] * 257], "max 256"),
        ("getSignaturesForAddress", [KEY, {"limit": 0}], "limit"),
        ("getSignaturesForAddress", [KEY, {"commitment": "processed"}], "confirmed"),
        ("getTransaction", ["x"], "signature"),
        ("getSlotLeaders", [1, 5001], "limit"),
        ("getLeaderSchedule", [{"identity": "x"}], "identity"),
        ("getVoteAccounts", [{"votePubkey": 5}], "votePubkey"),
        ("getBlockProduction", [{"range": 5}], "range"),
        ("getBlockProduction", [{"range": {"firstSlot": 9, "lastSlot": 1}}], "firstSlot"),
        ("getBlockProduction", [{"range": {"firstSlot": 0, "lastSlot": 10**9}}], "lastSlot"),
        ("getRecentPerformanceSamples", [721], "limit"),
        ("getLargestAccounts", [{"filter": "mine"}], "filter"),
        ("getInflationReward", [["x"]], "addresses"),
        ("getBlock", [1, {"transactionDetails": "some"}], "transactionDetails"),
        ("getFeeForMessage", ["AAAA"], "message"),
        ("getFeeForMessage", ["?"], "message"),
        ("isBlockhashValid", ["x"], "blockhash"),
        ("sendTransaction", ["####", {"encoding": "base64"}], "base64"),
        ("sendTransaction", ["0OIl"], "base58"),
        ("sendTransaction", ["AA==", {"encoding": "hex"}], "encoding"),
        ("sendTransaction", ["AA==", {"encoding": "base64", "skipPreflight": 1}], "skipPreflight"),
        ("requestAirdrop", [KEY, 0], "lamports"),
        ("requestAirdrop", [KEY, 100_001 * SOL], "lamports"),
        ("neurogrid_requestUsdc", [KEY, 10_000_001 * USDC], "amount_micro_usdc"),
    ],
)
def test_bad_arguments_are_named(world: World, method: str, params: list[Any], named: str) -> None:
    error = world.refused(method, *params)
    assert error["code"] == -32602
    assert named in error["message"]


def test_a_context_slot_still_to_come(world: World) -> None:
    error = world.refused("getBalance", KEY, {"minContextSlot": 10**6})
    assert error["code"] == -32016
    assert error["data"] == {"contextSlot": world.ledger.slot - 2}


OPTION_NAMES = (
    *("commitment", "encoding", "dataSlice", "offset", "length", "filters", "memcmp", "bytes"),
    *("limit", "before", "mint", "programId", "accounts", "addresses"),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([KEY, "confirmed", "base64", "all", "AA=="]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(OPTION_NAMES),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("fuzzed") / "ledger")
    yield world
    world.ledger.close()


@given(method=st.sampled_from(sorted(rpc.METHODS)), params=st.lists(json_values, max_size=3))
@settings(deadline=None, max_examples=300)
def test_no_arguments_make_a_method_fail_by_itself(
    fuzzed: World, method: str, params: list[Any]
) -> None:
    answer = rpc.respond(fuzzed.backend, request(method, *params))
    assert answer.get("error", {}).get("code") != -32603


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
    GetTokenAccountsByOwnerJsonParsedResp.from_json(_wrapped(held))
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


def _wrapped(result: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result})


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
    GetMultipleAccountsMaybeJsonParsedResp.from_json(_wrapped(several))


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
        GetSignatureStatusesResp.from_json(_wrapped(answer))
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
    GetTransactionResp.from_json(_wrapped(shown))
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
    GetBlockResp.from_json(_wrapped(block))
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
    SimulateTransactionResp.from_json(_wrapped(result))
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
        GetTransactionResp.from_json(_wrapped(shown))
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


def test_a_bug_in_a_method_is_an_internal_error(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.ledger.store.close()
    answer = rpc.respond(world.backend, request("getFirstAvailableBlock"))
    assert answer["error"] == {"code": -32603, "message": "Internal error"}
    assert "getFirstAvailableBlock" in caplog.text
