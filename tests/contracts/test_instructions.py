"""Instruction builders, held against the IDL: tag, arguments byte by byte, accounts in order."""

import inspect
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.sysvar import INSTRUCTIONS
from spl.token.constants import TOKEN_PROGRAM_ID as SPL_TOKEN_PROGRAM_ID

from neurogrid_contracts import instructions
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import (
    INSTRUCTIONS_SYSVAR_ID,
    SYSTEM_PROGRAM_ID,
    TOKEN_PROGRAM_ID,
    MarketTerms,
    SignedVoucher,
    Tag,
)
from neurogrid_contracts.slashing import Fault
from neurogrid_marketplace.voucher import Voucher

IDL: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "contracts-client" / "program" / "idl.json").read_text()
)


def key(number: int) -> Pubkey:
    return Pubkey([number] * 32)


DEPLOYMENT = Deployment(program_id=key(1), usdc_mint=key(2), admin=key(3))
CLIENT, PROVIDER, JOB = key(4), key(5), b"j" * 32
CLIENT_ACCOUNT, PROVIDER_ACCOUNT = DEPLOYMENT.client(CLIENT), DEPLOYMENT.provider(PROVIDER)
PAYOUT, TREASURY, OTHER, RENT_PAYER = key(6), key(7), key(8), key(9)
ADMIN = key(10)  # not the creator: the administration was handed over
TERMS = MarketTerms(
    fee_bps=11,
    slash_bps=12,
    min_stake_micro_usdc=13,
    unbonding_window_s=100,
    grace_window_s=15,
    arbitration_window_s=16,
    dispute_bond_micro_usdc=17,
)
TERMS_ARGS: dict[str, Any] = {
    "fee_bps": 11,
    "slash_bps": 12,
    "min_stake": 13,
    "unbonding_window": 100,
    "grace_window": 15,
    "arbitration_window": 16,
    "dispute_bond": 17,
}
PARTIES: dict[str, Any] = {"client_owner": CLIENT, "provider_owner": PROVIDER, "job_id": JOB}
PAYMENT: dict[str, Any] = {**PARTIES, "payout": PAYOUT, "treasury": TREASURY}

# Per instruction: the builder's arguments, and the IDL's arguments as they must be encoded.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "init_config": (
        {"treasury": TREASURY, "arbiter": OTHER, "domain": 18, "terms": TERMS},
        {**TERMS_ARGS, "domain": 18, "arbiter": OTHER},
    ),
    "set_paused": ({"admin": ADMIN, "paused": True}, {"paused": 1}),
    "propose_terms": (
        {"admin": ADMIN, "treasury": TREASURY, "arbiter": OTHER, "terms": TERMS},
        {**TERMS_ARGS, "arbiter": OTHER},
    ),
    "cancel_terms": ({"admin": ADMIN}, {}),
    "apply_terms": ({}, {}),
    "propose_admin": ({"admin": ADMIN, "new_admin": OTHER}, {"new_admin": OTHER}),
    "accept_admin": ({"new_admin": OTHER}, {}),
    "rebond": ({"owner": PROVIDER, "amount_micro_usdc": 36}, {"amount": 36}),
    "close_provider": ({"owner": PROVIDER, "destination": PAYOUT}, {}),
    "close_client": ({"owner": CLIENT, "destination": PAYOUT}, {}),
    "accept_escrow": (PARTIES, {}),
    "cancel_escrow": ({**PARTIES, "authority": OTHER, "rent_payer": RENT_PAYER}, {}),
    "top_up": ({**PARTIES, "authority": OTHER, "amount_micro_usdc": 37}, {"amount": 37}),
    "extend": ({**PARTIES, "authority": OTHER, "deadline_unix_s": 38}, {"deadline": 38}),
    "register_provider": ({"owner": PROVIDER, "payout_owner": OTHER}, {"payout_owner": OTHER}),
    "stake": (
        {"funder": OTHER, "provider_owner": PROVIDER, "source": PAYOUT, "amount_micro_usdc": 21},
        {"amount": 21},
    ),
    "request_unstake": ({"owner": PROVIDER, "amount_micro_usdc": 22}, {"amount": 22}),
    "withdraw_stake": ({"owner": PROVIDER, "destination": PAYOUT}, {}),
    "slash": (
        {
            **PARTIES,
            "arbiter": OTHER,
            "amount_micro_usdc": 23,
            "fault": Fault.OVERSOLD,
            "evidence": b"e" * 32,
        },
        {"amount": 23, "fault": 3, "evidence": b"e" * 32},
    ),
    "open_client": ({"owner": CLIENT}, {}),
    "deposit": (
        {"funder": OTHER, "client_owner": CLIENT, "source": PAYOUT, "amount_micro_usdc": 24},
        {"amount": 24},
    ),
    "withdraw": (
        {"owner": CLIENT, "destination": PAYOUT, "amount_micro_usdc": 25},
        {"amount": 25},
    ),
    "set_operator": (
        {"owner": CLIENT, "operator": OTHER, "limit_micro_usdc": 26, "expiry_unix_s": 27},
        {"operator": OTHER, "limit": 26, "expiry": 27},
    ),
    "open_escrow": (
        {
            **PARTIES,
            "authority": OTHER,
            "max_micro_usdc": 28,
            "deadline_unix_s": 29,
            "voucher_signer": PAYOUT,
            "needs_acceptance": True,
        },
        {
            "job_id": JOB,
            "max": 28,
            "deadline": 29,
            "voucher_signer": PAYOUT,
            "needs_acceptance": 1,
        },
    ),
    "release": (
        {
            **PAYMENT,
            "authority": OTHER,
            "amount_micro_usdc": 30,
            "expected_released_micro_usdc": 31,
            "final": True,
            "close_to": RENT_PAYER,
        },
        {"amount": 30, "final": 1, "expected_released": 31},
    ),
    "claim_voucher": (
        {
            **PAYMENT,
            "cumulative_micro_usdc": 32,
            "ed25519_instruction_index": 33,
            "signature_index": 34,
            "close_to": RENT_PAYER,
            "client_cosigns": True,
        },
        {"cumulative": 32, "ed25519_instruction": 33, "signature": 34, "final": 1},
    ),
    "refund": ({**PARTIES, "rent_payer": RENT_PAYER}, {}),
    "dispute": ({**PARTIES, "party": OTHER}, {}),
    "resolve": (
        {
            **PAYMENT,
            "arbiter": OTHER,
            "rent_payer": RENT_PAYER,
            "to_provider_micro_usdc": 35,
            "opener_was_right": True,
        },
        {"to_provider": 35, "opener_was_right": 1},
    ),
    "relinquish": ({**PARTIES, "rent_payer": RENT_PAYER, "client_cosigns": True}, {}),
}
ADDRESSES = {
    "admin": ADMIN,
    "creator": DEPLOYMENT.admin,
    "new_admin": OTHER,
    "config": DEPLOYMENT.config,
    "mint": DEPLOYMENT.usdc_mint,
    "treasury": TREASURY,
    "system_program": SYSTEM_PROGRAM_ID,
    "token_program": TOKEN_PROGRAM_ID,
    "instructions_sysvar": INSTRUCTIONS_SYSVAR_ID,
    "provider": PROVIDER_ACCOUNT,
    "provider_vault": DEPLOYMENT.vault(PROVIDER_ACCOUNT),
    "provider_owner": PROVIDER,
    "client": CLIENT_ACCOUNT,
    "client_vault": DEPLOYMENT.vault(CLIENT_ACCOUNT),
    "client_owner": CLIENT,
    "escrow": DEPLOYMENT.escrow(CLIENT, JOB),
    "payout": PAYOUT,
    "source": PAYOUT,
    "destination": PAYOUT,
    "rent_payer": RENT_PAYER,
    "arbiter": OTHER,
    "authority": OTHER,
    "funder": OTHER,
    "party": OTHER,
}


def build(name: str) -> Instruction:
    builder: Callable[..., Instruction] = getattr(instructions, name)
    return builder(DEPLOYMENT, **CASES[name][0])


def encoded(kind: str, value: Any) -> bytes:
    formats = {"u8": "<B", "u16": "<H", "u64": "<Q", "i64": "<q"}
    return struct.pack(formats[kind], value) if kind in formats else bytes(value)


@pytest.mark.parametrize("entry", IDL["instructions"], ids=lambda entry: entry["name"])
def test_a_builder_follows_the_idl(entry: dict[str, Any]) -> None:
    instruction = build(entry["name"])
    values = CASES[entry["name"]][1]
    args = b"".join(encoded(arg["type"], values[arg["name"]]) for arg in entry["args"])
    assert bytes(instruction.data) == bytes([entry["tag"]]) + args
    assert instruction.program_id == DEPLOYMENT.program_id

    of_provider = any(account["name"] == "provider" for account in entry["accounts"])
    addresses = {
        **ADDRESSES,
        "owner": PROVIDER if of_provider else CLIENT,
        "vault": DEPLOYMENT.vault(PROVIDER_ACCOUNT if of_provider else CLIENT_ACCOUNT),
    }
    optional = [
        account for account in entry.get("optional_accounts", []) if account["name"] != "member"
    ]
    expected = [*entry["accounts"], *optional]
    assert len(instruction.accounts) == len(expected)
    for meta, account in zip(instruction.accounts, expected, strict=True):
        assert meta.pubkey == addresses[account["name"]], account["name"]
        assert meta.is_signer == account["signer"], account["name"]
        assert meta.is_writable == account["writable"], account["name"]


@pytest.mark.parametrize("name", ["slash", "resolve"])
def test_a_multisig_arbiter_is_signed_for_by_its_members(name: str) -> None:
    members = [key(20), key(21)]
    arguments = {**CASES[name][0], "members": members}
    builder: Callable[..., Instruction] = getattr(instructions, name)
    accounts = builder(DEPLOYMENT, **arguments).accounts
    assert (accounts[0].pubkey, accounts[0].is_signer) == (OTHER, False)
    assert [meta.pubkey for meta in accounts if meta.is_signer] == members


def test_evidence_is_a_hash() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        instructions.slash(DEPLOYMENT, **{**CASES["slash"][0], "evidence": b"short"})


def test_every_instruction_has_a_builder_and_a_tag() -> None:
    names = {entry["name"] for entry in IDL["instructions"]}
    assert names == set(CASES)
    assert {tag.name.lower(): tag.value for tag in Tag} == {
        entry["name"]: entry["tag"] for entry in IDL["instructions"]
    }
    for name in names:
        assert inspect.getdoc(getattr(instructions, name)), name


def test_the_well_known_addresses_are_solanas() -> None:
    assert TOKEN_PROGRAM_ID == SPL_TOKEN_PROGRAM_ID
    assert INSTRUCTIONS_SYSVAR_ID == INSTRUCTIONS
    assert Pubkey.default() == SYSTEM_PROGRAM_ID


def test_an_optional_account_that_is_listed_already_is_joined_with_it() -> None:
    """The program refuses duplicates, and the operator usually paid the rent."""
    instruction = instructions.release(
        DEPLOYMENT,
        **PAYMENT,
        authority=RENT_PAYER,
        amount_micro_usdc=1,
        expected_released_micro_usdc=0,
        final=True,
        close_to=RENT_PAYER,
    )
    assert len({meta.pubkey for meta in instruction.accounts}) == len(instruction.accounts)
    assert instruction.accounts[0].is_signer
    assert instruction.accounts[0].is_writable


def test_without_close_to_nobody_cosigns() -> None:
    arguments = {**CASES["release"][0], "final": False, "close_to": None}
    assert len(instructions.release(DEPLOYMENT, **arguments).accounts) == 9
    arguments = {**CASES["claim_voucher"][0], "close_to": None, "client_cosigns": False}
    assert len(instructions.claim_voucher(DEPLOYMENT, **arguments).accounts) == 9


def test_closing_needs_final() -> None:
    with pytest.raises(ValueError, match="only a final release"):
        instructions.release(DEPLOYMENT, **{**CASES["release"][0], "final": False})


@pytest.mark.parametrize("amount", [-1, 2**64])
def test_an_amount_must_fit(amount: int) -> None:
    with pytest.raises(ValueError, match="unsigned 64-bit"):
        instructions.request_unstake(DEPLOYMENT, owner=PROVIDER, amount_micro_usdc=amount)


def test_a_time_must_fit() -> None:
    with pytest.raises(ValueError, match="signed 64-bit"):
        instructions.set_operator(
            DEPLOYMENT, owner=CLIENT, operator=None, limit_micro_usdc=0, expiry_unix_s=2**63
        )


@pytest.mark.parametrize(
    "change",
    [
        {"fee_bps": 2_001},
        {"fee_bps": -1},
        {"slash_bps": 10_001},
        {"grace_window_s": 0},
        {"arbitration_window_s": 0},
        {"unbonding_window_s": 31},
        {"unbonding_window_s": 365 * 86_400 + 1},
    ],
)
def test_terms_that_the_program_would_refuse_cannot_be_written_down(change: dict[str, int]) -> None:
    fields = {name: getattr(TERMS, name) for name in TERMS.__slots__}
    with pytest.raises(ValueError, match=r"the fee|a window|unbonding"):
        MarketTerms(**{**fields, **change})


def voucher(number: int) -> SignedVoucher:
    return SignedVoucher(Voucher(1, bytes([number]) * 32, 2, 3), key(number), bytes([number]) * 64)


def test_the_proof_of_two_vouchers_points_at_each_of_their_parts() -> None:
    vouchers = [voucher(1), voucher(2)]
    data = bytes(instructions.ed25519_instruction(vouchers).data)
    assert data[:2] == b"\x02\x00"
    for number, signed in enumerate(vouchers):
        signature, in_1, public, in_2, message, length, in_3 = struct.unpack_from(
            "<7H", data, 2 + 14 * number
        )
        assert in_1 == in_2 == in_3 == 0xFFFF
        assert data[public : public + 32] == bytes(signed.signer)
        assert data[signature : signature + 64] == signed.signature
        assert data[message : message + length] == signed.voucher.message()


@pytest.mark.parametrize("count", [0, 9])
def test_a_proof_holds_one_to_eight_vouchers(count: int) -> None:
    with pytest.raises(ValueError, match="one to eight"):
        instructions.ed25519_instruction([voucher(1)] * count)


def test_a_signature_has_64_bytes() -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        instructions.ed25519_instruction([SignedVoucher(voucher(1).voucher, key(1), b"short")])
