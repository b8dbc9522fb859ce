"""Requests to the RPC: every method is documented, and refusals say what was wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair

from contracts.ledger_world import SOL, World, request
from contracts.rpc_world import USDC
from neurogrid_contracts.ledger import rpc


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "ledger")
    yield world
    world.ledger.close()


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


def test_a_bug_in_a_method_is_an_internal_error(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.ledger.store.close()
    answer = rpc.respond(world.backend, request("getFirstAvailableBlock"))
    assert answer["error"] == {"code": -32603, "message": "Internal error"}
    assert "getFirstAvailableBlock" in caplog.text
