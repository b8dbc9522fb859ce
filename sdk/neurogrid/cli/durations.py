"""Durations on the command line."""

import re
from typing import Any

import click

DURATION = re.compile(r"(\d+)([smhd]?)", re.ASCII)
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class Duration(click.ParamType[int]):
    """Seconds, or 90s, 10m, 2h, 1d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """As seconds."""
        if isinstance(value, int):
            return value
        match = DURATION.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no duration: write 90, 90s, 10m, 2h or 1d", param, ctx)
        return int(match[1]) * _UNIT_S[match[2]]
