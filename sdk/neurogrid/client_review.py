"""What a client's wallet signs, and what not: each transaction is read first. Pure.

A coordinator writes the transactions that move a client's money, and is not trusted with them. Whatever is in one beside what
was asked for, another amount, another recipient, another program or another client's account, and it is not signed.
`machine.reviewing` does the same for a provider.
"""

from dataclasses import dataclass
from typing import Literal

from neurogrid_marketplace import base58
from neurogrid_marketplace.solana_message import MessageInstruction, derived_address

from .signed_transactions import (
    AMOUNT,
    BUDGET,
    CREATE_IDEMPOTENT,
    TOKEN,
    TOKEN_ACCOUNTS,
    NotSigned,
    read_signed_by,
)

# First bytes of instructions (contracts-client/program).
_OPEN, _DEPOSIT, _WITHDRAW, _SET_OPERATOR = 6, 7, 8, 9
_OF_KIND = {
    "deposit": frozenset({_OPEN, _DEPOSIT, _SET_OPERATOR}),
    "withdrawal": frozenset({_WITHDRAW}),
    "operator": frozenset({_SET_OPERATOR}),
}
# Accounts of all four begin with the one who signs, the config and the client account; those that move money go on
# with the vault and with the token account that is paid from or into.
_CLIENT_INDEX, _TOKENS_INDEX = 2, 4
# Of the operator's leave, after who that is.
_LIMIT, _EXPIRY = slice(33, 41), slice(41, 49)
# Clocks differ, and a coordinator counts days from its own.
_CLOCKS_S = 3600


@dataclass(frozen=True, slots=True)
class Market:
    """A market: three addresses that stay the same for its whole life, as ``chain.json`` has them.

    Attributes:
        admin: who created it; its configuration's address follows from that.
    """

    program_id: str
    usdc_mint: str
    admin: str

    @property
    def config(self) -> str:
        """The address of its configuration."""
        return derived_address(self.program_id, b"config", _key(self.admin), _key(self.usdc_mint))

    def client(self, wallet: str) -> str:
        """The address of a wallet's client account."""
        return derived_address(self.program_id, b"client", _key(self.config), _key(wallet))

    def tokens(self, wallet: str) -> str:
        """The address of a wallet's token account."""
        return derived_address(TOKEN_ACCOUNTS, _key(wallet), _key(TOKEN), _key(self.usdc_mint))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client has asked its coordinator for.

    Attributes:
        amount_micro: of a deposit or a withdrawal, in millionths.
        recipient: of a withdrawal; empty: the wallet itself.
        limit_micro: how much the coordinator may promise; None: nothing was said of that.
        until_s: until when at the latest, as of this machine's clock.
    """

    kind: Literal["deposit", "withdrawal", "operator"]
    amount_micro: int = 0
    recipient: str = ""
    limit_micro: int | None = None
    until_s: int = 0


def review(asked: Asked, message: bytes, wallet: str, market: Market) -> None:
    """Look at what is to be signed.

    Raises:
        NotSigned: it does anything else than was asked for, or not all of it.
    """
    recipient = asked.recipient or wallet
    moved = 0
    limits: list[int] = []
    for each in read_signed_by(message, wallet).instructions:
        if each.program == BUDGET:
            continue
        if each.program == TOKEN_ACCOUNTS:
            _check_account(each, asked, recipient, market)
        elif each.program == market.program_id:
            tag = _check_call(each, asked, wallet, market)
            if tag == _SET_OPERATOR:
                limits.append(_limit(each, asked))
            elif tag != _OPEN:
                _check_tokens(each, wallet if tag == _DEPOSIT else recipient, market)
                moved += int.from_bytes(each.data[AMOUNT], "little")
        else:
            raise NotSigned(f"it calls {each.program}, which is not the market's program")
    if moved != asked.amount_micro:
        raise NotSigned(f"it moves {moved} millionths, and {asked.amount_micro} were asked for")
    wanted = [] if asked.limit_micro is None else [asked.limit_micro]
    if limits != wanted:
        raise NotSigned(
            f"it lets the coordinator promise {limits or 'nothing more'}, and {wanted or 'nothing'} was asked for"
        )


def _check_call(each: MessageInstruction, asked: Asked, wallet: str, market: Market) -> int:
    """What a call of the market's program does, once it is known to be of this market and this client."""
    tag = each.data[0] if each.data else -1
    if tag not in _OF_KIND[asked.kind]:
        raise NotSigned(
            f"it has instruction {tag} of the market's program, which a {asked.kind} has not"
        )
    if each.accounts[: _CLIENT_INDEX + 1] != (wallet, market.config, market.client(wallet)):
        raise NotSigned("it is of another market, or of another client")
    return tag


def _check_tokens(each: MessageInstruction, owner: str, market: Market) -> None:
    found = each.accounts[_TOKENS_INDEX : _TOKENS_INDEX + 1]
    if found != (market.tokens(owner),):
        raise NotSigned(f"it moves money to or from a token account that is not {owner}'s")


def _check_account(each: MessageInstruction, asked: Asked, recipient: str, market: Market) -> None:
    made = (*each.accounts[1:4],) == (market.tokens(recipient), recipient, market.usdc_mint)
    if asked.kind != "withdrawal" or each.data != CREATE_IDEMPOTENT or not made:
        raise NotSigned("it does something with token accounts that nobody has asked for")


def _limit(each: MessageInstruction, asked: Asked) -> int:
    if int.from_bytes(each.data[_EXPIRY], "little", signed=True) > asked.until_s + _CLOCKS_S:
        raise NotSigned("it lets the coordinator promise money for longer than was asked for")
    return int.from_bytes(each.data[_LIMIT], "little")


def _key(address: str) -> bytes:
    return base58.decode(address, 32)
