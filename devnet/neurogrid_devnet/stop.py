"""Stopping a devnet, or losing one of its machines, from another process than its supervisor."""

import os
import signal
import time
from contextlib import suppress

import trio

from .errors import DevnetError, NoSuchNode, NotRunning
from .layout import Layout, node_name, parse_node
from .processes import kill, terminate, wait_gone
from .state_file import read_state
from .take_down import clean_nodes, end_processes

# The supervisor gives its processes up to 6 s each in three steps, and then removes containers.
_STOP_PATIENCE_S = 60.0
_LOOK_INTERVAL_S = 0.05
_ENDING_S = 10.0


def stop(layout: Layout) -> bool:
    """Stop everything of a devnet. Repeating it, or stopping what never ran, is no error.

    Returns: whether anything ran.

    Raises:
        DevnetError: something is left after all; the message says what.
    """
    settings = layout.read_settings() if layout.root.exists() else None
    if settings is None:
        return False
    was_running = layout.is_locked()
    if was_running:
        _stop_supervisor(layout)
    # What the supervisor could not finish, or what it left when it was killed.
    state = read_state(layout.state)
    if state is not None:
        was_running = end_processes(state) or was_running
    problems = trio.run(clean_nodes, layout, range(1, settings.nodes + 1))
    if problems:
        raise DevnetError("something is left: " + "; ".join(problems))
    return was_running


def _stop_supervisor(layout: Layout) -> None:
    state = read_state(layout.state)
    if state is None:
        raise DevnetError(f"{layout.lock} is held, but {layout.state} names no supervisor")
    with suppress(ProcessLookupError):
        os.kill(state.supervisor.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_PATIENCE_S
    while layout.is_locked():
        if time.monotonic() > deadline:
            terminate([state.supervisor], grace_s=1.0)
        time.sleep(_LOOK_INTERVAL_S)
    # It lets go of the lock before its interpreter is done.
    kill(wait_gone([state.supervisor], _ENDING_S))


def lose_node(layout: Layout, node: str) -> str:
    """Kill a node for good, with its containers: its machine is gone.

    Args:
        node: its name or number, or its peer id.

    Returns: its name.

    Raises:
        NotRunning: no devnet runs here.
        NoSuchNode: it has no such node.
    """
    number = _find_node(layout, node)
    name = node_name(number)
    # First the mark, so that nobody starts it again.
    layout.lost_mark(number).touch()
    state = read_state(layout.state)
    running = state.processes.get(name) if state is not None else None
    if running is not None:
        kill([running.process])
    problems = trio.run(clean_nodes, layout, [number])
    if problems:
        raise DevnetError(f"{name} is killed, but something is left: " + "; ".join(problems))
    return name


def restore_node(layout: Layout, node: str) -> str:
    """Give a lost node its machine back: its supervisor starts it again.

    Returns: its name.

    Raises:
        NotRunning, NoSuchNode: as `lose_node`.
    """
    number = _find_node(layout, node)
    layout.lost_mark(number).unlink(missing_ok=True)
    return node_name(number)


def _find_node(layout: Layout, node: str) -> int:
    from .node_setup import peer_id_at

    settings = layout.read_settings() if layout.is_locked() else None
    if settings is None:
        raise NotRunning(f"no devnet runs in {layout.root}: start it with `neurogrid devnet up`")
    number = parse_node(node, settings)
    if number is not None:
        return number
    for candidate in range(1, settings.nodes + 1):
        if peer_id_at(layout.node(candidate)) == node:
            return candidate
    names = ", ".join(node_name(number) for number in range(1, settings.nodes + 1))
    raise NoSuchNode(f"{node!r} is none of this devnet's nodes: {names}")
