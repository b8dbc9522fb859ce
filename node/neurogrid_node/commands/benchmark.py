"""`neurogrid-node benchmark`: how fast this machine is, and whether it is what it was."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from . import options
from .exits import fail


@click.command(
    epilog="""\b
Exit codes:
  0  measured
  1  measured, and something is slower than the last time by more than two runs differ
  2  a configuration that cannot be used, or jobs run here
"""
)
@options.directory
@click.option("--beside-jobs", is_flag=True, help="Also while jobs run: both are slower then.")
@options.json_output
def benchmark(directory: Path, beside_jobs: bool, as_json: bool) -> None:
    """Measure processor, memory, disk, GPUs, container engine and the way to a coordinator, in 20 seconds.

    Each beside what it was the last time. GPUs only while no node runs here.
    """
    from ..benchmark.figures import slower, table
    from ..benchmark.kept import keep, read_kept
    from ..benchmark.measuring import measure
    from ..config import CONFIG_NAME, ConfigError, load_config
    from ..status import read_status

    running = read_status(directory)
    if running is not None and running["leases"] and not beside_jobs:
        fail(
            "jobs run here and would be slowed: `neurogrid-node drain --wait` first, or --beside-jobs"
        )
    before = read_kept(directory)
    try:
        config = load_config(directory / CONFIG_NAME)
        say = (lambda _: None) if as_json else click.echo
        now = measure(config, directory, say, is_node_running=running is not None)
        keep(directory, now)
    except BrokenPipeError:
        raise  # nobody reads its output any more
    except (ConfigError, OSError) as error:
        fail(str(error))
    worse = slower(now, before) if before is not None else ()
    if as_json:
        document = {
            **asdict(now),
            "before": asdict(before) if before is not None else None,
            "slower": worse,
        }
        click.echo(json.dumps(document, indent=2))
    else:
        for line in table(now, before):
            click.echo(line)
    raise SystemExit(1 if worse else 0)
