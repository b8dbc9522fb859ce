"""Batches of releases and claims on the real program, and the program's own defence behind them."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.pubkey import Pubkey

from contracts import releaser
from contracts.escrow_market import DEPOSIT, TERMS, EscrowMarket, account_data, pubkey, sign
from contracts.ledger_process import LedgerProcess
from contracts.releaser import amount_micro_usdc
from neurogrid_contracts.accounts import BPS_ONE, ClientAccount
from neurogrid_contracts.payouts import ClaimAssembly, table_addresses
from neurogrid_wallet.batches import one_after_the_other, plan
from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.rpc import Rpc
from wallet.fake_rpc import serve
from wallet.killing import Scene
from wallet.lossy_line import Line

# 182 slots until a lost transaction has expired: 1 s.
OPTIONS = ("--slot-ms", "6")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerProcess]:
    with LedgerProcess(tmp_path / "ledger", *OPTIONS) as process:
        yield process


def market_on(ledger: LedgerProcess, escrows: int) -> tuple[EscrowMarket, str]:
    """A new market with open escrows, and its seed as hex."""
    seed = os.urandom(32)
    market = EscrowMarket.of(seed, ledger.info["program_id"], ledger.info["usdc_mint"])
    market.set_up(ledger, escrows)
    return market, seed.hex()


def net_of_fee(amount_micro_usdc: int) -> int:
    return amount_micro_usdc - amount_micro_usdc * TERMS.fee_bps // BPS_ONE


def test_twelve_releases_or_two_claims_share_a_transaction_and_twenty_or_four_with_a_table() -> (
    None
):
    market = EscrowMarket.of(bytes(32), str(Pubkey(bytes(32))), str(Pubkey(bytes(32))))
    numbers = range(40)
    table = AddressLookupTableAccount(
        Pubkey(bytes(32)),
        table_addresses(market.deployment, market.treasury, [market.parties(n) for n in numbers]),
    )

    def first_batches(payouts: Any, assemble: Any, payer: Pubkey) -> tuple[int, int]:
        without, tabled = (
            plan(payouts, assemble, payer, tables)[0].last + 1 for tables in ([], [table])
        )
        return without, tabled

    releases = [market.release(number, 1) for number in numbers]
    client, provider = pubkey(market.client), pubkey(market.provider)
    assert first_batches(releases, one_after_the_other, client) == (12, 20)
    claims = [market.claim(number, 1, 1) for number in numbers]
    assemble = ClaimAssembly(market.deployment, treasury=market.treasury)
    assert first_batches(claims, assemble, provider) == (2, 4)


@pytest.mark.processes
def test_releases_and_claims_happen_once_whatever_is_killed(
    ledger: LedgerProcess, tmp_path: Path
) -> None:
    escrows, kills = 30, 6
    market, seed = market_on(ledger, escrows)
    opened = [market.escrow(ledger, number) for number in range(escrows)]
    sequences = [escrow.sequence for escrow in opened if escrow is not None]
    (tmp_path / "sequences.json").write_text(json.dumps(sequences))
    scene = Scene(ledger)
    victims = [scene.kill_payer, scene.kill_ledger] * (kills // 2)
    random.Random(5).shuffle(victims)
    # A table in three steps, two batches of releases and eight of claims: all kills come before.
    line = Line(scene.ledger_url, 5, victims, sends_between_kills=(1, 2))
    info = ledger.info
    arguments = [str(tmp_path), seed, info["program_id"], info["usdc_mint"]]
    anyio.run(scene.live_through, line, releaser.__file__, arguments)

    assert line.kills == kills
    for name in ("releases", "claims"):
        outcomes = json.loads((tmp_path / f"{name}.json").read_text())["outcomes"]
        assert [outcome["failure"] for outcome in outcomes] == [None] * escrows
    assert [market.escrow(ledger, number) for number in range(escrows)] == [None] * escrows
    amounts = [amount_micro_usdc(number) for number in range(escrows)]
    assert market.earned_micro_usdc(ledger) == 2 * sum(map(net_of_fee, amounts))
    data = account_data(ledger, market.deployment.client(pubkey(market.client)))
    client = ClientAccount.parse(data or b"")
    assert (client.locked_micro_usdc, client.balance_micro_usdc) == (0, DEPOSIT - 2 * sum(amounts))


@pytest.mark.processes
def test_the_program_pays_once_even_who_signs_again_whenever_no_reply_came(
    ledger: LedgerProcess,
) -> None:
    """The second line of defence alone: who would pay transfers twice cannot release twice."""
    escrows = 30
    market, _ = market_on(ledger, escrows)
    line = Line(lambda: ledger.url, seed=5)

    async def release_naively() -> None:
        async with serve(line.carry) as url, Rpc(url) as rpc:
            for number in range(escrows):
                [release] = market.release(number, amount_micro_usdc(number)).instructions
                last, replied = b"", False
                while not replied:
                    signed = sign(ledger, market.client, release)
                    if signed == last:
                        # The same blockhash, so the same bytes; a naive wallet would sign others.
                        continue
                    last = signed
                    try:
                        await rpc.send_raw(signed)
                    except RpcError:
                        continue
                    replied = True

    anyio.run(release_naively)
    assert len(line.lost_replies) >= 5
    amounts = [amount_micro_usdc(number) for number in range(escrows)]
    released = [market.escrow(ledger, number) for number in range(escrows)]
    assert [escrow.released_micro_usdc for escrow in released if escrow] == amounts
    assert market.earned_micro_usdc(ledger) == sum(map(net_of_fee, amounts))
