"""``neurogrid limits show | set``: what the account lets itself spend, and how many requests it may send."""

from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import click

from ..models.figures import AccountLimits
from .output import print_fields, print_json, usdc, when
from .session import Session, with_session

_NONE: Literal["none"] = "none"

Limit = Decimal | Literal["none"]


class _LimitType(click.ParamType[Limit]):
    """A number that is not negative, or ``none``."""

    name = "limit"

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Limit:
        """As `Limit`."""
        if value == _NONE:
            return _NONE
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal(-1)
        if not number.is_finite() or number < 0 or (self._whole and number % 1):
            kind = "a whole number" if self._whole else "an amount of USDC, as 25 or 0.50,"
            self.fail(f"{value!r} is neither {kind} nor {_NONE}", param, ctx)
        return number


@click.group()
def limits() -> None:
    """See and set what your account may spend.

    A submission that could cost more than is left of it is refused; tasks that are there go on. Months are UTC's.
    The tier says how many requests you may send; the operator gives it.
    """


@limits.command("show")
@with_session
def show_limits(session: Session) -> None:
    """Show your limits, and what of them is used this month."""
    _print_limits(session, session.client.limits.get())


@limits.command("set")
@click.option(
    "--monthly-budget",
    type=_LimitType(whole=False),
    metavar="USDC|none",
    help="What all tasks may cost together in a month.",
)
@click.option(
    "--monthly-tasks",
    type=_LimitType(whole=True),
    metavar="NUMBER|none",
    help="How many tasks may be submitted in a month.",
)
@click.option(
    "--task-budget",
    type=_LimitType(whole=False),
    metavar="USDC|none",
    help="What one task may cost.",
)
@with_session
def set_limits(
    session: Session,
    *,
    monthly_budget: Limit | None,
    monthly_tasks: Limit | None,
    task_budget: Limit | None,
) -> None:
    """Change the limits that are named, and leave the rest; `none` takes one away."""
    if monthly_budget is monthly_tasks is task_budget is None:
        raise click.UsageError("name a limit: --monthly-budget, --monthly-tasks or --task-budget")
    of_account = session.client.limits
    before = of_account.get()
    tasks = _changed(
        None if before.monthly_tasks is None else Decimal(before.monthly_tasks), monthly_tasks
    )
    now = of_account.set(
        monthly_budget=_changed(before.monthly_budget, monthly_budget),
        monthly_tasks=None if tasks is None else int(tasks),
        task_budget=_changed(before.task_budget, task_budget),
    )
    _print_limits(session, now)


def _changed(before: Decimal | None, wanted: Limit | None) -> Decimal | None:
    if wanted is None:
        return before
    return None if wanted == _NONE else Decimal(wanted)


def _print_limits(session: Session, found: AccountLimits) -> None:
    if session.as_json:
        print_json(found)
        return
    rate = found.requests_per_minute
    tasks = "no limit" if found.monthly_tasks is None else f"{found.monthly_tasks}"
    print_fields(
        [
            ("monthly budget", usdc(found.monthly_budget) or "no limit"),
            ("used of it", f"{usdc(found.used.budget)}  spent or promised"),
            ("monthly tasks", tasks),
            ("used of them", f"{found.used.tasks}"),
            ("a task", usdc(found.task_budget) or "no limit"),
            ("anew from", when(found.used.until)),
            ("tier", found.tier),
            ("requests", "no limit" if rate is None else f"{rate} per minute"),
        ]
    )
