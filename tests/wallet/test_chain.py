from typing import Any

import pytest

from neurogrid_wallet.chain import TransactionFailure, parse_failure


@pytest.mark.parametrize(
    ("err", "failure"),
    [
        (None, None),
        ("AccountNotFound", TransactionFailure("AccountNotFound")),
        ({"InsufficientFundsForRent": {"account_index": 1}}, "InsufficientFundsForRent"),
        ({"InstructionError": [2, {"Custom": 6001}]}, TransactionFailure("Custom", 2, 6001)),
        (
            {"InstructionError": [0, "InvalidAccountData"]},
            TransactionFailure("InvalidAccountData", 0),
        ),
        ({"InstructionError": [0, {"BorshIoError": "x"}]}, TransactionFailure("BorshIoError", 0)),
        ({"InstructionError": "nonsense"}, TransactionFailure("InstructionError")),
        ({"a": 1, "b": 2}, TransactionFailure("{'a': 1, 'b': 2}")),
        ([], TransactionFailure("[]")),
        (0, TransactionFailure("0")),
        ("x" * 1000, TransactionFailure("x" * 80)),
    ],
)
def test_only_null_is_success(err: Any, failure: TransactionFailure | str | None) -> None:
    expected = TransactionFailure(failure) if isinstance(failure, str) else failure
    assert parse_failure(err) == expected


def test_a_failure_reads_well() -> None:
    assert str(TransactionFailure("Custom", 2, 6001)) == "Custom 6001 in instruction 2"
    assert str(TransactionFailure("AccountNotFound")) == "AccountNotFound"
