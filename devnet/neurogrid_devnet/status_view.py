"""What `devnet up`, `status` and `logs` show."""

import json
from dataclasses import dataclass

import click
import msgspec

from .errors import NoSuchNode, NotRunning
from .layout import COORDINATOR, LEDGER, SUPERVISOR, Layout, count_nodes, node_name
from .log_files import follow as follow_logs
from .log_files import tail
from .network_file import Network, read_network
from .processes import is_alive
from .state_file import Phase, State, read_state


def print_network(network: Network, *, as_json: bool, detached: bool) -> None:
    """Say that the devnet is ready, and how to use it."""
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(network), indent=2))
        return
    click.echo(f"ready     {network.api_url} with {count_nodes(len(network.nodes))}")
    click.echo(f"ledger    {network.ledger_url}")
    click.echo(f"dashboard {network.dashboard_url}")
    click.echo(f"network   {network.data}/network.json, which holds the API key to sign in with")
    click.echo(f"docs      {network.api_url}/docs")
    click.echo(f"logs      neurogrid devnet logs --data {network.data}")
    if detached:
        click.echo(f"stop      neurogrid devnet down --data {network.data}")
    else:
        click.echo("stop      Ctrl-C")


@dataclass(frozen=True, slots=True)
class ProcessLine:
    """One process in the status: ``pid`` 0 while it does not run, perhaps because it is lost."""

    name: str
    pid: int
    exits: int
    is_lost: bool


def process_lines(layout: Layout, state: State) -> list[ProcessLine]:
    """Every process there should be."""
    settings = layout.read_settings()
    marks = {LEDGER: None, COORDINATOR: None} | {
        node_name(number): layout.lost_mark(number)
        for number in range(1, (settings.nodes if settings is not None else 0) + 1)
    }
    lines = []
    for name, mark in marks.items():
        running = state.processes.get(name)
        alive = running is not None and is_alive(running.process)
        lines.append(
            ProcessLine(
                name,
                running.process.pid if running is not None and alive else 0,
                running.exits if running is not None else 0,
                mark is not None and mark.exists(),
            )
        )
    return lines


def print_status(layout: Layout, *, as_json: bool) -> None:
    """Show what runs.

    Raises:
        NotRunning: nothing does.
    """
    state = read_state(layout.state)
    if state is None or not layout.is_locked():
        if as_json:
            click.echo(json.dumps({"running": False, "data": str(layout.root)}))
        failed = state is not None and state.phase is Phase.FAILED
        why = f"; its last start failed: {state.message}" if state is not None and failed else ""
        raise NotRunning(f"no devnet runs in {layout.root}{why}")
    lines = process_lines(layout, state)
    network = read_network(layout.network)
    if as_json:
        document = {
            "running": True,
            "data": str(layout.root),
            "phase": state.phase,
            "message": state.message,
            "supervisor_pid": state.supervisor.pid,
            "processes": {line.name: {"pid": line.pid, "exits": line.exits} for line in lines},
            "network": msgspec.to_builtins(network) if network is not None else None,
        }
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(f"devnet       {layout.root}: {state.phase} {state.message}".rstrip())
    if network is not None:
        click.echo(f"api          {network.api_url}")
        click.echo(f"rpc          {network.ledger_url}")
    peers = {node.name: node.peer_id for node in network.nodes} if network is not None else {}
    for line in lines:
        click.echo(_line(line, peers.get(line.name, "")))


def _line(line: ProcessLine, peer_id: str) -> str:
    what = f"pid {line.pid}" if line.pid else "lost" if line.is_lost else "not running"
    again = f", started again {line.exits} times" if line.exits else ""
    return f"{line.name:<12} {what}{again}  {peer_id}".rstrip()


def print_logs(layout: Layout, name: str | None, *, follow: bool, lines: int) -> None:
    """Print the ends of logs, and what follows.

    Raises:
        NoSuchNode: there is no log of that name.
        NotRunning: there is no devnet in the directory.
    """
    settings = layout.read_settings() if layout.root.exists() else None
    if settings is None:
        raise NotRunning(f"there is no devnet in {layout.root}")
    nodes = [node_name(number + 1) for number in range(settings.nodes)]
    names = [LEDGER, COORDINATOR, *nodes, SUPERVISOR]
    if name is not None and name not in names:
        raise NoSuchNode(f"{name!r} has no log here; these have: {', '.join(names)}")
    shown = {layout.log(one): one for one in names if name in (None, one)}

    def show(who: str, line: str) -> None:
        click.echo(line if name is not None else f"{who:<12} {line}")

    for path, who in shown.items():
        for line in tail(path, lines):
            show(who, line)
    if follow:
        for path, line in follow_logs(list(shown)):
            show(shown[path], line)
