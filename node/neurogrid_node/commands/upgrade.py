"""`neurogrid-node upgrade`: whether there is something to upgrade to, and what an upgrade does to jobs."""

import json
import sys
from pathlib import Path

import click

from . import options
from .exits import fail

_EXIT_UPGRADE = 1
_RELEASES = "there is no signed list of releases: whether there is a newer one, only who gave you this one knows"


@click.group()
def upgrade() -> None:
    """What is known of newer versions. Upgrading is pip's."""


@upgrade.command(
    epilog="""\b
Exit codes:
  0  nothing asks for an upgrade
  1  a coordinator is newer, or does not speak this node's protocol
  2  a configuration or a journal that cannot be used
"""
)
@options.directory
@options.json_output
def check(directory: Path, as_json: bool) -> None:
    """Compare this version with what the coordinators run, and say whether running jobs survive an upgrade.

    They do: jobs are the engine's, and a newer version goes on with an older one's journal. An older version
    refuses a newer one's, so there is no way back with jobs running.
    """
    import trio

    from neurogrid_marketplace import __version__
    from neurogrid_marketplace.messages import PROTOCOL_ID

    from ..config import CONFIG_NAME, ConfigError, load_config
    from ..journal import JournalError
    from ..market.welcomes import meet_coordinators
    from ..upgrade import advice, should_upgrade, standing

    try:
        config = load_config(directory / CONFIG_NAME)
        jobs = _jobs(directory)
    except (ConfigError, JournalError, OSError) as error:
        fail(str(error))
    met = trio.run(meet_coordinators, config)
    standings = [standing(__version__, each) for each in met]
    wanted = should_upgrade(standings)
    if as_json:
        document = {
            "version": __version__,
            "protocol": PROTOCOL_ID,
            "coordinators": [
                {
                    "address": each.address,
                    "software": each.software or None,
                    "standing": is_now,
                    "advice": advice(is_now, each),
                }
                for each, is_now in zip(met, standings, strict=True)
            ],
            "jobs": jobs,
            "jobs_survive": True,
            "newest_release": None,
            "upgrade": wanted,
        }
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(f"this node   {__version__}, speaks {PROTOCOL_ID}")
        for each, is_now in zip(met, standings, strict=True):
            click.echo(f"coordinator {each.address}")
            click.echo(f"            {each.software or is_now}: {advice(is_now, each)}")
        click.echo(
            f"jobs        {jobs} here; they outlive the daemon, and a newer version that is started soon "
            "goes on with them (`neurogrid-node stop` says how soon). An older one would not: drain first"
        )
        click.echo(f"releases    {_RELEASES}")
    if wanted:
        sys.exit(_EXIT_UPGRADE)


def _jobs(directory: Path) -> int:
    """How many leases the node has.

    Raises:
        JournalError: a newer version has written the journal, or it is damaged.
    """
    from ..journal import Journal
    from ..status import read_status

    document = read_status(directory)
    if document is not None:
        leases = document["leases"]
        assert isinstance(leases, list), "our own file"
        return len(leases)
    path = directory / "journal.db"
    if not path.exists():
        return 0
    journal = Journal(path)
    try:
        return len(journal.load())
    finally:
        journal.close()
