"""``neurogrid devnet``: the whole market on this machine. An entry point of `neurogrid.commands`.

Loaded for every `neurogrid --help`, so it imports nothing but click until a command runs.
"""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import click

from neurogrid_node.commands.options import UsdcAmount

if TYPE_CHECKING:
    from .layout import Layout

P = ParamSpec("P")

# One machine: each node is a Python process of 80 MiB, and the engine's work besides.
_NODES_MAX = 32
# The coordinator's own limit (its config.py).
_DEAD_AFTER_MAX_S = 86_400
_READERS_MAX = 64
_REPLICA_IDLE_MIN_S, _REPLICA_IDLE_MAX_S = 1, 86_400
_EXIT_FAILED = 1
_EXIT_NOT_RUNNING = 3


def _explained(command: Callable[P, None]) -> Callable[P, None]:
    """Show a refusal as one message, not as a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from .errors import DevnetError, NotRunning

        try:
            command(*args, **kwargs)
        except DevnetError as error:
            click.echo(f"neurogrid devnet: {error}", err=True)
            sys.exit(_EXIT_NOT_RUNNING if isinstance(error, NotRunning) else _EXIT_FAILED)

    return run


def _terms(command: Callable[P, None]) -> Callable[P, None]:
    """Options for the market's terms, by the names of `terms.Terms`; a new devnet only."""
    seconds = click.IntRange(min=1)
    for option in (
        click.option(
            "--slash-bps",
            type=click.IntRange(0, 10_000),
            help="Of the stake, that one dispute may take, in 1/10000.  [default: 2000]",
        ),
        click.option(
            "--dispute-bond",
            "dispute_bond_micro_usdc",
            type=UsdcAmount(),
            help="What opening a dispute puts at stake.  [default: 1.00]",
        ),
        click.option(
            "--min-stake",
            "min_stake_micro_usdc",
            type=UsdcAmount(),
            help="Below it a provider gets no jobs.  [default: 5.00]",
        ),
        click.option(
            "--arbitration-s",
            "arbitration_window_s",
            type=seconds,
            help="How long the arbiter has for a dispute.  [default: 10]",
        ),
        click.option(
            "--grace-s",
            "grace_window_s",
            type=seconds,
            help="How long vouchers can be redeemed after an escrow's deadline.  [default: 10]",
        ),
        click.option(
            "--unbonding-s",
            "unbonding_window_s",
            type=seconds,
            help="How long stake takes to be withdrawn.  [default: 60 days]",
        ),
    ):
        command = option(command)
    return command


def _layout(data: Path | None) -> "Layout":
    from .layout import DEFAULT_DIRECTORY, Layout

    return Layout(data or DEFAULT_DIRECTORY)


_data = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The devnet's directory.  [default: ~/.neurogrid/devnet]",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def devnet() -> None:
    """Run a whole market on this machine: ledger, coordinator, nodes, test money."""


@devnet.command()
@_data
@click.option(
    "--nodes",
    type=click.IntRange(1, _NODES_MAX),
    metavar="N",
    help="How many providers.  [default: 2, or as it was]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="P",
    help="Of the REST API; 0 takes a free one.  [default: 0, or as it was]",
)
@click.option(
    "--dead-after-s",
    type=click.IntRange(1, _DEAD_AFTER_MAX_S),
    metavar="N",
    help="How long a silent node is waited for before its jobs run elsewhere."
    "  [default: 15, or as it was]",
)
@click.option(
    "--readers",
    type=click.IntRange(0, _READERS_MAX),
    metavar="N",
    help="Processes of the coordinator that read submissions, for load tests.  [default: 0, or as it was]",
)
@click.option(
    "--replica-idle-s",
    type=click.IntRange(_REPLICA_IDLE_MIN_S, _REPLICA_IDLE_MAX_S),
    metavar="N",
    help="How long a model that nobody asks stays warm.  [default: 60, or as it was]",
)
@click.option(
    "--no-replicas",
    is_flag=True,
    help="Keep no model warm: each request to one is a task of its own.",
)
@click.option(
    "--detach", is_flag=True, help="Return once it is ready; it goes on in the background."
)
@_terms
@_json
@_explained
def up(
    data: Path | None,
    nodes: int | None,
    port: int | None,
    dead_after_s: int | None,
    readers: int | None,
    replica_idle_s: int | None,
    no_replicas: bool,
    detach: bool,
    as_json: bool,
    **terms: int | None,
) -> None:
    """Start a devnet, or the one that is in DIR again.

    The terms of its market are decided when it is made.
    """
    from .start import start_here, start_in_background
    from .status_view import print_network

    if no_replicas and replica_idle_s is not None:
        raise click.UsageError("--no-replicas keeps none for any time")
    layout = _layout(data)
    idle_s = 0 if no_replicas else replica_idle_s
    asked = {name: value for name, value in terms.items() if value is not None}
    if detach:
        network = start_in_background(
            layout,
            nodes=nodes,
            port=port,
            dead_after_s=dead_after_s,
            readers=readers,
            replica_idle_s=idle_s,
            terms=asked,
            tell=_progress(as_json),
        )
        print_network(network, as_json=as_json, detached=True)
        return
    start_here(
        layout,
        nodes=nodes,
        port=port,
        dead_after_s=dead_after_s,
        readers=readers,
        replica_idle_s=idle_s,
        terms=asked,
        tell=_progress(as_json),
        ready=lambda network: print_network(network, as_json=as_json, detached=False),
    )


@devnet.command()
@_data
@_json
@_explained
def status(data: Path | None, as_json: bool) -> None:
    """Show what runs, under which numbers. Exit code 3 if nothing does."""
    from .status_view import print_status

    print_status(_layout(data), as_json=as_json)


@devnet.command()
@_data
@_explained
def down(data: Path | None) -> None:
    """Stop a devnet: no process, container, mount or socket is left. Its data stay in DIR."""
    from .stop import stop

    layout = _layout(data)
    click.echo(f"stopped {layout.root}" if stop(layout) else f"nothing runs in {layout.root}")


@devnet.command()
@_data
@click.argument("node")
@_explained
def lose(data: Path | None, node: str) -> None:
    """Lose a node's machine: kill it, with its containers, and leave it dead.

    NODE is a name such as node-2, or a peer id. `restore`, or the next `up`, starts it again.
    """
    from .stop import lose_node

    click.echo(f"{lose_node(_layout(data), node)} is gone")


@devnet.command()
@_data
@click.argument("node")
@_explained
def restore(data: Path | None, node: str) -> None:
    """Give a lost node its machine back, with its disk and keys, but without its containers."""
    from .stop import restore_node

    click.echo(f"{restore_node(_layout(data), node)} starts again")


@devnet.command()
@_data
@click.argument("wallet")
@click.option("--usdc", "micro_usdc", type=UsdcAmount(), default="100.00", show_default=True)
@click.option("--sol", type=click.IntRange(1, 1000), default=10, show_default=True)
@_explained
def fund(data: Path | None, wallet: str, micro_usdc: int, sol: int) -> None:
    """Give test money to the WALLET of a provider or client of your own."""
    from neurogrid_marketplace.money import format_usdc

    from .faucet import fund as give

    give(_layout(data), wallet, micro_usdc=micro_usdc, sol=sol)
    click.echo(f"gave {format_usdc(micro_usdc)} USDC and {sol} SOL to {wallet}")


@devnet.command()
@_data
@click.argument("seconds", type=click.IntRange(1, 10 * 365 * 86_400))
@_explained
def warp(data: Path | None, seconds: int) -> None:
    """Move the chain's clock forward by SECONDS, for good: windows end at once.

    The machine's clock stays, by which coordinator and nodes go: once the chain is ahead of it by
    more than a job's time, no new escrow can be opened.
    """
    from .time_travel import warp as travel

    click.echo(travel(_layout(data), seconds))


@devnet.command()
@_data
@click.argument("name", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("-n", "--lines", default=40, show_default=True, help="So many lines from the end.")
@_explained
def logs(data: Path | None, name: str | None, follow: bool, lines: int) -> None:
    """Show the end of a process's log, or of all of them.

    NAME is ledger, coordinator, node-1 ..., or supervisor.
    """
    from .status_view import print_logs

    print_logs(_layout(data), name, follow=follow, lines=lines)


@devnet.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep the demo's devnet there.  [default: a temporary directory]",
)
@_explained
def demo(data: Path | None) -> None:
    """Show a job from submission to payment, and a node that dies in the middle of one."""
    from .demo import run_demo

    sys.exit(run_demo(data))


def _progress(as_json: bool) -> Callable[[str], None]:
    """Progress goes to standard error, so that standard output can be read by programs."""

    def tell(line: str) -> None:
        if not as_json:
            click.echo(line, err=True)

    return tell
