"""What an owner can do with stake by a command, and why a command may move nothing."""

from dataclasses import dataclass
from enum import StrEnum

from solders.instruction import Instruction

from neurogrid_marketplace.money import format_usdc


class MoveKind(StrEnum):
    """What is done; the word that is typed."""

    REGISTER = "register"
    STAKE = "stake"
    UNSTAKE = "unstake"
    REBOND = "rebond"
    WITHDRAW = "withdraw"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Move:
    """One command of the owner.

    Attributes:
        amount_micro_usdc: for those that take one, else 0.
        payout_wallet: for `register`, whose token account is paid; "" is the wallet itself.
    """

    kind: MoveKind
    amount_micro_usdc: int = 0
    payout_wallet: str = ""

    def __str__(self) -> str:
        amount = f" {format_usdc(self.amount_micro_usdc)}" if self.amount_micro_usdc else ""
        return f"{self.kind}{amount}"


class Refusal(StrEnum):
    """Why a command moved nothing."""

    ALREADY_REGISTERED = "ALREADY_REGISTERED"
    NOT_REGISTERED = "NOT_REGISTERED"
    AMOUNT_INVALID = "AMOUNT_INVALID"
    NOT_ENOUGH_SOL = "NOT_ENOUGH_SOL"
    NOT_ENOUGH_USDC = "NOT_ENOUGH_USDC"
    NOT_ENOUGH_STAKE = "NOT_ENOUGH_STAKE"
    NOTHING_UNBONDING = "NOTHING_UNBONDING"
    STILL_UNBONDING = "STILL_UNBONDING"
    STAKE_LEFT = "STAKE_LEFT"
    ESCROWS_OPEN = "ESCROWS_OPEN"
    MARKET_PAUSED = "MARKET_PAUSED"
    PAYOUT_INVALID = "PAYOUT_INVALID"
    NOT_CONFIRMED = "NOT_CONFIRMED"
    COMMAND_RUNNING = "COMMAND_RUNNING"
    CHAIN_REFUSED = "CHAIN_REFUSED"
    NOT_DECIDED = "NOT_DECIDED"
    CHAIN_AWAY = "CHAIN_AWAY"
    UNUSABLE = "UNUSABLE"


class MoveRefused(Exception):
    """Nothing was moved (for NOT_DECIDED: nobody knows yet); the message says what to do."""

    def __init__(self, code: Refusal, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Plan:
    """A move that may be made.

    Attributes:
        instructions: all of them happen or none.
        question: what the owner is asked, with what follows.
        staked_micro_usdc, unbonding_micro_usdc, wallet_micro_usdc: what there will be after it.
    """

    instructions: tuple[Instruction, ...]
    question: str
    staked_micro_usdc: int
    unbonding_micro_usdc: int
    wallet_micro_usdc: int
