"""The promise itself: real ledgers, a line that loses half of everything, and kill -9.

A quarter of all requests never arrive and a quarter of all replies are lost; some transactions are
lost every time they are sent, until they expire; and the paying process and the ledger are killed
with SIGKILL again and again, just before, while and just after transactions reach the ledger. Every
payment is made once. Somebody who signs again whenever no reply came, over the same line, pays twice.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from solders.pubkey import Pubkey

from contracts.ledger_process import LedgerProcess
from neurogrid_wallet import usdc
from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import ComputeBudget, build_transaction
from wallet import payer
from wallet.fake_rpc import serve
from wallet.killing import Scene
from wallet.lossy_line import Line

pytestmark = pytest.mark.processes

FUNDS_MICRO_USDC = 10_000_000
# A transaction that the line always loses expires 182 slots later: after 2 s.
OPTIONS = ("--no-program", "--slot-ms", "11", "--no-fsync")
NAIVE_PAYMENTS = 100
# A third of them is to be expected (a lost reply before the first that comes back).
NAIVE_PAID_TWICE_MIN = 10


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerProcess]:
    """The local ledger, with fast slots."""
    with LedgerProcess(tmp_path / "ledger", *OPTIONS) as process:
        yield process


def test_five_hundred_payouts_are_made_once_whatever_is_killed_and_a_naive_payer_pays_twice(
    ledger: LedgerProcess, tmp_path: Path
) -> None:
    kills = 20
    count = 500 - payer.SAME_PAYMENTS
    scene = Scene(ledger)
    victims = [scene.kill_payer] * (kills // 2) + [scene.kill_ledger] * (kills // 2)
    random.Random(3).shuffle(victims)
    # Each payment is sent at least once: all kills come before the last is sent.
    line = Line(scene.ledger_url, 3, victims, sends_between_kills=(5, 20))
    key = KeyPair.generate()
    anyio.run(_fund, ledger, key)

    anyio.run(
        scene.live_through, line, payer.__file__, _arguments(tmp_path, "trio", key, ledger, count)
    )

    assert scene.killed == {"payer": kills // 2, "ledger": kills // 2}
    assert line.doomed, "nothing expired, so that nothing was signed again"
    assert line.lost_replies, "nothing landed unheard, so that nothing could be paid twice"
    paid = anyio.run(_paid_once, ledger, key, count)
    assert len(paid) == count + 1

    naive = KeyPair.generate()
    anyio.run(_fund, ledger, naive)
    times = anyio.run(_pay_naively, Line(scene.ledger_url, 3), naive, ledger)
    assert min(times) >= 1
    assert sum(1 for paid_times in times if paid_times > 1) >= NAIVE_PAID_TWICE_MIN


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_every_payment_is_made_once(ledger: LedgerProcess, tmp_path: Path, backend: str) -> None:
    kills, count = 6, 30
    scene = Scene(ledger)
    line = Line(scene.ledger_url, 7, [scene.kill_payer] * kills, sends_between_kills=(2, 6))
    key = KeyPair.generate()
    anyio.run(_fund, ledger, key)

    anyio.run(
        scene.live_through, line, payer.__file__, _arguments(tmp_path, backend, key, ledger, count)
    )

    assert line.kills == kills
    assert line.doomed, "nothing expired, so that nothing was signed again"
    anyio.run(_paid_once, ledger, key, count)


def _arguments(
    folder: Path, backend: str, key: KeyPair, ledger: LedgerProcess, count: int
) -> list[str]:
    path, mint = str(folder / "outbox.sqlite"), str(ledger.info["usdc_mint"])
    return [backend, path, key.seed.hex(), mint, str(count)]


async def _fund(ledger: LedgerProcess, key: KeyPair) -> None:
    async with Rpc(ledger.url) as rpc:
        await rpc.request_airdrop(Pubkey(key.public_key), 10 * 10**9)
        await rpc.call("neurogrid_requestUsdc", [key.address, FUNDS_MICRO_USDC])


async def _paid_once(ledger: LedgerProcess, key: KeyPair, count: int) -> list[int]:
    """Check that everybody has what is theirs and that nothing else moved; give the balances."""
    due = [payer.amount_micro_usdc(number) for number in range(count)]
    due.append(payer.SAME_PAYMENTS * payer.amount_micro_usdc(count))
    paid = await _balances(ledger, key, count + 1)
    assert paid == due
    mint = Pubkey.from_string(ledger.info["usdc_mint"])
    async with Rpc(ledger.url) as rpc:
        left = await usdc.usdc_balance(rpc, mint, Pubkey(key.public_key))
        records = await rpc.signatures_for_address(
            usdc.token_address(Pubkey(key.public_key), mint), limit=1000
        )
    assert left == FUNDS_MICRO_USDC - sum(due)
    # One of them brought the funds.
    assert [record.failure for record in records] == [None] * (count + payer.SAME_PAYMENTS + 1)
    return paid


async def _balances(ledger: LedgerProcess, key: KeyPair, recipients: int) -> list[int]:
    mint = Pubkey.from_string(ledger.info["usdc_mint"])
    addresses = [
        usdc.token_address(payer.recipient(key, number), mint) for number in range(recipients)
    ]
    async with Rpc(ledger.url) as rpc:
        accounts = await rpc.get_accounts(addresses)
    return [int.from_bytes(found.data[64:72], "little") if found else 0 for found in accounts]


async def _pay_naively(line: Line, key: KeyPair, ledger: LedgerProcess) -> list[int]:
    """Sign anew whenever no reply came; how often each recipient was paid."""
    owner, mint = Pubkey(key.public_key), Pubkey.from_string(ledger.info["usdc_mint"])
    async with serve(line.carry) as url, Rpc(url) as rpc, Rpc(ledger.url) as clear_line:
        for number in range(NAIVE_PAYMENTS):
            amount = payer.amount_micro_usdc(number)
            payment = usdc.pay(owner, owner, payer.recipient(key, number), mint, amount)
            attempt, replied = 0, False
            while not replied:
                attempt += 1
                # Other bytes each time, as a wallet that takes a new blockhash has.
                instructions = ComputeBudget(200_000 + attempt).around(payment)
                blockhash = (await clear_line.latest_blockhash()).blockhash
                signed = build_transaction(instructions, owner, [key.to_solders()], blockhash)
                try:
                    await rpc.send_raw(signed)
                except RpcError:
                    continue
                replied = True
    balances = await _balances(ledger, key, NAIVE_PAYMENTS)
    return [balance // payer.amount_micro_usdc(number) for number, balance in enumerate(balances)]
