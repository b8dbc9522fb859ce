"""The RPC client against a server that answers, refuses, garbles and hangs up."""

import base64
import json
import logging
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute
from solders.hash import Hash
from solders.pubkey import Pubkey

from neurogrid_wallet.chain import (
    ChainPosition,
    Commitment,
    SignatureStatus,
    SignatureStatuses,
    TransactionFailure,
)
from neurogrid_wallet.errors import RpcError, RpcRejected, RpcUnavailable
from neurogrid_wallet.rpc import (
    Account,
    Blockhash,
    ProgramAccounts,
    Rpc,
    SignatureRecord,
    Simulation,
    TransactionRecord,
)
from wallet.fake_rpc import Answer, HttpAnswer, LostReply, Refusal, serve

ADDRESS = Pubkey(b"a" * 32)
OWNER = Pubkey(b"o" * 32)
Use = Callable[[Rpc], Awaitable[Any]]


def _ask(backend: str, answer: Answer, use: Use) -> Any:
    """Use an RPC whose server answers like this."""

    async def main() -> Any:
        async with serve(answer) as url, Rpc(url, timeout_s=5) as rpc:
            try:
                return await use(rpc)
            except (RpcError, ValueError) as error:
                # Not through the server's task group, which would wrap it.
                return error

    outcome = anyio.run(main, backend=backend)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


Ask = Callable[[Answer, Use], Any]


@pytest.fixture
def ask() -> Ask:
    return partial(_ask, "trio")


@pytest.fixture(params=["trio", "asyncio"])
def ask_on_both(request: pytest.FixtureRequest) -> Ask:
    return partial(_ask, request.param)


def _always(result: Any) -> Answer:
    return lambda method, params: result


def _value(value: Any) -> Answer:
    return _always({"context": {"slot": 7}, "value": value})


def _account(data: bytes, lamports: int = 5) -> dict[str, Any]:
    encoded = [base64.b64encode(data).decode(), "base64"]
    return {"data": encoded, "owner": str(OWNER), "lamports": lamports, "executable": False}


def test_accounts_are_read(ask_on_both: Ask) -> None:
    assert ask_on_both(_value(_account(b"data")), lambda rpc: rpc.get_account(ADDRESS)) == Account(
        b"data", OWNER, 5
    )
    assert ask_on_both(_value(None), lambda rpc: rpc.get_account(ADDRESS)) is None


def test_many_accounts_are_read_a_hundred_at_a_time_and_in_order(ask: Ask) -> None:
    addresses = [Pubkey(number.to_bytes(32, "big")) for number in range(250)]
    sizes: list[int] = []

    def answer(method: str, params: list[Any]) -> Any:
        sizes.append(len(params[0]))
        accounts = [_account(bytes(Pubkey.from_string(text))) for text in params[0]]
        return {"context": {"slot": 7}, "value": accounts}

    accounts = ask(answer, lambda rpc: rpc.get_accounts(addresses))
    assert [account.data for account in accounts] == [bytes(address) for address in addresses]
    assert sizes == [100, 100, 50]


def test_balances_are_read(ask: Ask) -> None:
    token_account = bytes(64) + (12_345).to_bytes(8, "little") + bytes(93)
    assert ask(_value(99), lambda rpc: rpc.sol_balance(ADDRESS)) == 99
    assert ask(_value(_account(token_account)), lambda rpc: rpc.token_balance(ADDRESS)) == 12_345
    assert ask(_value(None), lambda rpc: rpc.token_balance(ADDRESS)) is None
    with pytest.raises(RpcRejected, match="no token account"):
        ask(_value(_account(b"")), lambda rpc: rpc.token_balance(ADDRESS))


def test_positions_and_blockhashes_are_read(ask: Ask) -> None:
    epoch = {"absoluteSlot": 20, "blockHeight": 19, "epoch": 0}
    blockhash = {"blockhash": str(Hash(b"h" * 32)), "lastValidBlockHeight": 150}
    assert ask(_always(epoch), lambda rpc: rpc.position()) == ChainPosition(20, 19)
    assert ask(_always(19), lambda rpc: rpc.block_height()) == 19
    assert ask(_always(3), lambda rpc: rpc.first_available_slot()) == 3
    assert ask(_value(blockhash), lambda rpc: rpc.latest_blockhash()) == Blockhash(
        Hash(b"h" * 32), 150, 7
    )


def test_statuses_are_read(ask: Ask) -> None:
    failure = {"InstructionError": [1, {"Custom": 3}]}
    values = [
        None,
        {"slot": 5, "confirmations": 1, "err": None, "confirmationStatus": "confirmed"},
        {"slot": 6, "confirmations": None, "err": failure, "confirmationStatus": None},
    ]
    assert ask(
        _value(values), lambda rpc: rpc.signature_statuses(["a", "b", "c"], search_history=True)
    ) == SignatureStatuses(
        7,
        (
            None,
            SignatureStatus(5, Commitment.CONFIRMED, None),
            SignatureStatus(6, Commitment.FINALIZED, TransactionFailure("Custom", 1, 3)),
        ),
    )


def test_history_is_read(ask: Ask) -> None:
    entries = [
        {"signature": "s1", "slot": 9, "err": None, "blockTime": 1_700_000_000},
        {"signature": "s2", "slot": 8, "err": "AccountNotFound", "blockTime": None},
    ]
    assert ask(
        _always(entries), lambda rpc: rpc.signatures_for_address(ADDRESS, limit=2, before="s0")
    ) == [
        SignatureRecord("s1", 9, None, 1_700_000_000),
        SignatureRecord("s2", 8, TransactionFailure("AccountNotFound"), None),
    ]
    with pytest.raises(ValueError, match="limit"):
        ask(_always([]), lambda rpc: rpc.signatures_for_address(ADDRESS, limit=1001))


def test_transactions_are_read(ask: Ask) -> None:
    transaction = {
        "slot": 9,
        "transaction": [base64.b64encode(b"raw").decode(), "base64"],
        "meta": {"err": None, "fee": 5000, "logMessages": ["log"]},
        "blockTime": 1_700_000_000,
    }
    assert ask(_always(transaction), lambda rpc: rpc.transaction("s")) == TransactionRecord(
        9, b"raw", None, 5000, ("log",), 1_700_000_000
    )
    assert ask(_always(None), lambda rpc: rpc.transaction("s")) is None


def test_a_programs_accounts_are_read_with_the_slot_they_are_of(ask: Ask) -> None:
    account = {"data": ["AQI=", "base64"], "owner": str(OWNER), "lamports": 5}
    calls: list[Any] = []

    def answer(method: str, params: list[Any]) -> Any:
        calls.append((method, params))
        value = [{"pubkey": str(ADDRESS), "account": account}]
        return {"context": {"slot": 77}, "value": value}

    found = ask(answer, lambda rpc: rpc.program_accounts(OWNER, offset=8, data=b"\x01"))
    assert found == ProgramAccounts(77, {ADDRESS: Account(b"\x01\x02", OWNER, 5)})
    [(method, [program, config])] = calls
    assert (method, program) == ("getProgramAccounts", str(OWNER))
    assert config["filters"] == [{"memcmp": {"offset": 8, "bytes": "2"}}]
    assert config["withContext"] is True


def test_simulations_are_read(ask: Ask) -> None:
    value = {"err": None, "logs": ["log"], "unitsConsumed": 150}
    failed = {"err": "AccountNotFound", "logs": None}
    assert ask(_value(value), lambda rpc: rpc.simulate(b"raw")) == Simulation(None, ("log",), 150)
    assert ask(_value(failed), lambda rpc: rpc.simulate(b"raw")) == Simulation(
        TransactionFailure("AccountNotFound"), (), 0
    )


def test_a_transaction_is_sent_once_and_without_simulation(ask: Ask) -> None:
    calls: list[Any] = []

    def answer(method: str, params: list[Any]) -> Any:
        calls.append((method, params))
        return "signature"

    assert ask(answer, lambda rpc: rpc.send_raw(b"raw")) == "signature"
    config = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
    assert calls == [("sendTransaction", ["cmF3", config])]


def test_any_other_method_can_be_called(ask: Ask) -> None:
    def answer(method: str, params: list[Any]) -> Any:
        return {"method": method, "params": params}

    assert ask(answer, lambda rpc: rpc.call("neurogrid_requestUsdc", ["key", 5])) == {
        "method": "neurogrid_requestUsdc",
        "params": ["key", 5],
    }


def test_a_refusal_says_why(ask_on_both: Ask) -> None:
    data = {"err": {"InstructionError": [0, {"Custom": 6001}]}, "logs": ["one", "two"]}

    def answer(method: str, params: list[Any]) -> Any:
        raise Refusal(-32002, "Transaction simulation failed", data)

    with pytest.raises(RpcRejected) as caught:
        ask_on_both(answer, lambda rpc: rpc.send_raw(b"raw"))
    error = caught.value
    assert (error.method, error.code) == ("sendTransaction", -32002)
    assert error.logs == ("one", "two")
    assert error.custom_program_error == 6001


@pytest.mark.parametrize("data", [None, [], "text", {"err": None, "logs": "no list"}, {"err": {}}])
def test_a_refusal_without_details_has_none(ask: Ask, data: Any) -> None:
    def answer(method: str, params: list[Any]) -> Any:
        raise Refusal(-32601, "Method not found", data)

    with pytest.raises(RpcRejected) as caught:
        ask(answer, lambda rpc: rpc.position())
    assert (caught.value.logs, caught.value.custom_program_error) == ((), None)


@pytest.mark.parametrize("code", [-32005, -32004, -32603, 429])
def test_a_node_that_is_not_ready_is_unavailable(ask: Ask, code: int) -> None:
    def answer(method: str, params: list[Any]) -> Any:
        raise Refusal(code)

    with pytest.raises(RpcUnavailable):
        ask(answer, lambda rpc: rpc.send_raw(b"raw"))


def _http(status: int, body: bytes = b"") -> Answer:
    def answer(method: str, params: list[Any]) -> Any:
        raise HttpAnswer(status, body)

    return answer


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RpcRejected),
        (401, RpcRejected),
        (403, RpcRejected),
        (404, RpcRejected),
        (408, RpcUnavailable),
        (429, RpcUnavailable),
        (500, RpcUnavailable),
        (502, RpcUnavailable),
        (503, RpcUnavailable),
    ],
)
def test_http_errors_are_refusals_or_outages(ask: Ask, status: int, error: type[RpcError]) -> None:
    with pytest.raises(error):
        ask(_http(status), lambda rpc: rpc.send_raw(b"raw"))


def test_a_json_rpc_error_counts_more_than_its_http_status(ask: Ask) -> None:
    body = {"jsonrpc": "2.0", "id": "1", "error": {"code": -32602, "message": "bad"}}
    with pytest.raises(RpcRejected, match="bad"):
        ask(_http(500, json.dumps(body).encode()), lambda rpc: rpc.send_raw(b"raw"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"<html>",
        b"[]",
        b"{}",
        b'{"jsonrpc":"2.0","id":"1"}',
        b'{"jsonrpc":"2.0","id":"1","result":1,"error":{"code":1,"message":""}}',
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_json_rpc_is_an_outage(ask: Ask, body: bytes) -> None:
    with pytest.raises(RpcUnavailable, match="not JSON-RPC"):
        ask(_http(200, body), lambda rpc: rpc.call("getSlot"))


def test_an_answer_of_another_shape_is_an_outage(ask: Ask) -> None:
    with pytest.raises(RpcUnavailable, match="malformed"):
        ask(_always("five"), lambda rpc: rpc.block_height())


def test_a_read_is_repeated_until_it_is_answered(ask_on_both: Ask) -> None:
    failures: list[Exception] = [LostReply(), HttpAnswer(503), Refusal(-32005)]

    def answer(method: str, params: list[Any]) -> Any:
        if failures:
            raise failures.pop(0)
        return 42

    assert ask_on_both(answer, lambda rpc: rpc.block_height()) == 42


def test_a_read_is_not_repeated_for_ever(ask_on_both: Ask) -> None:
    calls: list[str] = []

    def answer(method: str, params: list[Any]) -> Any:
        calls.append(method)
        raise LostReply

    with pytest.raises(RpcUnavailable):
        ask_on_both(answer, lambda rpc: rpc.block_height())
    assert len(calls) == 4


@pytest.mark.parametrize(
    "use",
    [
        lambda rpc: rpc.send_raw(b"raw"),
        lambda rpc: rpc.request_airdrop(ADDRESS, 1),
        lambda rpc: rpc.call("neurogrid_requestUsdc"),
    ],
)
def test_what_changes_the_chain_is_not_repeated(ask_on_both: Ask, use: Use) -> None:
    calls: list[str] = []

    def answer(method: str, params: list[Any]) -> Any:
        calls.append(method)
        raise LostReply

    with pytest.raises(RpcUnavailable):
        ask_on_both(answer, use)
    assert len(calls) == 1


def test_an_access_key_in_the_address_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> str:
        async with serve(_http(403)) as url, Rpc(f"{url}/?api-key=SECRET") as rpc:
            with pytest.raises(RpcRejected) as caught:
                await rpc.send_raw(b"raw")
            return "".join(traceback.format_exception(caught.value))

    with caplog.at_level(logging.INFO):
        shown = anyio.run(main, backend="trio")
    assert "RpcRejected" in shown
    assert "SECRET" not in shown + caplog.text


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_call_that_hangs_ends(backend: str) -> None:
    async def main() -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(SocketAttribute.local_port)
        async with listener, Rpc(f"http://127.0.0.1:{port}", timeout_s=0.05) as rpc:
            with anyio.fail_after(60), pytest.raises(RpcUnavailable, match="Timeout"):
                await rpc.send_raw(b"raw")

    anyio.run(main, backend=backend)
