"""The parsers against answers of another shape than the documented one."""

from collections.abc import Callable
from typing import Any

import pytest

from neurogrid_wallet import rpc_answers
from neurogrid_wallet.rpc_answers import MALFORMED


def _value(value: Any) -> dict[str, Any]:
    return {"context": {"slot": 7}, "value": value}


STATUS = {"slot": 1, "err": None, "confirmationStatus": "finalized"}
BLOCKHASH = {"blockhash": "1" * 32, "lastValidBlockHeight": 150}
ACCOUNT = {"data": ["AA==", "base64"], "owner": "1" * 32, "lamports": 5}


@pytest.mark.parametrize(
    ("parse", "result"),
    [
        (rpc_answers.parse_statuses(1), _value([STATUS])),
        (rpc_answers.parse_blockhash, _value(BLOCKHASH)),
        (rpc_answers.parse_account, _value(ACCOUNT)),
    ],
)
def test_the_documented_shape_is_read(parse: Callable[[Any], Any], result: Any) -> None:
    assert parse(result) is not None


@pytest.mark.parametrize("result", [None, 1, [], {}, [[]], {"context": {}}])
@pytest.mark.parametrize(
    "parse",
    [
        rpc_answers.parse_account,
        rpc_answers.parse_accounts(2),
        rpc_answers.parse_balance,
        rpc_answers.parse_blockhash,
        rpc_answers.parse_position,
        rpc_answers.parse_statuses(2),
        rpc_answers.parse_simulation,
        rpc_answers.parse_text,
    ],
)
def test_nonsense_is_malformed(parse: Callable[[Any], Any], result: Any) -> None:
    with pytest.raises(MALFORMED):
        parse(result)


@pytest.mark.parametrize(
    "result",
    [
        _value([]),
        _value([STATUS, STATUS]),
        _value([1]),
        _value([[]]),
        {"context": {"slot": -7}, "value": [None]},
        {"context": {"slot": 2**63}, "value": [None]},
        {"context": {"slot": True}, "value": [None]},
        {"context": {"slot": 7.0}, "value": [None]},
        {"context": {"slot": "7"}, "value": [None]},
        {"context": {}, "value": [None]},
        _value([STATUS | {"confirmationStatus": "x"}]),
        _value([{"slot": 1, "confirmationStatus": "finalized"}]),
        _value([STATUS | {"slot": None}]),
    ],
)
def test_a_doubtful_status_is_malformed(result: Any) -> None:
    with pytest.raises(MALFORMED):
        rpc_answers.parse_statuses(1)(result)


@pytest.mark.parametrize("blockhash", [5, "", "0OIl", "abc", None, ["x"], "1" * 33])
def test_a_doubtful_blockhash_is_malformed(blockhash: Any) -> None:
    with pytest.raises(MALFORMED):
        rpc_answers.parse_blockhash(_value(BLOCKHASH | {"blockhash": blockhash}))


@pytest.mark.parametrize(
    "change",
    [
        {"data": ["A", "base64"]},
        {"data": ["A*==", "base64"]},
        {"data": []},
        {"data": None},
        {"owner": "0OIl"},
        {"owner": None},
        {"lamports": -1},
    ],
)
def test_a_doubtful_account_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MALFORMED):
        rpc_answers.parse_account(_value(ACCOUNT | change))
