"""``neurogrid apps``: applications that act for accounts by OAuth 2."""

import click

from ..models import KeyScope
from ..models.applications import Application, NewApplication
from .output import age, print_fields, print_json, print_table, printable, when
from .session import Session, with_session

_SCOPES: tuple[KeyScope, ...] = ("read", "write", "keys")


@click.group()
def apps() -> None:
    """Register applications, and see what you allow them.

    Needs a key with the scope keys, as an account's first has. APP is an application's client id. What an
    application does with it: docs/oauth.md.
    """


@apps.command("list")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_apps(session: Session, *, limit: int, offset: int) -> None:
    """List the applications that you have registered, newest first."""
    page = session.client.applications.list(limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    if not page.clients:
        click.echo("You have registered none here.", err=True)
        return
    print_table(
        ("APP", "SECRET", "SCOPES", "ROLES", "AGE", "ENDS", "NAME"),
        (
            (
                each.client_id,
                "yes" if each.confidential else "none",
                ",".join(each.scopes),
                ",".join(each.roles),
                age(each.created_at),
                when(each.expires_at) or "never",
                each.name,
            )
            for each in page.clients
        ),
    )
    _say_if_more(page.total, offset, limit, len(page.clients))


@apps.command("create")
@click.option("--name", required=True, help="What owners of accounts are shown.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(_SCOPES),
    multiple=True,
    default=("read",),
    show_default=True,
    help="What it may do at most; may be repeated.",
)
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    metavar="URI",
    help="Where answers may be sent; may be repeated. None for an application of your own account alone.",
)
@click.option(
    "--public",
    is_flag=True,
    help="Others can read its code, as a page's or an app's: it gets no secret.",
)
@with_session
def create_app(
    session: Session,
    *,
    name: str,
    scopes: tuple[KeyScope, ...],
    redirect_uris: tuple[str, ...],
    public: bool,
) -> None:
    """Register an application. Its id and secret go to standard output, this once.

    They come as NEUROGRID_CLIENT_ID=... and NEUROGRID_CLIENT_SECRET=..., which the SDK and this command read
    in place of an API key.
    """
    made = session.client.applications.register(
        name, scopes=scopes, redirect_uris=redirect_uris, confidential=not public
    )
    _print_made(session, made)


@apps.command("show")
@click.argument("client_id", metavar="APP")
@with_session
def show_app(session: Session, *, client_id: str) -> None:
    """Show an application."""
    _print_app(session, session.client.applications.get(client_id))


@apps.command("rotate")
@click.argument("client_id", metavar="APP")
@with_session
def rotate_app(session: Session, *, client_id: str) -> None:
    """Give an application another secret. The one before goes on for a day.

    It goes to standard output as `create` has it, this once.
    """
    _print_made(session, session.client.applications.rotate_secret(client_id))
    if not session.as_json:
        click.echo("The secret of before ends in a day.", err=True)


@apps.command("delete")
@click.argument("client_ids", metavar="APP...", nargs=-1, required=True)
@with_session
def delete_apps(session: Session, *, client_ids: tuple[str, ...]) -> None:
    """End applications, with every token that they have of anybody."""
    deleted: list[Application] = []
    for client_id in client_ids:
        deleted.append(session.client.applications.delete(client_id))
        if not session.as_json:
            click.echo(f"{client_id} deleted")
    if session.as_json:
        print_json(deleted)


@apps.command("grants")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_grants(session: Session, *, limit: int, offset: int) -> None:
    """List what you allow applications, yours and others', newest first."""
    page = session.client.applications.list_grants(limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    if not page.grants:
        click.echo("You allow no application anything.", err=True)
        return
    print_table(
        ("GRANT", "SCOPES", "ROLES", "AGE", "ENDS", "APP", "NAME"),
        (
            (
                each.id,
                ",".join(each.scopes),
                ",".join(each.roles),
                age(each.created_at),
                when(each.expires_at),
                each.client_id,
                each.name,
            )
            for each in page.grants
        ),
    )
    _say_if_more(page.total, offset, limit, len(page.grants))


@apps.command("revoke")
@click.argument("grant_ids", metavar="GRANT...", nargs=-1, required=True)
@with_session
def revoke_grants(session: Session, *, grant_ids: tuple[str, ...]) -> None:
    """Take back what you allow applications; repeating is harmless."""
    for grant_id in grant_ids:
        session.client.applications.end_grant(grant_id)
        if not session.as_json:
            click.echo(f"{grant_id} taken back")
    if session.as_json:
        print_json([{"id": grant_id} for grant_id in grant_ids])


def _say_if_more(total: int, offset: int, limit: int, shown: int) -> None:
    if total > offset + shown:
        click.echo(f"{total} in all; --offset {offset + limit} shows more.", err=True)


def _print_made(session: Session, made: NewApplication) -> None:
    if session.as_json:
        print_json(made)
        return
    click.echo(f"NEUROGRID_CLIENT_ID={made.client_id}")
    if made.client_secret is None:
        click.echo(f"{printable(made.name)!r} is public: it has no secret.", err=True)
        return
    click.echo(f"NEUROGRID_CLIENT_SECRET={made.client_secret}")
    ends = when(made.expires_at) or "never"
    click.echo(
        f"{printable(made.name)!r} ends: {ends}. The secret is not shown again; `neurogrid apps rotate` makes another.",
        err=True,
    )


def _print_app(session: Session, app: Application) -> None:
    if session.as_json:
        print_json(app)
        return
    print_fields(
        [
            ("app", app.client_id),
            ("name", app.name),
            ("secret", "yes" if app.confidential else "none: it is public"),
            ("scopes", ", ".join(app.scopes)),
            ("acts as", ", ".join(app.roles)),
            *(("answers to", uri) for uri in app.redirect_uris),
            ("made", when(app.created_at)),
            ("ends", when(app.expires_at) or "never"),
        ]
    )
