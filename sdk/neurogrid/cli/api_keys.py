"""``neurogrid api-keys list | create | rotate | revoke``."""

from typing import Literal

import click

from ..models import ApiKey, KeyScope, NewApiKey
from ..models.api_keys import KeyRole
from .durations import Duration
from .output import age, print_json, print_table, printable, when
from .session import Session, with_session

_SCOPES: tuple[KeyScope, ...] = ("read", "write", "keys")
_ROLES: tuple[KeyRole, ...] = ("client", "provider", "operator")


@click.group("api-keys")
def api_keys() -> None:
    """List, create, rotate and revoke your API keys.

    Needs a key with the scope keys, as an account's first has. KEY is a key's id, or `current` for the
    one that NEUROGRID_API_KEY holds.
    """


@api_keys.command("list")
@click.option("--state", type=click.Choice(("active", "expired", "revoked")))
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_api_keys(
    session: Session,
    *,
    state: Literal["active", "expired", "revoked"] | None,
    limit: int,
    offset: int,
) -> None:
    """List your keys, newest first; * is the one that asks."""
    page = session.client.api_keys.list(state=state, limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    print_table(
        ("ID", "", "BEGINS", "SCOPES", "ROLES", "STATE", "AGE", "USED", "ENDS", "NAME"),
        (
            (
                key.id,
                "*" if key.current else "",
                key.hint,
                ",".join(key.scopes),
                ",".join(key.roles),
                key.state,
                age(key.created_at),
                age(key.last_used_at) if key.last_used_at else "never",
                when(key.expires_at) or "never",
                key.name,
            )
            for key in page.api_keys
        ),
    )
    if page.total > offset + len(page.api_keys):
        click.echo(f"{page.total} in all; --offset {offset + limit} shows more.", err=True)


@api_keys.command("create")
@click.option("--name", required=True, help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(_SCOPES),
    multiple=True,
    default=("read", "write"),
    show_default=True,
    help="What it may do; may be repeated.",
)
@click.option(
    "--role",
    "roles",
    type=click.Choice(_ROLES),
    multiple=True,
    help="What it acts as; may be repeated. As your own key by default, but never as operator.",
)
@click.option(
    "--expires-in", type=Duration(), help="90d, 12h ...; as long as your own key by default."
)
@click.option("--idempotency-key", help="The same key with the same options is the same API key.")
@with_session
def create_api_key(
    session: Session,
    *,
    name: str,
    scopes: tuple[KeyScope, ...],
    roles: tuple[KeyRole, ...],
    expires_in: int | None,
    idempotency_key: str | None,
) -> None:
    """Make a key. Its secret alone goes to standard output, this once."""
    made = session.client.api_keys.create(
        name,
        scopes=scopes,
        expires_in_s=expires_in,
        idempotency_key=idempotency_key,
        roles=roles or None,
    )
    _print_made(session, made)


@api_keys.command("rotate")
@click.argument("key_id", metavar="KEY")
@click.option("--grace", type=Duration(), help="How long the old key goes on, 60s to 7d [1d].")
@click.option(
    "--expires-in", type=Duration(), help="90d, 12h ...; when the old one would have by default."
)
@click.option("--idempotency-key", help="The same key with the same options is the same API key.")
@with_session
def rotate_api_key(
    session: Session,
    *,
    key_id: str,
    grace: int | None,
    expires_in: int | None,
    idempotency_key: str | None,
) -> None:
    """Make a key in place of another, which ends after a while.

    The new secret alone goes to standard output, this once.
    """
    made = session.client.api_keys.rotate(
        key_id, grace_s=grace, expires_in_s=expires_in, idempotency_key=idempotency_key
    )
    _print_made(session, made)
    if not session.as_json:
        click.echo(f"{made.replaces.id} ends {when(made.replaces.expires_at)}.", err=True)


@api_keys.command("revoke")
@click.argument("key_ids", metavar="KEY...", nargs=-1, required=True)
@with_session
def revoke_api_keys(session: Session, *, key_ids: tuple[str, ...]) -> None:
    """End keys at once; repeating is harmless."""
    revoked: list[ApiKey] = []
    for key_id in key_ids:
        revoked.append(session.client.api_keys.revoke(key_id))
        if not session.as_json:
            click.echo(f"{revoked[-1].id} {revoked[-1].state}")
    if session.as_json:
        print_json(revoked)


def _print_made(session: Session, made: NewApiKey) -> None:
    if session.as_json:
        print_json(made)
        return
    if made.secret is None:
        raise click.ClickException(
            f"{made.id} was made by this request before, and has been used: its secret is not shown "
            "again. Where it is lost, revoke it and make another with a new --idempotency-key"
        )
    click.echo(made.secret)
    ends = when(made.expires_at) or "never"
    click.echo(
        f"{made.id} {printable(made.name)!r} ends: {ends}. The secret is not shown again.", err=True
    )
