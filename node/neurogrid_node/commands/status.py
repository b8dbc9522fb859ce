"""`neurogrid-node status`: what the running node is doing."""

import json
import sys
import time
from pathlib import Path

import click

from neurogrid_marketplace.money import format_usdc

from . import options
from .exits import NOT_RUNNING
from .inventory import gpu_lines
from .standing import standing


@click.command()
@options.directory
@options.json_output
def status(directory: Path, as_json: bool) -> None:
    """What the running node is doing. Exit code 3 if none runs."""
    from ..status import read_status
    from .running import running

    if as_json:
        # As it is, by whichever version it was written.
        document = read_status(directory)
        click.echo(json.dumps(document, indent=2) if document is not None else "null")
        if document is None:
            sys.exit(NOT_RUNNING)
        return
    _print_status(running(directory))


def _print_status(document: dict[str, object]) -> None:
    def number(name: str) -> int:
        value = document[name]
        assert isinstance(value, int), "our own file"
        return value

    def rows(name: str) -> list[dict[str, object]]:
        value = document[name]
        assert isinstance(value, list), "our own file"
        return value

    word, no_new_work = document["word"], document["no_new_work"]
    assert isinstance(word, dict), "our own file"
    assert isinstance(no_new_work, str), "our own file"
    now = standing(word, no_new_work, len(rows("leases")))
    click.echo(f"node      {document['peer_id']} ({now})")
    click.echo(f"machine   {document['summary']}")
    click.echo(f"wallet    {document['wallet']}")
    click.echo(
        f"money     {format_usdc(number('staked_micro_usdc'))} USDC staked, "
        f"{format_usdc(number('earned_micro_usdc'))} USDC earned in {number('leases_paid')} leases"
    )
    if document["earnings_differ"]:
        click.echo(
            f"look      journal and chain differ in {document['earnings_differ']}: see the log"
        )
    if document["stake_problem"]:
        click.echo(f"stake     no new work: {document['stake_problem']}")
    click.echo(
        f"free      {number('cpu_millis_free') / 1000:g} of {number('cpu_millis_total') / 1000:g} "
        f"cores, {number('memory_bytes_free') / 2**30:.1f} of "
        f"{number('memory_bytes_total') / 2**30:.1f} GiB"
    )
    machine = document["inventory"]
    assert isinstance(machine, dict), "our own file"
    for line in gpu_lines(machine):
        click.echo(line)
    for row in rows("unproved"):
        next_ms = row["next_ms"]
        assert isinstance(next_ms, int), "our own file"
        again = time.strftime("%H:%M:%S", time.localtime(next_ms / 1000))
        when = f", tried again at {again}" if row["tries"] else ""
        click.echo(
            f"unproved  {row['what']}, so not offered: {row['message']} ({row['code']}{when})"
        )
    for row in rows("mended"):
        at_ms = row["at_ms"]
        assert isinstance(at_ms, int), "our own file"
        at = time.strftime("%H:%M:%S", time.localtime(at_ms / 1000))
        click.echo(f"mended    {row['code']} of {row['about']} at {at}: see docs/inventory.md")
    reached_at = document["reached_at"]
    assert isinstance(reached_at, list), "our own file"
    for address in reached_at:
        click.echo(f"reached   at {address}")
    for row in rows("coordinators"):
        state = "connected" if row["connected"] else "not connected"
        if row["found_by"]:
            state += f", found by {row['found_by']}"
        click.echo(f"serves    {row['peer_id']} ({state})")
    for row in rows("leases"):
        metered_ms = row["metered_ms"]
        assert isinstance(metered_ms, int), "our own file"
        stops_at_ms = row["stops_at_ms"]
        assert isinstance(stops_at_ms, int), "our own file"
        until = time.strftime("%H:%M:%S", time.localtime(stops_at_ms / 1000))
        reclaimed = f", reclaimed: stopped at {until}" if stops_at_ms else ""
        network = ""
        if row["network_bytes"] is not None:
            network = f", {row['network_bytes']} bytes by network"
            network += f", refused {row['network_refused']} times" if row["network_refused"] else ""
        click.echo(
            f"lease     {row['lease_id']} {row['phase']}, {metered_ms / 1000:.1f} s metered"
            f"{reclaimed}{network}"
        )
