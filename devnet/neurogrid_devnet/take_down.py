"""Ending a devnet, or one of its machines, so that nothing is left: processes, containers, mounts."""

from collections.abc import Sequence

import trio

from .layout import Layout
from .node_setup import peer_id_at
from .processes import is_alive, terminate
from .state_file import State

_GRACE_S = 6.0


def end_processes(state: State) -> bool:
    """End what a supervisor left behind; whether there was anything."""
    left = [running.process for running in state.processes.values() if is_alive(running.process)]
    terminate(left, grace_s=_GRACE_S)
    return bool(left)


async def clean_nodes(layout: Layout, numbers: Sequence[int]) -> list[str]:
    """Remove the containers and unmount the disks of nodes that no longer run.

    Returns: what is left after all, in words.
    """
    from .engine import remove_containers, unmount_below

    peer_ids = [peer_id_at(layout.node(number)) for number in numbers]
    problems = await remove_containers([peer_id for peer_id in peer_ids if peer_id is not None])
    for number in numbers:
        problems += await trio.to_thread.run_sync(unmount_below, layout.node(number))
    return problems
