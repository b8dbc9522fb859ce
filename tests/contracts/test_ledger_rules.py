"""Rent and durable nonces, as a cluster has them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    AuthorizeNonceAccountParams,
    CreateAccountParams,
    TransferParams,
    WithdrawNonceAccountParams,
    advance_nonce_account,
    authorize_nonce_account,
    create_account,
    create_nonce_account,
    transfer,
    withdraw_nonce_account,
)
from spl.token.constants import TOKEN_PROGRAM_ID
from spl.token.instructions import create_idempotent_associated_token_account

from contracts.ledger_world import SOL, World, error_code
from neurogrid_contracts.ledger.faucet import associated_token_account

# What an account without data must hold, and one of 80 bytes: 128 + size bytes, two years.
RENT_LAMPORTS = 890_880
NONCE_RENT_LAMPORTS = 1_447_680
FEE_LAMPORTS = 5000
NO_INSUFFICIENT = {"InstructionError": [0, "InsufficientFunds"]}
NO_AUTHORITY = {"InstructionError": [0, "MissingRequiredSignature"]}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "ledger")
    yield world
    world.ledger.close()


# Rent


def test_an_account_is_born_with_its_rent_or_not_at_all(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    too_little = world.payment(payer, to, RENT_LAMPORTS - 1)
    refused = {"InsufficientFundsForRent": {"account_index": 1}}
    assert error_code(lambda: world.send(too_little)) == refused
    world.send(world.payment(payer, to, RENT_LAMPORTS))
    world.send(world.payment(payer, to, 1))
    assert world.lamports(to) == RENT_LAMPORTS + 1


def test_a_payer_keeps_its_rent_or_nothing(world: World) -> None:
    payer, to = world.rich(SOL), world.rich(SOL).pubkey()
    almost = world.payment(payer, to, SOL - FEE_LAMPORTS - 1)
    refused = {"InsufficientFundsForRent": {"account_index": 0}}
    assert error_code(lambda: world.send(almost)) == refused
    world.send(world.payment(payer, to, SOL - FEE_LAMPORTS))
    assert world.ledger.svm.account(payer.pubkey()) is None


def test_a_data_account_needs_rent_for_its_size(world: World) -> None:
    payer, rent = world.rich(), world.ledger.svm.rent_exempt_lamports(1000)

    def create(account: Keypair, lamports: int) -> bytes:
        instruction = create_account(
            CreateAccountParams(
                from_pubkey=payer.pubkey(),
                to_pubkey=account.pubkey(),
                lamports=lamports,
                space=1000,
                owner=Keypair().pubkey(),
            )
        )
        return world.sign([instruction], payer, account)

    poor = create(Keypair(), rent - 1)
    refused = {"InsufficientFundsForRent": {"account_index": 1}}
    assert error_code(lambda: world.send(poor)) == refused
    exempt = Keypair()
    world.send(create(exempt, rent))
    assert world.lamports(exempt.pubkey()) == rent


@pytest.mark.parametrize("restart", [False, True])
def test_a_closed_account_comes_back_empty(world: World, *, restart: bool) -> None:
    owner = world.rich()
    mint = world.ledger.genesis.usdc_mint
    account = associated_token_account(owner.pubkey(), mint)
    create = create_idempotent_associated_token_account(owner.pubkey(), owner.pubkey(), mint)
    world.send(world.sign([create], owner))
    close = Instruction(
        TOKEN_PROGRAM_ID,
        b"\x09",  # CloseAccount
        [
            AccountMeta(account, is_signer=False, is_writable=True),
            AccountMeta(owner.pubkey(), is_signer=False, is_writable=True),
            AccountMeta(owner.pubkey(), is_signer=True, is_writable=False),
        ],
    )
    world.send(world.sign([close], owner))
    if restart:
        world.restart()
    assert world.ledger.svm.account(account) is None
    world.send(world.payment(owner, account, RENT_LAMPORTS))
    revived = world.ledger.svm.account(account)
    assert revived is not None
    assert (revived.data, revived.owner) == (b"", Pubkey.default())


# Durable nonces


class Nonce:
    """A nonce account that can be used by now."""

    def __init__(self, world: World, lamports: int = NONCE_RENT_LAMPORTS) -> None:
        self.world, self.authority, account = world, world.rich(), Keypair()
        self.address = account.pubkey()
        authority = self.authority.pubkey()
        create = create_nonce_account(authority, self.address, authority, lamports)
        world.send(world.sign(list(create), self.authority, account))
        world.slots(1)

    @property
    def value(self) -> Hash:
        account = self.world.ledger.svm.account(self.address)
        assert account is not None
        return Hash(account.data[40:72])

    def advance(self, authority: Keypair | None = None) -> Instruction:
        return advance_nonce_account(
            AdvanceNonceAccountParams(
                nonce_pubkey=self.address,
                authorized_pubkey=(authority or self.authority).pubkey(),
            )
        )

    def withdraw(self, lamports: int, to: Pubkey, authority: Keypair | None = None) -> bytes:
        authority = authority or self.authority
        instruction = withdraw_nonce_account(
            WithdrawNonceAccountParams(
                nonce_pubkey=self.address,
                authorized_pubkey=authority.pubkey(),
                to_pubkey=to,
                lamports=lamports,
            )
        )
        return self.world.sign([instruction], authority)

    def pay(self, to: Pubkey, *, signer: Keypair, nonce: Hash | None = None) -> bytes:
        """One lamport and the rent, by ``signer``, at this nonce."""
        pay = transfer(
            TransferParams(from_pubkey=signer.pubkey(), to_pubkey=to, lamports=RENT_LAMPORTS + 1)
        )
        return self.world.sign([self.advance(signer), pay], signer, blockhash=nonce or self.value)


def test_a_nonce_account_is_emptied_and_gone(world: World) -> None:
    nonce, to = Nonce(world), Keypair().pubkey()
    value = nonce.value
    world.send(nonce.withdraw(NONCE_RENT_LAMPORTS, to))
    assert world.lamports(to) == NONCE_RENT_LAMPORTS
    assert world.ledger.svm.account(nonce.address) is None
    late = nonce.pay(Keypair().pubkey(), signer=nonce.authority, nonce=value)
    assert error_code(lambda: world.send(late)) == "BlockhashNotFound"


def test_a_nonce_account_keeps_its_rent_until_it_goes(world: World) -> None:
    nonce, to = Nonce(world, NONCE_RENT_LAMPORTS + SOL), Keypair().pubkey()
    assert error_code(lambda: world.send(nonce.withdraw(SOL + 1, to))) == NO_INSUFFICIENT
    world.send(nonce.withdraw(SOL, to))
    assert world.lamports(to) == SOL


def test_only_its_authority_withdraws_from_a_nonce(world: World) -> None:
    nonce, thief = Nonce(world), world.rich()
    stolen = nonce.withdraw(NONCE_RENT_LAMPORTS, thief.pubkey(), thief)
    assert error_code(lambda: world.send(stolen)) == NO_AUTHORITY


def test_an_authority_is_handed_over(world: World) -> None:
    nonce, heir, to = Nonce(world), world.rich(), Keypair().pubkey()

    def hand_over(signer: Keypair) -> bytes:
        instruction = authorize_nonce_account(
            AuthorizeNonceAccountParams(
                nonce_pubkey=nonce.address,
                authorized_pubkey=signer.pubkey(),
                new_authority=heir.pubkey(),
            )
        )
        return world.sign([instruction], signer)

    assert error_code(lambda: world.send(hand_over(world.rich()))) == NO_AUTHORITY
    value = nonce.value
    world.send(hand_over(nonce.authority))
    assert nonce.value == value
    old = nonce.pay(to, signer=nonce.authority)
    assert error_code(lambda: world.send(old)) == "BlockhashNotFound"
    world.send(nonce.pay(to, signer=heir))
    assert world.lamports(to) == RENT_LAMPORTS + 1


def test_a_stale_nonce_is_a_dead_blockhash(world: World) -> None:
    nonce, to = Nonce(world), Keypair().pubkey()
    old = nonce.value
    world.send(nonce.pay(to, signer=nonce.authority))
    world.slots(1)
    late = nonce.pay(Keypair().pubkey(), signer=nonce.authority, nonce=old)
    assert error_code(lambda: world.send(late)) == "BlockhashNotFound"
    world.send(late, skip_preflight=True)
    assert world.lamports(to) == RENT_LAMPORTS + 1


def test_a_nonce_counts_only_as_the_first_instruction(world: World) -> None:
    nonce, signer = Nonce(world), world.rich()
    pay = transfer(
        TransferParams(from_pubkey=signer.pubkey(), to_pubkey=Keypair().pubkey(), lamports=SOL)
    )
    raw = world.sign([pay, nonce.advance(signer)], signer, blockhash=nonce.value)
    assert error_code(lambda: world.send(raw)) == "BlockhashNotFound"


def test_a_nonce_is_taken_back_with_its_slot(world: World) -> None:
    nonce, to = Nonce(world), Keypair().pubkey()
    world.slots(2)
    raw, old = nonce.pay(to, signer=nonce.authority), nonce.value
    world.send(raw)
    assert nonce.value != old
    world.control("neurogrid_fork")
    assert nonce.value == old
    world.send(raw)
    assert world.lamports(to) == RENT_LAMPORTS + 1
