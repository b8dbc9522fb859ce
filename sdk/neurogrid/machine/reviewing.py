"""What a provider's program signs without asking anybody, and what not: it reads each transaction first. Pure.

A coordinator writes the transactions that move a provider's money, and is not trusted with them. Each kind of transfer has its
instructions, of the market's own program and a few of Solana's; whatever else is in a transaction, another amount or
another recipient, and it is not signed. The program decides the rest: whom a claim pays, whose stake is taken out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from neurogrid_marketplace import base58
from neurogrid_marketplace.solana_message import MessageInstruction, derived_address

from ..signed_transactions import (
    AMOUNT,
    BUDGET,
    CREATE_IDEMPOTENT,
    TOKEN,
    TOKEN_ACCOUNTS,
    NotSigned,
    read,
    read_signed_by,
)

_ED25519 = "Ed25519SigVerify111111111111111111111111111"
_OF_SOLANA = frozenset({TOKEN, TOKEN_ACCOUNTS, BUDGET, _ED25519})
# First bytes of instructions (contracts-client/program): what a transfer of each kind may do with the program.
_REGISTER, _STAKE, _UNSTAKE, _WITHDRAW_STAKE = 1, 2, 3, 4
_CLAIM, _RELINQUISH, _REBOND, _CLOSE = 12, 16, 23, 24
_OF_PROGRAM: dict[str, frozenset[int]] = {
    "stake": frozenset({_REGISTER, _STAKE}),
    "unstake": frozenset({_UNSTAKE}),
    "rebond": frozenset({_REBOND}),
    "stake_withdrawal": frozenset({_WITHDRAW_STAKE}),
    "close": frozenset({_CLOSE}),
    "claim": frozenset({_CLAIM, _RELINQUISH}),
    "payout": frozenset(),
}
# Where the config account stands, and of these two the token account that is paid into.
_CONFIG_INDEX = 1
_DESTINATION_INDEX = {_WITHDRAW_STAKE: 4, _CLOSE: 4}
# SPL Token's TransferChecked: amount, decimals. Accounts: source, mint, destination, owner.
_TRANSFER_CHECKED = 12


@dataclass(frozen=True, slots=True)
class Program:
    """The market's program and its configuration: two addresses, which stay the same for its whole life."""

    program: str
    config: str


def program_in(message: bytes) -> Program | None:
    """The market's program in a transaction, for who knows none yet; None: there is not exactly one.

    Raises:
        NotSigned: it can't be read.
    """
    found = [each for each in read(message).instructions if each.program not in _OF_SOLANA]
    programs = {
        Program(each.program, each.accounts[_CONFIG_INDEX])
        for each in found
        if len(each.accounts) > _CONFIG_INDEX
    }
    return programs.pop() if len(programs) == 1 else None


def review(
    kind: str,
    message: bytes,
    *,
    wallet: str,
    program: Program | None,
    amount_micro: int | None = None,
    recipient: str = "",
    redeems_micro: int | None = None,
) -> None:
    """Look at what is to be signed.

    Args:
        kind: of the transfer that was asked for.
        wallet: who signs.
        program: the market's; None: only what needs none is signed.
        amount_micro: that was asked for, in millionths; None where the chain decides.
        recipient: of a payout.
        redeems_micro: what a claim has to redeem at least, in millionths: what the voucher that is held is worth; 0: nothing,
            the escrow is given up. None: whatever is signed.

    Raises:
        NotSigned: it does anything else.
    """
    tags = _OF_PROGRAM.get(kind)
    if tags is None:
        raise NotSigned(f"a transfer of kind {kind!r} is not a provider's")
    instructions = read_signed_by(message, wallet).instructions
    own = {each.accounts[1] for each in instructions if _makes_account_of(each, wallet)}
    moved = 0
    for each in instructions:
        if each.program == BUDGET:
            continue
        if each.program == TOKEN_ACCOUNTS:
            if each.data != CREATE_IDEMPOTENT:
                raise NotSigned("it does something with token accounts besides making one")
        elif each.program == _ED25519:
            if kind != "claim":
                raise NotSigned("it checks signatures that nobody has asked for")
        elif each.program == TOKEN:
            moved += _sent(each, kind, wallet, recipient, instructions)
        else:
            moved += _done(each, kind, tags, wallet, program, own)
    redeemed = max(map(_redeemed, instructions), default=0)
    if redeems_micro is not None and (redeemed < redeems_micro or (redeemed and not redeems_micro)):
        raise NotSigned(f"it redeems {redeemed} millionths, where {redeems_micro} are to be")
    if amount_micro is not None and moved != amount_micro:
        raise NotSigned(f"it moves {moved} millionths, and {amount_micro} were asked for")


def _done(
    each: MessageInstruction,
    kind: str,
    tags: frozenset[int],
    wallet: str,
    program: Program | None,
    own: set[str],
) -> int:
    """What an instruction of the market's program moves by the amount that it names."""
    if program is None or each.program != program.program:
        raise NotSigned(f"it calls {each.program}, which is not the market's program")
    tag = each.data[0] if each.data else -1
    if tag not in tags:
        raise NotSigned(f"it has instruction {tag} of the market's program, which {kind} has not")
    if len(each.accounts) <= _CONFIG_INDEX or each.accounts[_CONFIG_INDEX] != program.config:
        raise NotSigned("it is of another market of the same program")
    if tag == _REGISTER and base58.encode(each.data[1:33]) != wallet:
        raise NotSigned("it has the provider paid to another wallet")
    if tag == _STAKE and _provider_of(program, wallet) not in each.accounts:
        raise NotSigned("it adds to another provider's stake")
    paid_into = _DESTINATION_INDEX.get(tag)
    if paid_into is not None and each.accounts[paid_into : paid_into + 1] != (*own,):
        raise NotSigned(f"it pays into a token account that is not {wallet}'s")
    has_amount = tag in (_STAKE, _UNSTAKE, _REBOND)
    return int.from_bytes(each.data[AMOUNT], "little") if has_amount else 0


def _redeemed(each: MessageInstruction) -> int:
    """What a claim redeems."""
    is_claim = each.program not in _OF_SOLANA and each.data[:1] == bytes([_CLAIM])
    return int.from_bytes(each.data[AMOUNT], "little") if is_claim else 0


def _sent(
    each: MessageInstruction,
    kind: str,
    wallet: str,
    recipient: str,
    instructions: Sequence[MessageInstruction],
) -> int:
    """What a token transfer sends, to the recipient's own token account."""
    if kind != "payout" or each.data[:1] != bytes([_TRANSFER_CHECKED]) or len(each.accounts) != 4:
        raise NotSigned("it does something with tokens that nobody has asked for")
    _, mint, destination, owner = each.accounts
    made = [
        one.accounts[1]
        for one in instructions
        if _makes_account_of(one, recipient) and one.accounts[3] == mint
    ]
    if owner != wallet or destination not in made:
        raise NotSigned(f"it does not send to {recipient}")
    return int.from_bytes(each.data[AMOUNT], "little")


def _makes_account_of(each: MessageInstruction, owner: str) -> bool:
    """Whether it makes sure that a wallet's token account is there; its program checks that it is that wallet's."""
    return (
        each.program == TOKEN_ACCOUNTS
        and each.data == CREATE_IDEMPOTENT
        and len(each.accounts) >= 4
        and each.accounts[2] == owner
    )


def _provider_of(program: Program, wallet: str) -> str:
    config, owner = base58.decode(program.config, 32), base58.decode(wallet, 32)
    return derived_address(program.program, b"provider", config, owner)
