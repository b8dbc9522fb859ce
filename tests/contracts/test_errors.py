"""The program's error codes, their advice, and finding them in failed transactions."""

import json
from pathlib import Path

import pytest
from solders.transaction_status import (
    InstructionErrorCustom,
    InstructionErrorFieldless,
    TransactionErrorFieldless,
    TransactionErrorInstructionError,
)

from neurogrid_contracts.errors import (
    PROGRAM_ERRORS,
    ProgramErrorCode,
    program_error,
    program_error_of,
)

IDL = json.loads(
    (Path(__file__).parents[2] / "contracts-client" / "program" / "idl.json").read_text()
)


def test_codes_names_and_advice_are_the_idls() -> None:
    assert IDL["errors"] == [
        {"code": code.value, "name": code.name, "advice": PROGRAM_ERRORS[code]}
        for code in ProgramErrorCode
    ]


def test_an_error_says_what_to_do() -> None:
    error = program_error(123)
    assert error is not None
    assert error.code is ProgramErrorCode.STALE_RELEASE
    assert str(error) == f"STALE_RELEASE: {error.advice}"


@pytest.mark.parametrize("code", [0, 1, 99, 127])
def test_other_programs_codes_are_not_ours(code: int) -> None:
    assert program_error(code) is None


@pytest.mark.parametrize(
    "error",
    [
        TransactionErrorInstructionError(2, InstructionErrorCustom(118)),
        {"InstructionError": [2, {"Custom": 118}]},
    ],
    ids=["solders", "JSON-RPC"],
)
def test_the_error_of_a_failed_transaction_is_found(error: object) -> None:
    found = program_error_of(error)
    assert found is not None
    assert found.code is ProgramErrorCode.BAD_VOUCHER
    assert found.instruction_index == 2
    assert "in instruction 2" in str(found)


@pytest.mark.parametrize(
    "error",
    [
        None,
        TransactionErrorFieldless.BlockhashNotFound,
        TransactionErrorInstructionError(0, InstructionErrorFieldless.InvalidAccountData),
        TransactionErrorInstructionError(0, InstructionErrorCustom(1)),
        {"InstructionError": [0, "InvalidAccountData"]},
        {"InstructionError": [0, {"Custom": 1}]},
        "BlockhashNotFound",
    ],
)
def test_other_failures_are_not_ours(error: object) -> None:
    assert program_error_of(error) is None
