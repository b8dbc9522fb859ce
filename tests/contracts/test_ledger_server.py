"""The real server process, spoken to by the clients that everybody uses."""

import asyncio
import base64
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import websockets
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.models import TxOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.rpc.responses import SignatureNotification
from solders.signature import Signature
from solders.system_program import (
    CreateAccountParams,
    TransferParams,
    create_account,
    transfer,
)
from solders.transaction import VersionedTransaction
from spl.token.constants import MINT_LEN, TOKEN_PROGRAM_ID
from spl.token.instructions import (
    create_idempotent_associated_token_account,
    get_associated_token_address,
    initialize_mint2,
    mint_to_checked,
    transfer_checked,
)
from spl.token.models import InitializeMint2Params, MintToCheckedParams, TransferCheckedParams

from contracts.ledger_process import LedgerProcess

pytestmark = pytest.mark.processes

SOL = 10**9
CONFIRMED = {"commitment": "confirmed"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerProcess]:
    """One ledger for the tests that do not harm it."""
    with LedgerProcess(tmp_path_factory.mktemp("ledger"), "--slot-ms", "50") as ledger:
        yield ledger


def rich(ledger: LedgerProcess, lamports: int = 100 * SOL) -> Keypair:
    keypair = Keypair()
    ledger.call("requestAirdrop", str(keypair.pubkey()), lamports)
    return keypair


def payment(ledger: LedgerProcess, payer: Keypair, to: Pubkey, lamports: int) -> bytes:
    latest = ledger.call("getLatestBlockhash", CONFIRMED)["value"]["blockhash"]
    return signed_payment(payer, to, lamports, Hash.from_string(latest))


def signed_payment(payer: Keypair, to: Pubkey, lamports: int, blockhash: Hash) -> bytes:
    pay = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports))
    message = MessageV0.try_compile(payer.pubkey(), [pay], [], blockhash)
    return bytes(VersionedTransaction(message, [payer]))


def send(ledger: LedgerProcess, raw: bytes, **options: Any) -> str:
    config = {"encoding": "base64", "preflightCommitment": "confirmed", **options}
    signature = ledger.call("sendTransaction", base64.b64encode(raw).decode(), config)
    assert isinstance(signature, str)
    return signature


def balance(ledger: LedgerProcess, address: Pubkey) -> int:
    value = ledger.call("getBalance", str(address), CONFIRMED)["value"]
    assert isinstance(value, int)
    return value


# Clients


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_solana_py_pays_with_tokens(shared: LedgerProcess, backend: str) -> None:
    anyio.run(_pay_with_tokens, shared.url, backend=backend)


async def _pay_with_tokens(url: str) -> None:
    async with AsyncClient(url, commitment=Confirmed) as client:
        assert await client.is_connected()
        alice, bob, mint = Keypair(), Keypair(), Keypair()

        async def send_signed(instructions: list[Instruction], *signers: Keypair) -> Signature:
            latest = (await client.get_latest_blockhash()).value
            message = MessageV0.try_compile(signers[0].pubkey(), instructions, [], latest.blockhash)
            options = TxOpts(preflight_commitment=Confirmed)
            sent = await client.send_transaction(VersionedTransaction(message, signers), options)
            (status,) = (await client.get_signature_statuses([sent.value])).value
            assert status is not None
            assert status.err is None
            return sent.value

        await client.request_airdrop(alice.pubkey(), 10 * SOL)
        rent = (await client.get_minimum_balance_for_rent_exemption(MINT_LEN)).value
        await send_signed(
            [
                create_account(
                    CreateAccountParams(
                        from_pubkey=alice.pubkey(),
                        to_pubkey=mint.pubkey(),
                        lamports=rent,
                        space=MINT_LEN,
                        owner=TOKEN_PROGRAM_ID,
                    )
                ),
                initialize_mint2(
                    InitializeMint2Params(
                        decimals=6,
                        program_id=TOKEN_PROGRAM_ID,
                        mint=mint.pubkey(),
                        mint_authority=alice.pubkey(),
                    )
                ),
            ],
            alice,
            mint,
        )
        accounts = [
            get_associated_token_address(one.pubkey(), mint.pubkey()) for one in (alice, bob)
        ]
        signature = await send_signed(
            [
                *(
                    create_idempotent_associated_token_account(
                        alice.pubkey(), one.pubkey(), mint.pubkey()
                    )
                    for one in (alice, bob)
                ),
                mint_to_checked(
                    MintToCheckedParams(
                        program_id=TOKEN_PROGRAM_ID,
                        mint=mint.pubkey(),
                        dest=accounts[0],
                        mint_authority=alice.pubkey(),
                        amount=10_000_000,
                        decimals=6,
                    )
                ),
                transfer_checked(
                    TransferCheckedParams(
                        program_id=TOKEN_PROGRAM_ID,
                        source=accounts[0],
                        mint=mint.pubkey(),
                        dest=accounts[1],
                        owner=alice.pubkey(),
                        amount=2_500_000,
                        decimals=6,
                    )
                ),
            ],
            alice,
        )
        held = (await client.get_token_account_balance(accounts[1])).value
        assert held.ui_amount_string == "2.5"
        past = (
            await client.get_transaction(
                signature, "jsonParsed", max_supported_transaction_version=0
            )
        ).value
        assert past is not None
        assert past.transaction.meta is not None
        assert past.transaction.meta.fee == 5000
        (row, *_) = (await client.get_signatures_for_address(accounts[1])).value
        assert row.signature == signature


def test_the_websocket_tells_of_a_confirmed_signature(shared: LedgerProcess) -> None:
    async def main() -> None:
        payer = rich(shared)
        raw = payment(shared, payer, Keypair().pubkey(), SOL)
        signature = VersionedTransaction.from_bytes(raw).signatures[0]
        async with SolanaWsClient(shared.info["ws_url"]) as client, asyncio.timeout(60):
            await client.signature_subscribe(signature=signature, commitment=Confirmed)
            send(shared, raw)
            told = await client.recv()
            assert isinstance(told, SignatureNotification)
            assert told.result.value.err is None
            # A signature of the past is told at once, or, by default, once it is final.
            await client.signature_subscribe(signature=signature)
            again = await client.recv()
            assert isinstance(again, SignatureNotification)
            assert again.result.value.err is None

    asyncio.run(main())


def test_websocket_requests_and_refusals(shared: LedgerProcess) -> None:
    async def main() -> None:
        # Both ports serve both protocols.
        async with websockets.connect(shared.url.replace("http", "ws")) as socket:

            async def ask(method: str, *params: Any) -> Any:
                body = {"jsonrpc": "2.0", "id": 9, "method": method, "params": params}
                await socket.send(json.dumps(body))
                while True:
                    answer = json.loads(await socket.recv())
                    if answer.get("id") == 9:
                        return answer

            assert (await ask("getHealth"))["result"] == "ok"
            assert (await ask("blockSubscribe"))["error"]["code"] == -32601
            assert (await ask("accountSubscribe", "x"))["error"]["code"] == -32602
            number = (await ask("slotSubscribe"))["result"]
            assert (await ask("slotUnsubscribe", number))["result"] is True
            assert (await ask("slotUnsubscribe", number))["error"]["code"] == -32602
            await socket.send("{")
            assert json.loads(await socket.recv())["error"]["code"] == -32700
            # To an account of nobody: 256 that are told of each slot would be too much for a busy reader.
            silent = str(Keypair().pubkey())
            for _ in range(256):
                assert "result" in await ask("accountSubscribe", silent)
            assert "too many" in (await ask("accountSubscribe", silent))["error"]["message"]

    asyncio.run(main())


def test_a_reader_that_takes_nothing_is_dropped(shared: LedgerProcess) -> None:
    payer = rich(shared, 1_000 * SOL)
    with socket.socket() as stuck:
        # Small, or the kernel's own buffers would hold all of it.
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", shared.port + 1))
        stuck.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        for number in range(256):
            body = {
                "jsonrpc": "2.0",
                "id": number,
                "method": "logsSubscribe",
                "params": ["all", CONFIRMED],
            }
            stuck.sendall(_masked(json.dumps(body).encode()))
        # Each payment is 256 messages of 0.4 kB; together beyond what queue and sockets hold.
        latest = ledger_blockhash(shared)
        for number in range(150):
            send(shared, signed_payment(payer, Keypair().pubkey(), SOL + number, latest))
        stuck.settimeout(60)
        taken = b""
        while chunk := stuck.recv(1 << 16):
            taken += chunk
        # Far less than was said to it, and then the end.
        assert 0 < taken.count(b"logsNotification") < 150 * 256
    assert shared.call("getHealth") == "ok"


def ledger_blockhash(ledger: LedgerProcess) -> Hash:
    latest = ledger.call("getLatestBlockhash", CONFIRMED)["value"]["blockhash"]
    return Hash.from_string(latest)


def _masked(payload: bytes) -> bytes:
    """A text frame from a client, masked with zeros."""
    length = len(payload)
    assert length < 65536
    head = bytes([0x81, 0x80 | length]) if length < 126 else b"\x81\xfe" + length.to_bytes(2, "big")
    return head + bytes(4) + payload


# HTTP


def test_batches(shared: LedgerProcess) -> None:
    body = [
        {"jsonrpc": "2.0", "id": "a", "method": "getHealth"},
        {"jsonrpc": "2.0", "id": "b", "method": "nothing"},
        5,
    ]
    _, text = shared.post(json.dumps(body).encode())
    health, unknown, malformed = json.loads(text)
    assert health == {"jsonrpc": "2.0", "id": "a", "result": "ok"}
    assert unknown["error"]["code"] == -32601
    assert malformed["error"]["code"] == -32600
    for wrong in ([], [1] * 257):
        _, text = shared.post(json.dumps(wrong).encode())
        assert json.loads(text)["error"]["code"] == -32600


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 20_000])
def test_bodies_that_are_no_json(shared: LedgerProcess, body: bytes) -> None:
    _, text = shared.post(body)
    assert json.loads(text)["error"]["code"] == -32700


def test_a_body_too_large(shared: LedgerProcess) -> None:
    status, _ = shared.post(b" " * (50 * 1024 + 1))
    assert status == 413


def test_browsers_may_call(shared: LedgerProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=60)
    connection.request("OPTIONS", "/")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("access-control-allow-origin")) == (200, "*")
    answer.read()
    connection.request("GET", "/health")
    assert connection.getresponse().read() == b"ok"
    connection.close()


def test_the_ready_file_says_how_to_reach_it(shared: LedgerProcess) -> None:
    assert set(shared.info) == {
        "rpc_url",
        "ws_url",
        "pid",
        "usdc_mint",
        "faucet",
        "program_id",
        "genesis_hash",
        "control_key_file",
    }
    key_file = shared.data / "control.key"
    told = {**shared.call("neurogrid_info"), "control_key_file": str(key_file)}
    assert told == shared.info
    assert key_file.stat().st_mode & 0o777 == 0o600
    program = shared.call("getAccountInfo", shared.info["program_id"])["value"]
    assert program["executable"] is True
    assert shared.info["ws_url"] == f"ws://127.0.0.1:{shared.port + 1}"


def test_a_directory_is_served_once(shared: LedgerProcess) -> None:
    assert "another process" in _start_fails("--data", str(shared.data), "--port", "0")


def test_a_taken_port_is_said(shared: LedgerProcess, tmp_path: Path) -> None:
    for port in (shared.port, shared.port - 1):
        said = _start_fails("--data", str(tmp_path), "--port", str(port))
        assert "Address already in use" in said


def test_the_open_network_is_warned_of(shared: LedgerProcess, tmp_path: Path) -> None:
    options = ("--data", str(tmp_path), "--port", str(shared.port))
    said = _start_fails(*options, "--host", "0.0.0.0")
    assert "whoever reaches it can mint test money" in said
    assert "warning" not in _start_fails(*options)


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database at all" * 100)
    said = _start_fails("--data", str(tmp_path), "--port", "0")
    assert "not a database" in said
    assert "Traceback" not in said


def _start_fails(*options: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "neurogrid_contracts.ledger", "start", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    return ended.stderr


# The end, and after


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_soon_with_open_websockets(tmp_path: Path, number: int) -> None:
    async def stop_under_load(ledger: LedgerProcess) -> tuple[int, float]:
        async with websockets.connect(ledger.info["ws_url"]) as one:
            await one.send('{"jsonrpc":"2.0","id":1,"method":"slotSubscribe"}')
            await one.recv()
            began = time.monotonic()
            status = await asyncio.to_thread(ledger.stop, number)
            return status, time.monotonic() - began

    with LedgerProcess(tmp_path, "--no-program") as ledger:
        assert balance(ledger, Keypair().pubkey()) == 0  # a keep-alive connection stays open
        status, took_s = asyncio.run(stop_under_load(ledger))
        assert status == 0
        # Open connections would hold it up for ever; the rest is the machine's load.
        assert took_s < 15
        assert not (tmp_path / "ledger.json").exists()


def test_kill_9_in_a_stream_of_payments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Kill it mid-stream three times; send every payment again after each restart."""
    with LedgerProcess(tmp_path, "--no-program", "--slot-ms", "100") as ledger:
        payer, to = rich(ledger, 1_000 * SOL), Keypair().pubkey()
        sent: dict[str, int] = {}  # signature -> lamports
        acknowledged: set[str] = set()
        for life in range(3):
            blockhash = ledger_blockhash(ledger)
            # After so many payments, in the middle of one of those that follow.
            killer = threading.Timer(0.002 * life, ledger_kill, [ledger.info["pid"]])
            try:
                for number in range(100_000):
                    if number == 40:
                        killer.start()
                    lamports = SOL // 100 + 100_000 * life + number
                    raw = signed_payment(payer, to, lamports, blockhash)
                    sent[str(VersionedTransaction.from_bytes(raw).signatures[0])] = lamports
                    acknowledged.add(send(ledger, raw))
            except (OSError, http.client.HTTPException):
                pass  # killed
            killer.join()
            ledger.kill()
            ledger.start()
            # Their blockhashes are dead now: those that ran count, the others never will.
            assert acknowledged <= landed_of(ledger, sent)
        landed = landed_of(ledger, sent)
        assert len(acknowledged) > 100
        assert len(landed) <= len(acknowledged) + 3  # at most the one in flight per life
        assert balance(ledger, to) == sum(sent[signature] for signature in landed)
        fees = 5000 * len(landed)
        assert balance(ledger, payer.pubkey()) == 1_000 * SOL - balance(ledger, to) - fees


def ledger_kill(pid: int) -> None:

    os.kill(pid, signal.SIGKILL)


def landed_of(ledger: LedgerProcess, signatures: Iterable[str]) -> set[str]:
    """Those that the ledger has on record, all of them final."""
    wanted = list(signatures)
    search = {"searchTransactionHistory": True}
    landed = set()
    for start in range(0, len(wanted), 256):
        part = wanted[start : start + 256]
        statuses = ledger.call("getSignatureStatuses", part, search)["value"]
        for signature, status in zip(part, statuses, strict=True):
            if status is not None:
                assert status["confirmationStatus"] == "finalized"
                landed.add(signature)
    return landed


def test_the_same_bytes_after_kill_9_run_once(tmp_path: Path) -> None:
    with LedgerProcess(tmp_path, "--no-program") as ledger:
        payer, to = rich(ledger), Keypair().pubkey()
        raw = payment(ledger, payer, to, SOL)
        signature = send(ledger, raw)
        genesis_hash = ledger.info["genesis_hash"]
        ledger.kill()
        ledger.start()
        assert ledger.info["genesis_hash"] == genesis_hash
        assert send(ledger, raw, skipPreflight=True) == signature
        assert balance(ledger, to) == SOL


def test_a_full_disk_ends_the_process_before_anyone_sees_more(tmp_path: Path) -> None:
    with LedgerProcess(tmp_path, "--no-program") as ledger:
        payer, to = rich(ledger), Keypair().pubkey()
        blockhash = ledger_blockhash(ledger)
        resource.prlimit(int(ledger.info["pid"]), resource.RLIMIT_FSIZE, (300_000, 300_000))
        paid = 0
        try:
            for number in range(1000):
                send(ledger, signed_payment(payer, to, SOL // 100 + number, blockhash))
                paid += SOL // 100 + number
        except (OSError, http.client.HTTPException):
            assert number < 999
        assert ledger.wait() == 74
    with LedgerProcess(tmp_path, "--no-program") as ledger:
        assert paid > 0
        assert balance(ledger, to) == paid
