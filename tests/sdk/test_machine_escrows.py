"""What a provider's program reads of escrows, against the bytes that the contracts' client knows."""

import base64
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from solders.pubkey import Pubkey

from coordinator.fake_parties import DEPLOYMENT
from coordinator.market_nodes import award, demand
from neurogrid.machine.escrows import ChainAway, Escrows, EscrowWrong, SeenEscrow
from neurogrid.machine.reviewing import Program
from neurogrid_contracts.accounts import (
    ACCOUNT_VERSION,
    CONFIG_LAYOUT,
    ESCROW_LAYOUT,
    TAG_CONFIG,
    TAG_ESCROW,
    EscrowAccount,
    EscrowState,
)
from neurogrid_marketplace.execution import CLAIM_MARGIN_MS, accept
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import Start, VoucherMessage
from neurogrid_marketplace.receipt_money import escrow_job_id
from neurogrid_marketplace.voucher import Voucher
from neurogrid_wallet.keys import KeyPair
from sdk.fake_market import JOB

PROGRAM = Program(str(DEPLOYMENT.program_id), str(DEPLOYMENT.config))
OWNER, CLIENT = (Pubkey(KeyPair(bytes([n]) * 32).public_key) for n in (1, 2))
SIGNER = KeyPair(b"\3" * 32)
AWARD = award(demand(), "a" * 64)
JOB_ID = escrow_job_id(AWARD.lease_id)
ADDRESS = DEPLOYMENT.escrow(CLIENT, JOB_ID)
LEASE: NodeLease = accept(AWARD, "c", 60_000, 0)
START = Start(
    AWARD.lease_id, JOB, str(CLIENT), str(ADDRESS), SIGNER.address, "http://files", "token"
)
NOW_MS = 1_000_000
DOMAIN, SEQUENCE = 2**63 + 7, 12
CLAIM_UNTIL_S = (NOW_MS + AWARD.timeout_s * 1000 + CLAIM_MARGIN_MS) // 1000


def escrow(**changes: Any) -> bytes:
    values: dict[str, Any] = {
        "bump": 255,
        "state": EscrowState.OPEN,
        "fee_bps": 200,
        "slash_bps": 1000,
        "config": DEPLOYMENT.config,
        "client": DEPLOYMENT.client(CLIENT),
        "provider": DEPLOYMENT.provider(OWNER),
        "job_id": JOB_ID,
        "rent_payer": CLIENT,
        "voucher_signer": Pubkey(SIGNER.public_key),
        "sequence": SEQUENCE,
        "max_micro_usdc": AWARD.max_cost_micro_usdc + 9,
        "released_micro_usdc": 9,
        "opened_unix_s": 1,
        "deadline_unix_s": 2,
        "claim_until_unix_s": CLAIM_UNTIL_S,
        **changes,
    }
    data = [TAG_ESCROW, ACCOUNT_VERSION]
    rest = [values.get(each, 0) for each in EscrowAccount.__dataclass_fields__]
    packed = ESCROW_LAYOUT.pack(*(bytes(x) if isinstance(x, Pubkey) else x for x in rest))
    return bytes(data) + packed[2:]


def config() -> bytes:
    values: list[Any] = [255, 0, *[bytes(32)] * 4, DOMAIN, 0, 0, 0, 0, 0, 0, 0, *[bytes(32)] * 2]
    packed = CONFIG_LAYOUT.pack(*values, 0, 0, 0, 0, 0, 0, 0, *[bytes(32)] * 2, 0)
    return bytes([TAG_CONFIG, ACCOUNT_VERSION]) + packed[2:]


def look(
    found: bytes | None, owner: str = PROGRAM.program, start: Start = START
) -> SeenEscrow | None:
    """What is found where the chain has this at the escrow's address."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        assert asked["method"] == "getMultipleAccounts"
        assert asked["params"][0] == [start.escrow, PROGRAM.config]
        value = [
            None
            if data is None
            else {"owner": whose, "data": [base64.b64encode(data).decode(), "base64"]}
            for data, whose in [(found, owner), (config(), PROGRAM.program)]
        ]
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": {"value": value}})

    escrows = Escrows("http://chain", str(OWNER), httpx.MockTransport(answer))
    try:
        return escrows.find(PROGRAM, LEASE, start, NOW_MS)
    finally:
        escrows.close()


def test_an_escrow_that_is_as_agreed_is_seen_and_its_vouchers_are_checked() -> None:
    seen = look(escrow())
    assert seen is not None
    assert (seen.signer, seen.sequence, seen.domain) == (SIGNER.address, SEQUENCE, DOMAIN)
    assert seen.claim_until_ms == CLAIM_UNTIL_S * 1000

    def voucher(amount: int, **changes: Any) -> VoucherMessage:
        of = {"domain": DOMAIN, "escrow": bytes(ADDRESS), "sequence": SEQUENCE, **changes}
        signed = SIGNER.sign(Voucher(cumulative_micro_usdc=amount, **of).message())
        return VoucherMessage(AWARD.lease_id, amount, signed.hex(), final=False)

    assert seen.pays(voucher(5))
    assert seen.pays(VoucherMessage(AWARD.lease_id, 0, "0" * 128, final=True))
    assert not seen.pays(replace(voucher(5), cumulative_micro_usdc=6))
    assert not seen.pays(voucher(seen.max_micro_usdc + 1))
    assert not seen.pays(voucher(5, sequence=SEQUENCE - 1))
    assert not seen.pays(voucher(5, domain=1))


def test_one_that_is_not_there_yet_is_waited_for() -> None:
    assert look(None) is None
    assert look(escrow(), owner=str(OWNER)) is None, "another program's account is none"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"state": EscrowState.OFFERED}, "only an offer"),
        ({"state": EscrowState.DISPUTED}, "disputed"),
        ({"provider": DEPLOYMENT.provider(CLIENT)}, "pays somebody else"),
        ({"voucher_signer": OWNER}, "another voucher signer"),
        ({"released_micro_usdc": 10}, "holds less"),
        ({"claim_until_unix_s": CLAIM_UNTIL_S - 1}, "ends before"),
    ],
)
def test_one_that_is_not_as_agreed_is_wrong(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(EscrowWrong, match=why):
        look(escrow(**changes))


def test_another_leases_escrow_is_wrong() -> None:
    other = DEPLOYMENT.escrow(CLIENT, escrow_job_id("lease_" + "9" * 32))
    with pytest.raises(EscrowWrong, match="not the one of this lease"):
        look(escrow(), start=replace(START, escrow=str(other)))
    with pytest.raises(EscrowWrong, match="no escrow that this version reads"):
        look(escrow()[:-1])


def test_what_does_not_answer_as_a_chain_is_asked_again() -> None:
    for answer in (httpx.Response(500), httpx.Response(200, json={"error": "no"})):
        escrows = Escrows("http://chain", str(OWNER), httpx.MockTransport(lambda _, a=answer: a))
        with pytest.raises(ChainAway, match="does not answer as a chain"):
            escrows.find(PROGRAM, LEASE, START, NOW_MS)
        escrows.close()
