"""``account | key``: who may use this coordinator."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from . import options
from .options import fail, now_ms

_MS_PER_DAY = 86_400_000
# As in store/accounts.py, which is not imported for `--help`.
_SCOPES = ("read", "write", "keys")
_USUAL_SCOPES = ("read", "write")
_ROLES = ("client", "provider", "operator")
_USUAL_ROLES = ("client", "provider")

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def _roles(help_text: str, *, required: bool = False) -> Callable[[F], F]:
    return click.option(
        "--role",
        "roles",
        type=click.Choice(_ROLES),
        multiple=True,
        required=required,
        default=None if required else _USUAL_ROLES,
        show_default=not required,
        help=f"{help_text}; may be repeated.",
    )


def _in_order(roles: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(role for role in _ROLES if role in roles)


@click.group()
def account() -> None:
    """Clients of this coordinator."""


@account.command("create")
@options.directory
@click.option("--name", required=True, help="What the client is called.")
@click.option("--wallet", required=True, help="Solana address whose deposit pays.")
@_roles("What its keys may act as at most")
@options.as_json
def account_create(
    directory: Path, name: str, wallet: str, roles: tuple[str, ...], as_json: bool
) -> None:
    """Make an account and its first API key, which may make others. It is shown this once."""
    from neurogrid_marketplace.errors import InvalidValue
    from neurogrid_marketplace.identity import address_bytes

    from ..store import accounts

    try:
        address_bytes(wallet)
    except InvalidValue as error:
        fail(str(error))

    def create(conn: Any) -> tuple[accounts.Account, accounts.IssuedKey]:
        made = accounts.create(conn, name, wallet, now_ms(), _in_order(roles))
        return made, accounts.issue_key(
            conn, made.id, "first", accounts.FIRST_KEY_SCOPES, now_ms(), roles=made.roles
        )

    made, key = _write(directory, create)
    if as_json:
        click.echo(
            json.dumps({"account_id": made.id, "api_key": key.secret, "key_id": key.api_key.id})
        )
    else:
        click.echo(f"account  {made.id}\nkey      {key.secret}\n\nThe key is not shown again.")


@account.command("list")
@options.directory
@options.as_json
def account_list(directory: Path, as_json: bool) -> None:
    """All accounts."""
    from ..store import accounts

    found = _write(directory, accounts.list_all)
    if as_json:
        rows = [
            {"id": item.id, "name": item.name, "wallet": item.wallet, "roles": list(item.roles)}
            for item in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    for item in found:
        click.echo(f"{item.id}  {item.wallet}  {','.join(item.roles)}  {item.name}")


@account.command("roles")
@options.directory
@click.argument("account_id")
@_roles("What its keys may act as at most", required=True)
def account_roles(directory: Path, account_id: str, roles: tuple[str, ...]) -> None:
    """Say what an account may act as. A key that acts as more loses that within a second."""
    from ..store import accounts

    _write(directory, lambda conn: accounts.set_roles(conn, account_id, _in_order(roles)))
    click.echo(f"{account_id} may act as {', '.join(_in_order(roles))}")


@account.command("tier")
@options.directory
@click.argument("account_id")
@click.argument("tier")
def account_tier(directory: Path, account_id: str, tier: str) -> None:
    """Say how many requests an account may send: a tier of coordinator.toml, or "" for the default one."""
    from ..config import CONFIG_NAME, ConfigError, load_config
    from ..store import account_limits, accounts

    try:
        tiers = load_config(directory / CONFIG_NAME).requests.rules.tiers
    except ConfigError as error:
        fail(str(error))
    if tier and tier not in tiers:
        fail(f"[requests] tiers of coordinator.toml has no {tier}; it has {', '.join(tiers)}")

    def give(conn: Any) -> None:
        if accounts.get(conn, account_id) is None:
            raise LookupError(f"there is no account {account_id}")
        account_limits.set_tier(conn, account_id, tier)

    _write(directory, give)
    click.echo(f"{account_id} has the tier {tier or 'by default'}")


@click.group()
def key() -> None:
    """API keys."""


@key.command("create")
@options.directory
@click.option("--account", "account_id", required=True, help="Account id.")
@click.option("--name", default="key", show_default=True, help="What the key is for.")
@click.option("--days", type=click.IntRange(min=1), help="Days until it expires; never by default.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(_SCOPES),
    multiple=True,
    default=_USUAL_SCOPES,
    show_default=True,
    help="What it may do; may be repeated. With keys it may make others.",
)
@_roles("What it acts as, as far as its account does")
@options.as_json
def key_create(
    directory: Path,
    account_id: str,
    name: str,
    days: int | None,
    scopes: tuple[str, ...],
    roles: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make another key. It is shown this once."""
    from ..store import accounts

    expires_ms = now_ms() + days * _MS_PER_DAY if days else None
    issued = _write(
        directory,
        lambda conn: accounts.issue_key(
            conn,
            account_id,
            name,
            tuple(scope for scope in accounts.SCOPES if scope in scopes),
            now_ms(),
            expires_ms,
            roles=_in_order(roles),
        ),
    )
    if as_json:
        click.echo(json.dumps({"api_key": issued.secret, "key_id": issued.api_key.id}))
    else:
        click.echo(f"key  {issued.secret}\n\nIt is not shown again. Its id is {issued.api_key.id}.")


@key.command("revoke")
@options.directory
@click.argument("key_id")
def key_revoke(directory: Path, key_id: str) -> None:
    """End a key at once."""
    from ..store import accounts

    if not _write(directory, lambda conn: accounts.revoke_key(conn, key_id, now_ms())):
        fail(f"there is no key {key_id}, or it is revoked already")
    click.echo(f"{key_id} is revoked")


def _write(directory: Path, fn: Callable[[Any], T]) -> T:
    """One transaction on the coordinator's database; it may be running."""
    import asyncio

    from ..config import ConfigError
    from ..setup import database_place
    from ..store import audit
    from ..store.accounts import WalletTaken
    from ..store.away import DatabaseInUse, Overloaded, ServerUnfit
    from ..store.database import Database

    async def go() -> T:
        async with Database.open(database_place(directory)) as database:
            audit.act(_command())
            return await database.write(fn)

    if not directory.is_dir():
        fail(f"{directory} does not exist: run `neurogrid-coordinator init` first")
    try:
        return asyncio.run(go())
    except (WalletTaken, LookupError, ConfigError, OSError) as error:
        fail(str(error))
    except (Overloaded, DatabaseInUse, ServerUnfit) as error:
        fail(str(error))


def _command() -> Any:
    """What the audit log says of the operator's command: as it was typed, without where its files are."""
    from ..store.audit import Acting

    context = click.get_current_context()
    given = {name: str(value) for name, value in context.params.items() if value is not None}
    given.pop("directory", None)
    return Acting("system", "warning", None, context.command_path, dict(given))
