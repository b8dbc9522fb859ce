"""Days as the API takes them."""

from datetime import date

Day = str | date


def days(start: Day | None, end: Day | None) -> dict[str, str]:
    """The parameters of a time from one day to another, the last included; None: as the server has it."""
    named = {"start_date": start, "end_date": end}
    return {name: str(day) for name, day in named.items() if day is not None}
