"""What is typed on the command line as people write it: amounts, times, shares, addresses."""

import re
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.slashing import ProvenFault

if TYPE_CHECKING:
    from solders.pubkey import Pubkey

_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_U64_MAX = 2**64 - 1


class Usdc(click.ParamType[int]):
    """``12.5`` becomes 12,500,000 micro-USDC."""

    name = "USDC"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        micro = _whole(value, 6)
        if micro is None or not 0 <= micro <= _U64_MAX:
            self.fail(f"{value!r} is not an amount with at most six decimals", param, ctx)
        return micro


class Percent(click.ParamType[int]):
    """``2.5`` becomes 250 basis points."""

    name = "PERCENT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        basis_points = _whole(value, 2)
        if basis_points is None or not 0 <= basis_points <= 10_000:
            self.fail(f"{value!r} is not a share of 0 to 100 with at most two decimals", param, ctx)
        return basis_points


class Duration(click.ParamType[int]):
    """``7d``, ``36h``, ``90m`` or ``30s`` become seconds."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,9})([smhd])", value)
        if found is None:
            self.fail(f"{value!r} is not a duration, such as 7d, 36h, 90m or 30s", param, ctx)
        return int(found[1]) * _UNIT_S[found[2]]


class ProvenFaultName(click.ParamType[str]):
    """``wrong-result``: a fault that stake can be taken for; the endings of a job are none."""

    name = "FAULT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        proven = [_typed(fault.name) for fault in ProvenFault]
        if value in proven:
            return str(value)
        if value in {_typed(outcome.name) for outcome in Outcome}:
            self.fail(
                f"FAULT_NOT_PROVEN: {value} happens to the honest too, and slashes nobody; what"
                f" slashes: {', '.join(proven)}",
                param,
                ctx,
            )
        self.fail(f"{value!r} is not one of {', '.join(proven)}", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join(_typed(fault.name) for fault in ProvenFault)}]"


def _typed(name: str) -> str:
    return name.lower().replace("_", "-")


class Moment(click.ParamType[int]):
    """``2027-01-31T12:00+01:00`` becomes Unix seconds; without a zone it is the reader's own."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return int(datetime.fromisoformat(value).timestamp())
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time, such as 2027-01-31T12:00", param, ctx)


class Address(click.ParamType["Pubkey"]):
    """An address in Base58."""

    name = "ADDRESS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Pubkey":
        from solders.pubkey import Pubkey

        if isinstance(value, Pubkey):
            return value
        try:
            return Pubkey.from_string(value)
        except ValueError as error:
            self.fail(f"{value!r} is not an address: {error}", param, ctx)


def _whole(text: str, decimals: int) -> int | None:
    """A decimal number in units of its last allowed decimal; None if it has more, or is none."""
    try:
        scaled = Decimal(text).scaleb(decimals)
        return int(scaled) if scaled == scaled.to_integral_value() else None
    except (InvalidOperation, ValueError, OverflowError):
        return None
