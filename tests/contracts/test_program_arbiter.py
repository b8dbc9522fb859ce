"""An arbiter that is a multisig account of the SPL Token program."""

import pytest
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from contracts.program_parties import STAKE, USDC, with_account
from contracts.program_world import World
from neurogrid_contracts.errors import ProgramErrorCode as Code
from neurogrid_contracts.instructions import TOKEN_PROGRAM_ID


class Court(World):
    """A market whose arbiter is two of three members, with a disputed escrow."""

    def __init__(self, *, arbiter: Pubkey | None = None) -> None:
        super().__init__()
        self.members = [self.new_key(number) for number in (60, 61, 62)]
        if arbiter is None:
            arbiter = self.create_multisig(self.members, 2)
        self.court = arbiter
        self.do(self.propose_terms(arbiter=arbiter))
        self.set_time(self.config_account().terms_from_unix_s)
        self.do(self.apply_terms())
        self.do(self.open(deadline=self.now + 3_600))
        self.do(self.dispute())

    def rule(self, *members: Keypair) -> Instruction:
        return self.resolve(10 * USDC, arbiter=self.court, members=members)

    def punish(self, *members: Keypair) -> Instruction:
        return self.slash(10 * USDC, arbiter=self.court, members=members)


@pytest.fixture
def court() -> Court:
    return Court()


def account_of(court: Court, address: Pubkey) -> Account:
    account = court.svm.get_account(address)
    assert account is not None
    return account


def without_signing(instruction: Instruction, key: Keypair) -> Instruction:
    """The instruction with this member listed, but not signing."""
    index = [meta.pubkey for meta in instruction.accounts].index(key.pubkey())
    return with_account(instruction, index, signer=False)


def test_enough_members_rule_and_slash(court: Court) -> None:
    first, second, third = court.members
    court.do(court.punish(third, first))
    assert court.provider_account().staked_micro_usdc == STAKE - 10 * USDC
    court.do(court.rule(second, third))
    assert court.is_closed()


def test_all_members_may_sign(court: Court) -> None:
    court.do(court.rule(*court.members))


def test_too_few_members_decide_nothing(court: Court) -> None:
    for act in (court.rule, court.punish):
        court.refuse(Code.MISSING_SIGNER, act(court.members[0]))


def test_no_members_decide_nothing(court: Court) -> None:
    nobody = with_account(court.rule(), 0, signer=False)
    court.refuse(Code.MISSING_SIGNER, nobody)


def test_one_member_does_not_count_twice(court: Court) -> None:
    twice = court.rule(court.members[0])
    again = AccountMeta(court.members[0].pubkey(), is_signer=True, is_writable=False)
    doubled = Instruction(twice.program_id, bytes(twice.data), [*twice.accounts, again])
    court.refuse(Code.DUPLICATE_ACCOUNT, doubled)


def test_a_multisig_that_lists_one_key_twice_still_needs_two_people(court: Court) -> None:
    """The token program itself lets such a key count twice."""
    data = bytearray(account_of(court, court.court).data)
    data[3 + 32 : 3 + 64] = bytes(court.members[0].pubkey())
    court.replace_data(court.court, bytes(data))
    court.refuse(Code.MISSING_SIGNER, court.rule(court.members[0]))
    court.do(court.rule(court.members[0], court.members[2]))


def test_foreign_signers_do_not_count(court: Court) -> None:
    for stranger in (court.mallory, court.client, court.admin, court.arbiter):
        court.refuse(Code.MISSING_SIGNER, court.rule(court.members[0], stranger))


def test_members_who_are_listed_without_signing_do_not_count(court: Court) -> None:
    first, second, _ = court.members
    court.refuse(Code.MISSING_SIGNER, without_signing(court.rule(first, second), second))


def test_a_party_that_is_a_member_counts_once_for_itself() -> None:
    """The rent payer is listed anyway; its signature is a member's signature too."""
    world = World()
    members = [world.client, world.new_key(61), world.new_key(62)]
    court = world.create_multisig(members, 2)
    world.do(world.propose_terms(arbiter=court))
    world.set_time(world.config_account().terms_from_unix_s)
    world.do(world.apply_terms())
    world.do(world.open(deadline=world.now + 60))
    world.do(world.dispute())
    world.refuse(Code.MISSING_SIGNER, world.resolve(1, arbiter=court, members=members[:1]))
    world.do(world.resolve(1, arbiter=court, members=members[:2]))


def test_another_multisig_of_the_same_members_is_not_the_arbiter(court: Court) -> None:
    other = court.forge(bytes(account_of(court, court.court).data), TOKEN_PROGRAM_ID)
    court.refuse(Code.NOT_AUTHORIZED, with_account(court.rule(*court.members), 0, other))


def test_the_old_arbiters_single_key_is_not_enough(court: Court) -> None:
    court.refuse(Code.NOT_AUTHORIZED, court.resolve(1))


def test_a_multisig_account_that_was_never_initialized_decides_nothing() -> None:
    """It requires zero signatures; anybody can allocate one."""
    court = Court(arbiter=World().allocate_multisig())
    court.allocate_multisig()  # at the address of the other world's
    court.refuse(Code.MISSING_SIGNER, with_account(court.rule(), 0, signer=False))
    court.refuse(Code.MISSING_SIGNER, court.rule(court.mallory))


def test_a_multisig_that_another_program_owns_decides_nothing(court: Court) -> None:
    """The right bytes at the right address: a program of Mallory's wrote them."""
    data, owner = bytes(account_of(court, court.court).data), court.add_noop_program()
    court.svm.set_account(court.court, Account(10**9, data, owner, False, 0))
    court.refuse(Code.MISSING_SIGNER, court.rule(*court.members))


@pytest.mark.parametrize("length", [82, 165, 354, 356])
def test_an_account_of_another_length_is_no_multisig(court: Court, length: int) -> None:
    data = bytes(account_of(court, court.court).data)
    court.replace_data(court.court, data[:length].ljust(length, b"\0"))
    court.refuse(Code.MISSING_SIGNER, court.rule(*court.members))


def test_a_token_account_as_the_arbiter_decides_nothing() -> None:
    world = World()
    court = Court(arbiter=world.usdc(world.mallory))
    court.refuse(Code.MISSING_SIGNER, court.rule(court.mallory))


def test_keys_behind_the_last_member_do_not_count(court: Court) -> None:
    """What stands in the room for more members than there are is nobody."""
    data = bytearray(account_of(court, court.court).data)
    start = 3 + 3 * 32
    data[start : start + 32] = bytes(court.mallory.pubkey())
    court.replace_data(court.court, bytes(data))
    court.refuse(Code.MISSING_SIGNER, court.rule(court.members[0], court.mallory))
