"""A receipt beside a real ledger: `neurogrid verify --rpc`, without the command around it."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordinator.chain_parties import USDC, Parties, market
from coordinator.on_asyncio import on_asyncio
from marketplace.story import honest_receipt
from neurogrid.errors import ConnectionFailed
from neurogrid.receipt_escrow import look_at_chain
from neurogrid_coordinator.money.chain import OpenedEscrow
from neurogrid_marketplace.envelope import network_id
from neurogrid_marketplace.errors import ReceiptInvalid
from neurogrid_marketplace.receipt import Verification, verify_receipt
from neurogrid_marketplace.receipt_chain import EscrowSeen, beside_chain, is_seen

LEASE = "lease_" + "1" * 32
PAID = 1_234_567


async def until_final(found: Verification, url: str) -> EscrowSeen:
    """What the ledger shows once the escrow's end is final."""
    async with asyncio.timeout(60):
        while True:
            seen = await asyncio.to_thread(look_at_chain, found, url)
            if not seen.is_open and len(seen.transactions) == 2:
                return seen
            await asyncio.sleep(0.05)


async def settled(parties: Parties, ledger: dict[str, Any]) -> tuple[Verification, OpenedEscrow]:
    """A receipt that says of a real escrow what is true."""
    await parties.stake()
    opened = await parties.chain.open(parties.terms(LEASE, 2 * USDC))
    honest = verify_receipt(honest_receipt())
    program = ledger["program_id"]
    found = replace(
        honest,
        network=network_id(ledger["genesis_hash"], program),
        settlement=replace(honest.settlement, program_id=program, escrow=opened.address),
        paid_micro_usdc=PAID,
    )
    return found, opened


@on_asyncio
async def test_what_the_coordinator_says_of_the_chain_is_seen_there_or_refused(
    ledger: dict[str, Any], tmp_path: Path
) -> None:
    async with market(ledger, tmp_path) as parties:
        url = ledger["rpc_url"]
        found, opened = await settled(parties, ledger)
        # A transaction that the chain has not (yet) stays a claim.
        assert not is_seen(beside_chain(found, await asyncio.to_thread(look_at_chain, found, url)))
        claim = await parties.claim(LEASE, opened, PAID)
        found = replace(found, transaction=claim)
        seen = await until_final(found, url)
        assert seen == EscrowSeen(False, True, (claim, opened.transaction), PAID)
        proof = beside_chain(found, seen)
        assert is_seen(proof)
        assert {item.proof.value for item in proof.items if item.name == "settlement"} == {
            "seen on chain"
        }
        with pytest.raises(ReceiptInvalid, match="closed the escrow by"):
            beside_chain(replace(found, transaction=opened.transaction), seen)
        with pytest.raises(ReceiptInvalid, match=r"not 1\.234568"):
            beside_chain(replace(found, paid_micro_usdc=PAID + 1), seen)
        with pytest.raises(ReceiptInvalid, match="not its network"):
            await asyncio.to_thread(look_at_chain, replace(found, network="ng-0"), url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "ftp://nowhere", "nonsense"])
def test_an_endpoint_that_does_not_answer_is_named(url: str) -> None:
    with pytest.raises(ConnectionFailed, match="getGenesisHash"):
        look_at_chain(verify_receipt(honest_receipt()), url)


def test_an_answer_that_is_not_the_whole_history_contradicts_nothing() -> None:
    found = verify_receipt(honest_receipt())
    part = EscrowSeen(False, False, ("other", "another"), None)
    assert beside_chain(found, part) == found
