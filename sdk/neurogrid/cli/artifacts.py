"""``neurogrid artifacts``: the account's files, by their hash."""

import re

import click

from .output import print_json
from .session import Session, with_session

_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


@click.group()
def artifacts() -> None:
    """Delete files that you have uploaded. `neurogrid outputs` fetches what tasks have written."""


@artifacts.command()
@click.argument("hashes", metavar="SHA256...", nargs=-1, required=True)
@with_session
def delete(session: Session, *, hashes: tuple[str, ...]) -> None:
    """Delete uploaded files, by their hash, as `sha256sum` prints it.

    What something still needs (a task that has not ended, a batch, a schedule, a file of `/v1/files`, a model) is refused, and the
    files after it are left alone.
    """
    for each in hashes:
        if not _HASH.fullmatch(each):
            raise click.UsageError(f"SHA256: {each[:80]!r} is no hash of 64 lower-case hex digits")
    for each in hashes:
        session.client.artifacts.delete(each)
        if not session.as_json:
            click.echo(f"{each} deleted")
    if session.as_json:
        print_json({"deleted": list(hashes)})
