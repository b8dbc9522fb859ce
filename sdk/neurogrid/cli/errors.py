"""``neurogrid errors list | show | resolve``: what failed, and what was done about it."""

from typing import get_args

import click

from ..models.error_log import LoggedError, Severity
from .durations import Duration
from .output import age, print_fields, print_json, print_table, printable, when
from .session import Session, with_session

_SEVERITIES: tuple[Severity, ...] = get_args(Severity)
# What the API counts timeframes in.
_FACTORS = {"d": 86_400, "h": 3_600, "m": 60}
_TIMEFRAME_MAX = 9_999
_WORDS_MAX = 2_000

_everybodys = click.option(
    "--all-accounts",
    "everybodys",
    is_flag=True,
    help="Of all accounts, and bugs; needs a key with the role operator.",
)


@click.group()
def errors() -> None:
    """See what failed of your tasks, and write down what you did about it.

    ERROR is an error's id. What is in the log and for how long: docs/audit.md.
    """


@errors.command("list")
@click.option("--task", "task_id", metavar="TASK", help="Only of this task.")
@click.option("--severity", type=click.Choice(_SEVERITIES), help="Only these.")
@click.option("--since", "since_s", type=Duration(), help="How far back: 30m, 24h, 7d ...")
@click.option("--open", "resolved", flag_value=False, type=bool, help="Only unresolved ones.")
@click.option("--resolved", "resolved", flag_value=True, type=bool, help="Only resolved ones.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@_everybodys
@with_session
def list_errors(
    session: Session,
    *,
    task_id: str | None,
    severity: Severity | None,
    since_s: int | None,
    resolved: bool | None,
    limit: int,
    offset: int,
    everybodys: bool,
) -> None:
    """List what failed, newest first."""
    page = session.client.error_log.list(
        task_id=task_id,
        severity=severity,
        timeframe=None if since_s is None else timeframe(since_s),
        resolved=resolved,
        limit=limit,
        offset=offset,
        everybodys=everybodys,
    )
    if session.as_json:
        print_json(page)
        return
    if not page.errors:
        click.echo("Nothing that failed fits.", err=True)
        return
    print_table(
        ("ID", "SEVERITY", "CODE", "AGE", "RESOLVED", "TASK", "MESSAGE"),
        (
            (
                each.id,
                each.severity,
                each.code,
                age(each.timestamp),
                "yes" if each.resolution is not None else "no",
                each.task_id or "-",
                each.message,
            )
            for each in page.errors
        ),
    )
    if page.total > offset + len(page.errors):
        click.echo(f"{page.total} in all; --offset {offset + limit} shows more.", err=True)


@errors.command("show")
@click.argument("error_id", metavar="ERROR")
@_everybodys
@with_session
def show_error(session: Session, *, error_id: str, everybodys: bool) -> None:
    """Show an error with all that is known of it."""
    _print_error(session, session.client.error_log.get(error_id, everybodys=everybodys))


@errors.command("resolve")
@click.argument("error_id", metavar="ERROR")
@click.argument("words", required=False)
@click.option("--undo", is_flag=True, help="Take back what was said: it is open again.")
@_everybodys
@with_session
def resolve_error(
    session: Session, *, error_id: str, words: str | None, undo: bool, everybodys: bool
) -> None:
    """Write down in WORDS what you found out or did; again to say it otherwise."""
    if undo == (words is not None):
        raise click.UsageError('say what was done, as in: resolve ERROR "rebuilt it", or --undo')
    if words is not None and not 0 < len(words) <= _WORDS_MAX:
        raise click.UsageError(f"WORDS: 1 to {_WORDS_MAX} characters")
    log = session.client.error_log
    _print_error(session, log.resolve(error_id, words, everybodys=everybodys))


def timeframe(seconds: int) -> str:
    """As the API has it, in its largest unit that divides it; what is no whole minute is rounded up.

    Raises:
        click.UsageError: it is nothing, or more than the API takes.
    """
    minutes = -(-seconds // 60) * 60
    for unit, factor in _FACTORS.items():
        if minutes % factor == 0 and 0 < minutes // factor <= _TIMEFRAME_MAX:
            return f"{minutes // factor}{unit}"
    raise click.UsageError(f"--since: more than nothing, and at most {_TIMEFRAME_MAX}d")


def _print_error(session: Session, error: LoggedError) -> None:
    if session.as_json:
        print_json(error)
        return
    print_fields(
        [
            ("id", error.id),
            ("when", when(error.timestamp)),
            ("severity", error.severity),
            ("code", error.code),
            ("message", error.message),
            ("task", error.task_id),
            ("account", error.account_id),
            *((name, f"{value}") for name, value in error.context.items() if value is not None),
            ("resolution", error.resolution or "none yet"),
            ("resolved", when(error.resolved_at)),
        ]
    )
    for line in error.stack.splitlines():
        click.echo(f"    {printable(line)}")
