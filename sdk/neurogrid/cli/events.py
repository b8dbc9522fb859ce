"""``neurogrid events``: what happens to your account."""

import click

from ..models.events import AccountEvent
from .output import print_json, printable, when
from .session import Session, with_session


@click.command("events")
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--after", type=click.IntRange(0), help="Only what comes after this sequence.")
@click.option("--type", "types", multiple=True, help="Only these, as task.completed.")
@click.option("--limit", type=click.IntRange(1, 100), default=100, show_default=True)
@with_session
def events(
    session: Session, *, follow: bool, after: int | None, types: tuple[str, ...], limit: int
) -> None:
    """List what has happened to your account, or follow what is to come; a line each."""
    room = session.client.events
    if follow:
        for event in room.follow(after=after, types=types):
            _print(session, event)
        return
    page = room.list(after=after or 0, types=types, limit=limit)
    if page.reset:
        click.echo(f"There is no event {after}; the newest is {page.next_after}.", err=True)
    if session.as_json:
        print_json([event.fields for event in page.events])
        return
    for event in page.events:
        _print(session, event)
    if len(page.events) == limit:
        click.echo(f"--after {page.next_after} shows what came then.", err=True)


def _print(session: Session, event: AccountEvent) -> None:
    if session.as_json:
        # A line each, so that programs can read while it goes on.
        import msgspec

        click.echo(msgspec.json.encode(event.fields).decode())
        return
    about = event.fields.get("task_id") or event.fields.get("batch_id") or ""
    said = event.fields.get("message") or event.fields.get("progress_note") or ""
    line = f"{event.sequence}  {when(event.timestamp)}  {event.type}  {about}  {said}"
    click.echo(printable(line.rstrip()))
