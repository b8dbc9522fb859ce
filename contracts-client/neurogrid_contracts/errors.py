"""What the escrow program's error codes mean, and what a caller should do about each.

The codes are those of ``contracts-client/program/errors.h``; a failed transaction carries one as
``InstructionError(index, Custom(code))``.
"""

import enum
from typing import Final

from solders.transaction_status import (
    InstructionErrorCustom,
    TransactionErrorInstructionError,
)


class ProgramErrorCode(enum.IntEnum):
    """The program's error codes. They never change their number."""

    INSTRUCTION_DATA = 100
    ACCOUNT_COUNT = 101
    MISSING_SIGNER = 102
    NOT_WRITABLE = 103
    WRONG_OWNER = 104
    WRONG_ACCOUNT_TYPE = 105
    WRONG_LINK = 106
    WRONG_ADDRESS = 107
    ALREADY_EXISTS = 108
    OVERFLOW = 109
    WRONG_AMOUNT = 110
    WRONG_STATE = 111
    WRONG_TIME = 112
    NOT_AUTHORIZED = 113
    BAD_TOKEN_ACCOUNT = 114
    WRONG_MINT = 115
    WRONG_PROGRAM = 116
    WRONG_SYSVAR = 117
    BAD_VOUCHER = 118
    INSUFFICIENT_STAKE = 119
    DUPLICATE_ACCOUNT = 120
    PAUSED = 121
    OVER_LIMIT = 122
    STALE_RELEASE = 123
    INSUFFICIENT_BALANCE = 124
    FAULT_NOT_PROVEN = 125
    NOT_EMPTY = 126


PROGRAM_ERRORS: Final[dict[ProgramErrorCode, str]] = {
    ProgramErrorCode.INSTRUCTION_DATA: (
        "The instruction's bytes are malformed or an argument is out of its range: build it with"
        " neurogrid_contracts.instructions of the same version as the program."
    ),
    ProgramErrorCode.ACCOUNT_COUNT: (
        "An account is missing, or there are more than 24; closing an escrow needs its rent payer,"
        " and taking a provider's bond its vault."
    ),
    ProgramErrorCode.MISSING_SIGNER: (
        "Have the named party sign the transaction; a multisig arbiter needs as many of its members"
        " as it requires."
    ),
    ProgramErrorCode.NOT_WRITABLE: "Pass the account as writable.",
    ProgramErrorCode.WRONG_OWNER: (
        "An account does not exist, was closed, or belongs to another program: read it again."
    ),
    ProgramErrorCode.WRONG_ACCOUNT_TYPE: "The accounts are in the wrong order or of another type.",
    ProgramErrorCode.WRONG_LINK: (
        "Two accounts do not belong together, such as an escrow and another client's vault: derive"
        " all of them from one Deployment."
    ),
    ProgramErrorCode.WRONG_ADDRESS: "The address to create is not the derived one.",
    ProgramErrorCode.ALREADY_EXISTS: "It exists already: if a retry did this, go on.",
    ProgramErrorCode.OVERFLOW: "The amount is absurd, or the books are damaged: stop and look.",
    ProgramErrorCode.WRONG_AMOUNT: (
        "The amount is zero or more than the escrow or the unbonding stake still holds."
    ),
    ProgramErrorCode.WRONG_STATE: (
        "The escrow is disputed, or not disputed, or only offered, or slashed already, or nothing is"
        " proposed: read it again."
    ),
    ProgramErrorCode.WRONG_TIME: (
        "Too early or too late: compare the account's times with the chain's clock."
    ),
    ProgramErrorCode.NOT_AUTHORIZED: "This key may not do this: sign with the owner's key.",
    ProgramErrorCode.BAD_TOKEN_ACCOUNT: (
        "The token account does not exist, is frozen, or belongs to another wallet than it must."
    ),
    ProgramErrorCode.WRONG_MINT: "The token account holds another currency than the market's.",
    ProgramErrorCode.WRONG_PROGRAM: "Pass the System and SPL Token programs themselves.",
    ProgramErrorCode.WRONG_SYSVAR: "Pass the instructions sysvar.",
    ProgramErrorCode.BAD_VOUCHER: (
        "The voucher is for another escrow, sequence, domain, amount or signer, or the transaction"
        " lacks its Ed25519 instruction: do not serve on vouchers like it."
    ),
    ProgramErrorCode.INSUFFICIENT_STAKE: "The provider must stake more, or the request is too big.",
    ProgramErrorCode.DUPLICATE_ACCOUNT: "One account was passed twice; use two different ones.",
    ProgramErrorCode.PAUSED: "The administrator paused new commitments: withdraw, or wait.",
    ProgramErrorCode.OVER_LIMIT: (
        "Above the operator's limit (the owner can raise it) or the slashing cap."
    ),
    ProgramErrorCode.STALE_RELEASE: (
        "The escrow has released another total than expected; after a retry this means that the"
        " first attempt landed: read the escrow before paying anything again."
    ),
    ProgramErrorCode.INSUFFICIENT_BALANCE: "Deposit more, or wait until open escrows close.",
    ProgramErrorCode.FAULT_NOT_PROVEN: (
        "Only a fault that evidence proves can slash, and the evidence's hash goes with it: for"
        " anything else divide the escrow with resolve."
    ),
    ProgramErrorCode.NOT_EMPTY: (
        "Take everything out and let the open escrows end before closing the account."
    ),
}


class ProgramError(Exception):
    """The program refused an instruction.

    Attributes:
        code: why.
        instruction_index: which instruction of the transaction; None if unknown.
    """

    def __init__(self, code: ProgramErrorCode, instruction_index: int | None = None) -> None:
        where = "" if instruction_index is None else f" in instruction {instruction_index}"
        super().__init__(f"{code.name}{where}: {PROGRAM_ERRORS[code]}")
        self.code = code
        self.instruction_index = instruction_index

    @property
    def advice(self) -> str:
        """What the caller should do."""
        return PROGRAM_ERRORS[self.code]


def program_error(code: int) -> ProgramError | None:
    """The program's error with this number; None if the number is another program's."""
    try:
        return ProgramError(ProgramErrorCode(code))
    except ValueError:
        return None


def program_error_of(error: object) -> ProgramError | None:
    """The program's error inside a transaction's error; None if it failed otherwise.

    Args:
        error: solders' transaction error, or the same as JSON-RPC writes it:
            ``{"InstructionError": [2, {"Custom": 123}]}``.
    """
    match error:
        case TransactionErrorInstructionError(index=index, err=InstructionErrorCustom(code=code)):
            pass
        case {"InstructionError": [int(index), {"Custom": int(code)}]}:
            pass
        case _:
            return None
    found = program_error(code)
    return None if found is None else ProgramError(found.code, index)
