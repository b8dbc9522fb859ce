"""``models checks | forgive``: what was seen of nodes that serve models, and letting one serve again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from . import options
from .options import fail, now_ms

if TYPE_CHECKING:
    from ..store.model_checks import CheckRow, SuspicionRow

T = TypeVar("T")


@click.command("checks")
@options.directory
@click.option("--node", default="", help="A node's peer id: its checks alone.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@options.as_json
def models_checks(directory: Path, node: str, limit: int, as_json: bool) -> None:
    """Show what checks of answers have come to, by node and model, and the newest ones; --json has the evidence, too.

    Exit code 1 if a node is charged with something.
    """
    from ..store import model_checks as store

    known, checks = _on_database(
        directory,
        lambda conn: (
            [each for each in store.suspicions(conn) if node in ("", each.node_id)],
            store.newest(conn, limit, node),
        ),
    )
    at_ms = now_ms()
    if as_json:
        nodes = [_node(each, at_ms) for each in known]
        click.echo(
            json.dumps({"nodes": nodes, "checks": [_check(each) for each in checks]}, indent=2)
        )
    else:
        if not known and not checks:
            click.echo("Nothing was checked: see [models] check_percent in coordinator.toml.")
        for each in known:
            _show(each, at_ms)
        for check in checks:
            others = ", ".join(check.others)
            click.echo(
                f"{check.id}  {check.model}  {check.judged.value:<9}  {check.node_id}  by {others}"
            )
    if any(each.is_charged(at_ms) for each in known):
        raise SystemExit(options.EXIT_DIFFERENT)


@click.command("forgive")
@options.directory
@click.argument("node")
@click.argument("model")
def models_forgive(directory: Path, node: str, model: str) -> None:
    """Let NODE serve MODEL again, with nothing that speaks against it."""
    from ..store import model_checks as store

    words = f"neurogrid-coordinator models forgive {node} {model}"
    if not _on_database(directory, lambda conn: store.forgive(conn, node, model), words):
        fail(f"{node} is not charged with anything about {model}")
    click.echo(f"{node} may serve {model} again")


def _node(row: "SuspicionRow", at_ms: int) -> dict[str, Any]:
    known = row.suspicion
    return {
        "node_id": row.node_id,
        "model": row.model,
        "wallet": row.wallet,
        "checks": known.checks,
        "against": known.against,
        "substitutes_nats": round(known.substitutes, 3),
        "shortens_nats": round(known.shortens, 3),
        "overcounts_nats": round(known.overcounts, 3),
        "accounts_against": len(known.accounts),
        "charge": row.charge.value if row.charge is not None and row.is_charged(at_ms) else None,
        "charged_at_ms": row.charged_at_ms,
    }


def _check(row: "CheckRow") -> dict[str, Any]:
    import msgspec

    return {
        **msgspec.to_builtins(row),
        "evidence_json": None,
        "evidence": None if row.evidence_json is None else json.loads(row.evidence_json),
    }


def _show(row: "SuspicionRow", at_ms: int) -> None:
    from ..store.model_checks import CHARGE_LASTS_MS

    known = row.suspicion
    line = f"{row.node_id}  {row.model}  {known.checks} checks, {known.against} against it"
    if row.charge is not None and row.charged_at_ms is not None and row.is_charged(at_ms):
        days = -(-(row.charged_at_ms + CHARGE_LASTS_MS - at_ms) // 86_400_000)
        line += f"  it {row.charge.value}: not chosen for {days} days, or until it is forgiven"
    elif known.exceeds is not None:
        line += f"  it {known.exceeds.value}, by one account's requests: nothing follows of itself"
    elif known.is_raised:
        line += "  in doubt"
    click.echo(line)


def _on_database(directory: Path, fn: Callable[[Any], T], changes: str = "") -> T:
    """Read; or write what the audit log has in these words."""
    import asyncio

    from ..config import ConfigError
    from ..setup import database_place
    from ..store import audit
    from ..store.away import DatabaseInUse, Overloaded, ServerUnfit
    from ..store.database import Database

    async def go() -> T:
        async with Database.open(database_place(directory)) as database:
            if not changes:
                return await database.read(fn)
            audit.act(audit.Acting("system", "warning", None, changes))
            return await database.write(fn)

    if not directory.is_dir():
        fail(f"{directory} does not exist: run `neurogrid-coordinator init` first")
    try:
        return asyncio.run(go())
    except (ConfigError, OSError, Overloaded, DatabaseInUse, ServerUnfit) as error:
        fail(str(error))
