"""Attacks on vouchers: replayed, altered, signed by others, or never verified at all."""

import dataclasses
import struct

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair

from contracts.program_parties import JOB, NOW, USDC, job_id, with_account
from contracts.program_world import World
from neurogrid_contracts.errors import ProgramErrorCode as Code
from neurogrid_contracts.instructions import (
    ED25519_PROGRAM_ID,
    SignedVoucher,
    ed25519_instruction,
)

# Offsets in the data of an Ed25519 instruction with one signature (its entry starts at 2).
SIGNATURE_INSTRUCTION, KEY_INSTRUCTION, MESSAGE_INSTRUCTION = 4, 8, 14
KEY_OFFSET, MESSAGE_OFFSET, MESSAGE_LENGTH = 6, 10, 12


@pytest.fixture
def world() -> World:
    """An open escrow of 100 USDC, of which a voucher has released 40."""
    world = World()
    world.do(world.open())
    world.do(world.proof(40 * USDC), world.claim(40 * USDC))
    return world


def patched(instruction: Instruction, offset: int, value: int) -> Instruction:
    data = bytearray(instruction.data)
    struct.pack_into("<H", data, offset, value)
    return Instruction(instruction.program_id, bytes(data), [])


def raw_proof(message: bytes, key: Keypair) -> Instruction:
    """An Ed25519 instruction over any message, written out by hand."""
    head = struct.pack("<BB7H", 1, 0, 48, 0xFFFF, 16, 0xFFFF, 112, len(message), 0xFFFF)
    body = bytes(key.pubkey()) + bytes(key.sign_message(message)) + message
    return Instruction(ED25519_PROGRAM_ID, head + body, [])


def test_a_voucher_pays_once(world: World) -> None:
    world.refuse(Code.STALE_RELEASE, world.proof(40 * USDC), world.claim(40 * USDC))


def test_an_older_voucher_pays_nothing(world: World) -> None:
    world.refuse(Code.STALE_RELEASE, world.proof(39 * USDC), world.claim(39 * USDC))


def test_one_transaction_cannot_claim_a_voucher_twice(world: World) -> None:
    world.refuse(
        Code.STALE_RELEASE,
        world.proof(50 * USDC),
        world.claim(50 * USDC),
        world.claim(50 * USDC),
    )


def test_a_voucher_pays_its_own_total_only(world: World) -> None:
    world.refuse(Code.BAD_VOUCHER, world.proof(41 * USDC), world.claim(42 * USDC))


def test_a_voucher_cannot_exceed_the_escrow(world: World) -> None:
    over = 100 * USDC + 1
    world.refuse(Code.WRONG_AMOUNT, world.proof(over), world.claim(over))
    world.refuse(Code.WRONG_AMOUNT, world.proof(2**64 - 1), world.claim(2**64 - 1))


@pytest.mark.parametrize("signer", ["mallory", "provider", "client", "operator"])
def test_only_the_session_key_signs_vouchers(world: World, signer: str) -> None:
    proof = world.proof(50 * USDC, by=getattr(world, signer))
    world.refuse(Code.BAD_VOUCHER, proof, world.claim(50 * USDC))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("sequence", 2, id="a later opening of the job"),
        pytest.param("domain", 8, id="another cluster"),
        pytest.param("escrow", bytes(32), id="another escrow"),
    ],
)
def test_a_voucher_is_bound_to(world: World, field: str, value: object) -> None:
    voucher = dataclasses.replace(world.voucher(50 * USDC), **{field: value})  # type: ignore[arg-type]  # one of several fields
    proof = ed25519_instruction([world.sign(voucher)])
    world.refuse(Code.BAD_VOUCHER, proof, world.claim(50 * USDC))


def test_a_voucher_dies_with_its_escrow(world: World) -> None:
    old = world.proof(50 * USDC)
    world.do(world.relinquish())
    world.do(world.open())
    world.refuse(Code.BAD_VOUCHER, old, world.claim(50 * USDC))


def test_a_voucher_of_another_escrow_of_the_same_parties_is_refused(world: World) -> None:
    world.do(world.open(job=job_id("second")))
    proof = world.proof(50 * USDC, job=job_id("second"))
    world.refuse(Code.BAD_VOUCHER, proof, world.claim(50 * USDC, job=JOB))


def test_a_voucher_needs_an_ed25519_instruction(world: World) -> None:
    world.refuse(Code.BAD_VOUCHER, world.claim(50 * USDC))


def test_a_proof_index_beyond_the_transaction_is_refused(world: World) -> None:
    world.refuse(Code.BAD_VOUCHER, world.proof(50 * USDC), world.claim(50 * USDC, proof_index=2))
    world.refuse(Code.BAD_VOUCHER, world.proof(50 * USDC), world.claim(50 * USDC, proof_index=255))


def test_a_signature_index_beyond_the_proof_is_refused(world: World) -> None:
    world.refuse(
        Code.BAD_VOUCHER, world.proof(50 * USDC), world.claim(50 * USDC, signature_index=1)
    )
    world.refuse(
        Code.BAD_VOUCHER, world.proof(50 * USDC), world.claim(50 * USDC, signature_index=255)
    )


def test_a_false_signature_fails_the_whole_transaction(world: World) -> None:
    signed = world.sign(world.voucher(50 * USDC))
    forged = SignedVoucher(signed.voucher, signed.signer, bytes(64))
    failure = world.fail(ed25519_instruction([forged]), world.claim(50 * USDC))
    assert "InstructionError" in str(failure.err())


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(SIGNATURE_INSTRUCTION, id="signature"),
        pytest.param(KEY_INSTRUCTION, id="public key"),
        pytest.param(MESSAGE_INSTRUCTION, id="message"),
    ],
)
def test_no_part_of_the_proof_may_lie_in_another_instruction(world: World, field: int) -> None:
    """The precompile would verify bytes of instruction 1, and the program read those of 0."""
    proof = patched(world.proof(50 * USDC), field, 1)
    # Instruction 1 repeats the same bytes, so that the precompile is content with either.
    twin = Instruction(ED25519_PROGRAM_ID, bytes(proof.data), [])
    world.refuse(Code.BAD_VOUCHER, proof, twin, world.claim(50 * USDC))


def test_the_precompile_verifies_one_thing_and_the_program_is_shown_another(world: World) -> None:
    """Mallory's honest signature over her own bytes, beside a forged voucher that nobody signed."""
    own = world.sign(world.voucher(60 * USDC), by=world.mallory)
    hers = bytes(own.signer) + own.signature + own.voucher.message()
    forged = bytes(world.session.pubkey()) + bytes(64) + world.voucher(60 * USDC).message()
    head = struct.pack("<BB7H", 1, 0, 48, 1, 16, 1, 112, 72, 1)
    shown = Instruction(ED25519_PROGRAM_ID, head + forged, [])
    honest_head = struct.pack("<BB7H", 1, 0, 48, 0xFFFF, 16, 0xFFFF, 112, 72, 0xFFFF)
    verified = Instruction(ED25519_PROGRAM_ID, honest_head + hers, [])
    world.refuse(Code.BAD_VOUCHER, shown, verified, world.claim(60 * USDC))


def test_an_entry_that_the_precompile_never_looked_at_proves_nothing(world: World) -> None:
    """The instruction announces one signature, and that is good; behind it stands a forged entry."""
    own = world.sign(world.voucher(60 * USDC), by=world.mallory)
    forged = bytes(world.session.pubkey()) + bytes(64) + world.voucher(60 * USDC).message()
    start = 2 + 2 * 14
    entries = b"".join(
        struct.pack("<7H", at + 32, 0xFFFF, at, 0xFFFF, at + 96, 72, 0xFFFF)
        for at in (start, start + len(forged))
    )
    body = bytes(own.signer) + own.signature + own.voucher.message() + forged
    proof = Instruction(ED25519_PROGRAM_ID, b"\x01\x00" + entries + body, [])
    world.refuse(Code.BAD_VOUCHER, proof, world.claim(60 * USDC, signature_index=0))
    world.refuse(Code.BAD_VOUCHER, proof, world.claim(60 * USDC, signature_index=1))


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        pytest.param(KEY_OFFSET, 0xFFF0, id="key"),
        pytest.param(MESSAGE_OFFSET, 0xFFF0, id="message"),
    ],
)
def test_offsets_outside_the_proof_are_refused(world: World, offset: int, value: int) -> None:
    """The precompile refuses them first; the program checks its own reads all the same."""
    world.fail(patched(world.proof(50 * USDC), offset, value), world.claim(50 * USDC))


@pytest.mark.parametrize("change", [b"\0", b""])
def test_a_message_of_another_length_is_no_voucher(world: World, change: bytes) -> None:
    message = world.voucher(50 * USDC).message()
    message = message + change if change else message[:-1]
    world.refuse(Code.BAD_VOUCHER, raw_proof(message, world.session), world.claim(50 * USDC))


@pytest.mark.parametrize(("index", "what"), [(0, "magic"), (71, "reserved field")])
def test_every_byte_of_the_message_counts(world: World, index: int, what: str) -> None:
    message = bytearray(world.voucher(50 * USDC).message())
    message[index] ^= 1
    proof = raw_proof(bytes(message), world.session)
    world.refuse(Code.BAD_VOUCHER, proof, world.claim(50 * USDC))


def test_an_empty_proof_proves_nothing(world: World) -> None:
    """An Ed25519 instruction with no signatures is valid, and verifies nothing."""
    empty = Instruction(ED25519_PROGRAM_ID, b"\0\0", [])
    world.refuse(Code.BAD_VOUCHER, empty, world.claim(50 * USDC))


def forged_proof(world: World, cumulative: int) -> bytes:
    """What an Ed25519 instruction would look like, had the session key signed; it has not."""
    signed = SignedVoucher(world.voucher(cumulative), world.session.pubkey(), bytes(64))
    return bytes(ed25519_instruction([signed]).data)


def test_a_proof_shown_to_another_program_proves_nothing(world: World) -> None:
    """The right bytes, in an instruction of a program that does not verify them."""
    shown = Instruction(world.add_noop_program(), forged_proof(world, 50 * USDC), [])
    world.do(shown)  # that program is content with it
    world.refuse(Code.BAD_VOUCHER, shown, world.claim(50 * USDC))


def test_an_instruction_inside_an_instruction_proves_nothing(world: World) -> None:
    """An index past the sysvar's table would read its offset from Mallory's instruction data,
    and that offset leads to an Ed25519 instruction which exists only there."""
    proof = forged_proof(world, 50 * USDC)
    imitation = struct.pack("<H32sH", 0, bytes(ED25519_PROGRAM_ID), len(proof)) + proof
    # The sysvar of two instructions: count, two offsets, then the first instruction's account
    # count, program and data length; its data begins here.
    data_at = 2 + 2 * 2 + 2 + 32 + 2
    carrier = Instruction(world.add_noop_program(), struct.pack("<H", data_at + 2) + imitation, [])
    index = (data_at - 2) // 2
    world.refuse(Code.BAD_VOUCHER, carrier, world.claim(50 * USDC, proof_index=index))


def test_a_fake_instructions_sysvar_is_refused(world: World) -> None:
    """An account of the attacker's that looks like the sysvar with a verified voucher in it."""
    proof = bytes(world.proof(50 * USDC).data)
    fake = struct.pack("<HH", 1, 4) + struct.pack("<H", 0) + bytes(ED25519_PROGRAM_ID)
    fake += struct.pack("<H", len(proof)) + proof
    claim = with_account(world.claim(50 * USDC), 0, world.forge(fake))
    world.refuse(Code.WRONG_SYSVAR, claim)


def test_a_relayed_voucher_pays_the_provider_and_nobody_else(world: World) -> None:
    claim = world.claim(50 * USDC, payout=world.usdc(world.mallory))
    world.refuse(Code.BAD_TOKEN_ACCOUNT, world.proof(50 * USDC), claim, payer=world.mallory)


def test_a_voucher_comes_too_late_after_the_grace_window(world: World) -> None:
    claim_until = world.escrow_account().claim_until_unix_s
    proof = world.proof(50 * USDC)
    world.set_time(claim_until + 1)
    world.refuse(Code.WRONG_TIME, proof, world.claim(50 * USDC))
    world.set_time(claim_until)
    world.do(proof, world.claim(50 * USDC))


def test_only_the_provider_closes_with_a_voucher(world: World) -> None:
    """A relay, or the client, could otherwise close before a later voucher is redeemed."""
    claim = world.claim(50 * USDC, close_to=world.client)
    unsigned = with_account(claim, 9, signer=False)
    world.refuse(Code.MISSING_SIGNER, world.proof(50 * USDC), unsigned, payer=world.mallory)


def test_a_closing_voucher_returns_the_rent_to_who_paid_it(world: World) -> None:
    claim = world.claim(50 * USDC, close_to=world.mallory)
    world.refuse(Code.ACCOUNT_COUNT, world.proof(50 * USDC), claim)


def test_a_provider_cannot_close_a_disputed_escrow_to_escape_slashing(world: World) -> None:
    world.do(world.dispute())
    claim = world.claim(50 * USDC, close_to=world.client)
    world.refuse(Code.WRONG_STATE, world.proof(50 * USDC), claim)


def test_closing_with_an_older_voucher_is_refused(world: World) -> None:
    """It would not say what the provider gives up; relinquish does."""
    claim = world.claim(30 * USDC, close_to=world.client)
    world.refuse(Code.STALE_RELEASE, world.proof(30 * USDC), claim)


def test_final_is_yes_or_no(world: World) -> None:
    claim = world.claim(50 * USDC)
    data = bytes(claim.data)[:-1] + b"\x02"
    claim = Instruction(claim.program_id, data, list(claim.accounts))
    world.refuse(Code.INSTRUCTION_DATA, world.proof(50 * USDC), claim)


def test_a_voucher_of_a_refunded_escrow_is_worthless(world: World) -> None:
    proof = world.proof(50 * USDC)
    world.set_time(NOW + 10_000)
    world.do(world.refund())
    world.refuse(Code.WRONG_OWNER, proof, world.claim(50 * USDC))
