"""Amounts, shares, times and addresses as people type them, and as they are printed."""

import re
from typing import Any

import click
import pytest

from neurogrid_contracts.cli.values import Address, Duration, Moment, Percent, Usdc
from neurogrid_contracts.terminal.output import duration, percent, sol, usdc, when

READ: list[tuple[click.ParamType[Any], str, int]] = [
    (Usdc(), "12.5", 12_500_000),
    (Usdc(), "0.000001", 1),
    (Usdc(), "0", 0),
    (Usdc(), "18446744073709.551615", 2**64 - 1),
    (Percent(), "2.5", 250),
    (Percent(), "0.01", 1),
    (Percent(), "100", 10_000),
    (Duration(), "7d", 604_800),
    (Duration(), "36h", 129_600),
    (Duration(), "90m", 5_400),
    (Duration(), "30s", 30),
    (Moment(), "2027-01-31T12:00+01:00", 1_801_393_200),
    (Moment(), "2027-01-31T11:00Z", 1_801_393_200),
]
REFUSED: list[tuple[click.ParamType[Any], str]] = [
    *((Usdc(), text) for text in ("-1", "0.0000001", "x", "", "1e99", "inf", "nan", "1,5")),
    (Usdc(), "18446744073709.551616"),
    *((Percent(), text) for text in ("100.01", "-1", "1.234", "2.5%")),
    *((Duration(), text) for text in ("7", "d", "-1d", "1w", "1.5h", "99999999999d")),
    *((Moment(), text) for text in ("tomorrow", "", "12:00", "2027-13-01")),
    *((Address(), text) for text in ("", "0OIl", "1" * 31, "1" * 45)),
]


@pytest.mark.parametrize(("kind", "text", "value"), READ)
def test_what_people_type_is_read(kind: click.ParamType[Any], text: str, value: int) -> None:
    assert kind.convert(text, None, None) == value
    assert kind.convert(value, None, None) == value


@pytest.mark.parametrize(("kind", "text"), REFUSED)
def test_what_cannot_be_meant_is_refused(kind: click.ParamType[Any], text: str) -> None:
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)


def test_amounts_and_times_are_printed_with_their_units() -> None:
    assert [usdc(amount) for amount in (0, 10_000_000, 1, 1_250_000)] == [
        *("0.00 USDC", "10.00 USDC", "0.000001 USDC", "1.25 USDC")
    ]
    assert [sol(lamports) for lamports in (0, 5_000, 281_234_567, 10**9)] == [
        *("0.0000 SOL", "0.000005 SOL", "0.2812 SOL", "1.0000 SOL")
    ]
    assert [percent(bps) for bps in (0, 250, 10_000)] == ["0 %", "2.5 %", "100 %"]
    assert [duration(s) for s in (0, 61, 86_400, 90_000)] == ["0s", "1m 1s", "1d", "1d 1h"]
    assert when(0) == "never"
    assert re.fullmatch(r"2027-0[12]-\d\d \d\d:\d\d:00 \S+", when(1_801_393_200))
