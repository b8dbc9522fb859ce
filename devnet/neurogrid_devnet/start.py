"""Starting a devnet, in this process or in one of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

from .errors import AlreadyRuns, StartFailed
from .layout import SUPERVISOR, Layout
from .log_files import open_log, tail
from .network_file import Network, read_network
from .state_file import Phase, State, read_state

_LOOK_INTERVAL_S = 0.05
_LOG_LINES_SHOWN = 15


def start_here(
    layout: Layout,
    *,
    nodes: int | None,
    port: int | None,
    dead_after_s: int | None = None,
    readers: int | None = None,
    replica_idle_s: int | None = None,
    terms: dict[str, int],
    tell: Callable[[str], None],
    ready: Callable[[Network], None],
) -> None:
    """Run a devnet in this process until it is told to stop.

    Args:
        terms: the market's, as far as they are asked for, by the names of `Terms`.

    Raises:
        DevnetError: it cannot start.
    """
    # Imported here: whoever starts a devnet in the background need not wait for all of this.
    from .run import run_devnet

    layout.make_folders()
    with layout.locked():
        settings = layout.decide_settings(
            nodes=nodes,
            api_port=port,
            dead_after_s=dead_after_s,
            readers=readers,
            replica_idle_s=replica_idle_s,
            terms=terms,
        )
        run_devnet(layout, settings, tell=tell, ready=ready)


def start_in_background(
    layout: Layout,
    *,
    nodes: int | None,
    port: int | None,
    dead_after_s: int | None = None,
    readers: int | None = None,
    replica_idle_s: int | None = None,
    terms: dict[str, int],
    tell: Callable[[str], None],
) -> Network:
    """Start a devnet in a process of its own; returns once jobs can be placed.

    Args: as of `start_here`.

    Raises:
        DevnetError: it cannot start.
    """
    layout.make_folders()
    if layout.is_locked():
        with layout.locked():  # says who holds it, in the usual words
            raise AlreadyRuns(f"a devnet has just stopped in {layout.root}: try again")
    layout.decide_settings(
        nodes=nodes,
        api_port=port,
        dead_after_s=dead_after_s,
        readers=readers,
        replica_idle_s=replica_idle_s,
        terms=terms,
    )
    process = _spawn(layout)
    try:
        return _until_ready(layout, process, tell)
    except BaseException:
        # Whoever interrupts a start does not want it to go on behind his back.
        process.terminate()
        process.wait()
        raise


def _until_ready(
    layout: Layout, process: "subprocess.Popen[bytes]", tell: Callable[[str], None]
) -> Network:
    shown = ""
    while True:
        state = read_state(layout.state)
        is_ours = state is not None and state.supervisor.pid == process.pid
        if state is not None and is_ours:
            network = read_network(layout.network)
            if state.phase is Phase.READY and network is not None:
                return network
            if state.message != shown and state.phase is Phase.STARTING:
                shown = state.message
                tell(shown)
        if process.poll() is not None:
            raise _failure(layout, state)
        time.sleep(_LOOK_INTERVAL_S)


def _spawn(layout: Layout) -> "subprocess.Popen[bytes]":
    output = open_log(layout.log(SUPERVISOR))
    try:
        return subprocess.Popen(
            (sys.executable, "-m", "neurogrid_devnet", str(layout.root)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            # The directory of the caller may be unmounted or removed; ours stays.
            cwd=layout.root,
        )
    finally:
        os.close(output)


def _failure(layout: Layout, state: State | None) -> StartFailed:
    if state is not None and state.phase is Phase.FAILED:
        return StartFailed(state.message)
    lines = "\n".join(tail(layout.log(SUPERVISOR), _LOG_LINES_SHOWN))
    return StartFailed(f"the supervisor ended; the end of {layout.log(SUPERVISOR)}:\n{lines}")
