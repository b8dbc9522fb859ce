"""``neurogrid audit``."""

from datetime import datetime
from pathlib import Path
from typing import Literal

import click
import msgspec

from .billing import FILE, write_to
from .session import Session, with_session

_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.command()
@click.option("--from", "first", type=_MOMENT, metavar="TIME", help="In your time zone.")
@click.option("--to", "last", type=_MOMENT, metavar="TIME", help="Likewise; now, if left out.")
@click.option("--type", type=click.Choice(["task", "api", "system"]), help="Only these.")
@click.option("--level", type=click.Choice(["info", "warning", "error"]), help="Only these.")
@click.option("-o", "--output", "file", type=FILE, default="-", help="A file; - for here.")
@with_session
def audit(
    session: Session,
    *,
    first: datetime | None,
    last: datetime | None,
    type: Literal["task", "api", "system"] | None,
    level: Literal["info", "warning", "error"] | None,
    file: Path,
) -> None:
    """Export who changed what of your account, newest first, one JSON object a line."""
    records = session.client.audit.export(
        start_time=first and first.astimezone(),
        end_time=last and last.astimezone(),
        type=type,
        level=level,
    )
    write_to(file, (msgspec.json.encode(record) + b"\n" for record in records))
