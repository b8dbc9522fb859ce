"""The local ledger: durable transactions per second beside LiteSVM alone, and how fast it comes back.

Both sides execute the same kind of transaction, a transfer of USDC by the real SPL Token program. The
ledger's arrive over HTTP on eight connections, and each is answered after its fsync.
"""

import asyncio
import base64
import json
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from solders.account import Account
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from contracts.ledger_process import LedgerProcess
from contracts.program_world import World
from neurogrid_contracts.ledger.store import Store
from neurogrid_wallet.usdc import TOKEN_PROGRAM, create_token_account, token_address, transfer

from .report import Figure, beside

_CONNECTIONS = 8
_PER_ROUND = 1_500
_ROUNDS = 3
_ACCOUNTS = 100_000
_RENT_LAMPORTS = 2_039_280


def measure() -> list[Figure]:
    """Transactions per second, then the restart."""
    with tempfile.TemporaryDirectory(prefix="neurogrid-bench-ledger-") as directory:
        return [*_throughput(Path(directory) / "a"), *_restart(Path(directory) / "b")]


def _throughput(data: Path) -> list[Figure]:
    svm = _BareSvm()
    ours_per_s, bare_per_s = [], []
    with LedgerProcess(data, "--slot-ms", "400") as ledger:
        payer = Keypair()
        ledger.call("requestAirdrop", str(payer.pubkey()), 10**11)
        ledger.call("neurogrid_requestUsdc", str(payer.pubkey()), 10**12)
        mint = Pubkey.from_string(ledger.info["usdc_mint"])
        friend = Keypair().pubkey()
        opening = create_token_account(payer.pubkey(), friend, mint)
        asyncio.run(_send_all(ledger.port, [_signed([opening], payer, _recent(ledger))]))
        for number in range(_ROUNDS):
            amounts = range(number * _PER_ROUND + 1, (number + 1) * _PER_ROUND + 1)
            blockhash = _recent(ledger)
            transactions = [
                _signed([_transfer(payer, friend, mint, amount)], payer, blockhash)
                for amount in amounts
            ]
            started_s = time.perf_counter()
            asyncio.run(_send_all(ledger.port, transactions))
            ours_per_s.append(_PER_ROUND / (time.perf_counter() - started_s))
            bare_per_s.append(svm.transfers_per_s(amounts))
        counted = ledger.call("getTransactionCount", {"commitment": "confirmed"})
        # The airdrop, the USDC, the account: all of ours were executed, none twice.
        assert counted >= _ROUNDS * _PER_ROUND, f"only {counted} were executed"
    return [
        beside(
            "ledger_tx_per_s",
            median(ours_per_s),
            "1/s",
            "LiteSVM alone",
            median(bare_per_s),
            _ROUNDS,
        )
    ]


def _restart(data: Path) -> list[Figure]:
    """A ledger with 100,000 accounts, killed and started again, beside reading the file."""
    with LedgerProcess(data, "--no-fsync") as ledger:
        ledger.stop()
        _add_accounts(data / "ledger.sqlite")
        times_s, floors_s = [], []
        for _ in range(_ROUNDS):
            started_s = time.perf_counter()
            ledger.start()
            ledger.call("getHealth")
            times_s.append(time.perf_counter() - started_s)
            ledger.kill()
            floors_s.append(_read_all_s(data / "ledger.sqlite"))
    floor = "reading all rows"
    return [beside("ledger_restart_s", median(times_s), "s", floor, median(floors_s), _ROUNDS)]


def _add_accounts(path: Path) -> None:
    """As many token accounts as a market of 100,000 wallets would have."""
    store = Store(path, fsync=False)
    data = bytes(165)
    store.put(
        accounts=(
            (Keypair().pubkey(), Account(_RENT_LAMPORTS, data, TOKEN_PROGRAM))
            for _ in range(_ACCOUNTS)
        )
    )
    store.close()


def _read_all_s(path: Path) -> float:
    started_s = time.perf_counter()
    database = sqlite3.connect(path)
    count = sum(1 for _ in database.execute("SELECT * FROM account"))
    database.close()
    assert count >= _ACCOUNTS
    return time.perf_counter() - started_s


class _BareSvm:
    """LiteSVM with its own checks of signatures and nothing around it."""

    def __init__(self) -> None:
        self._world = World()
        self._payer = self._world.client
        self._mint = self._world.deployment.usdc_mint
        self._friend = self._world.payout_owner.pubkey()

    def transfers_per_s(self, amounts: Sequence[int]) -> float:
        """As many transfers as there are amounts, signed before the clock starts."""
        svm = self._world.svm
        svm.expire_blockhash()
        transactions = [
            _signed(
                [_transfer(self._payer, self._friend, self._mint, amount)],
                self._payer,
                svm.latest_blockhash(),
            )
            for amount in amounts
        ]
        started_s = time.perf_counter()
        for transaction in transactions:
            done = svm.send_transaction(transaction)
            assert not isinstance(done, FailedTransactionMetadata), "a transfer failed"
        return len(transactions) / (time.perf_counter() - started_s)


def _transfer(payer: Keypair, to: Pubkey, mint: Pubkey, amount: int) -> Instruction:
    source, destination = (token_address(owner, mint) for owner in (payer.pubkey(), to))
    return transfer(source, destination, payer.pubkey(), mint, amount)


def _signed(
    instructions: list[Instruction], payer: Keypair, blockhash: Hash
) -> VersionedTransaction:
    message = MessageV0.try_compile(payer.pubkey(), instructions, [], blockhash)
    return VersionedTransaction(message, [payer])


def _recent(ledger: LedgerProcess) -> Hash:
    latest = ledger.call("getLatestBlockhash", {"commitment": "confirmed"})
    return Hash.from_string(latest["value"]["blockhash"])


async def _send_all(port: int, transactions: Sequence[VersionedTransaction]) -> None:
    """Each is sent by the first free connection, and answered before that takes the next."""
    options = {"encoding": "base64", "skipPreflight": True}
    bodies = iter(
        [
            json.dumps(
                {
                    "jsonrpc": "2.0",
                    "id": 1,
                    "method": "sendTransaction",
                    "params": [base64.b64encode(bytes(transaction)).decode(), options],
                }
            ).encode()
            for transaction in transactions
        ]
    )

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in bodies:
            writer.write(
                b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            answer = json.loads(await reader.readexactly(length))
            if "result" not in answer:
                raise RuntimeError(f"the ledger refused: {answer}")
        writer.close()

    await asyncio.gather(*(connection() for _ in range(_CONNECTIONS)))
