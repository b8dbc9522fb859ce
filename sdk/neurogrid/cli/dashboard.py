"""``neurogrid dashboard``."""

import sys

import click

from .output import print_json
from .session import Session, with_session


@click.command()
@click.option("--no-open", is_flag=True, help="Only print its address.")
@with_session
def dashboard(session: Session, *, no_open: bool) -> None:
    """Print the address of the coordinator's dashboard, and open it in a browser where you are at a terminal.

    It asks for an API key or your wallet; neither is passed on by this command.
    """
    url = session.client.dashboard_url
    if session.as_json:
        print_json({"url": url})
        return
    click.echo(url)
    if not no_open and sys.stdout.isatty():
        click.launch(url)
