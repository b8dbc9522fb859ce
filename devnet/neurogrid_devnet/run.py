"""A devnet's life: lock the directory, bring everything up, keep it up, and take it down."""

import logging
import signal
from collections.abc import Callable

import trio

from .bring_up import Devnet
from .errors import DevnetError
from .layout import COORDINATOR, LEDGER, Layout, Settings, check_port, node_name
from .network_file import Network, write_network
from .state_file import Phase, State, read_state, write_state
from .supervisor import Supervisor
from .take_down import clean_nodes, end_processes

_log = logging.getLogger(__name__)

_WATCH_INTERVAL_S = 0.2


def run_devnet(
    layout: Layout,
    settings: Settings,
    *,
    tell: Callable[[str], None],
    ready: Callable[[Network], None],
) -> None:
    """Run a devnet until SIGTERM or SIGINT; the caller holds the directory's lock.

    Args:
        tell: shows a line of progress.
        ready: called once, when jobs can be placed and network.json is written.

    Raises:
        DevnetError: it cannot start; nothing of it is left running.
    """
    _forget_the_past(layout, settings)
    try:
        trio.run(_run, layout, settings, tell, ready)
    except BaseExceptionGroup as group:
        known, unknown = group.split(DevnetError)
        if known is None or unknown is not None:
            _note_failure(layout, f"an error of the devnet itself, see {layout.log('supervisor')}")
            raise
        error = _first(known)
        _note_failure(layout, str(error))
        raise error from None


def _forget_the_past(layout: Layout, settings: Settings) -> None:
    """End what a supervisor that was killed left running, and free its ports."""
    layout.network.unlink(missing_ok=True)
    state = read_state(layout.state)
    if state is not None:
        end_processes(state)
    for number in range(1, settings.nodes + 1):
        layout.lost_mark(number).unlink(missing_ok=True)
    for port in settings.ports():
        check_port(port)


def _note_failure(layout: Layout, message: str) -> None:
    state = read_state(layout.state)
    if state is not None:
        write_state(layout.state, State(state.supervisor, Phase.FAILED, message))


async def _run(
    layout: Layout,
    settings: Settings,
    tell: Callable[[str], None],
    ready: Callable[[Network], None],
) -> None:
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(layout, nursery, tell)
        try:
            async with trio.open_nursery() as work:
                work.start_soon(_cancel_on_signal, work.cancel_scope)
                devnet = Devnet(layout, settings, supervisor)
                await devnet.bring_up()
                network = devnet.network()
                write_network(layout.network, network)
                supervisor.enter(Phase.READY)
                ready(network)
                await _keep_network_file(layout, devnet, network)
        finally:
            with trio.CancelScope(shield=True):
                supervisor.enter(Phase.STOPPING)
                await _take_down(layout, settings, supervisor)
                supervisor.enter(Phase.STOPPED)
        nursery.cancel_scope.cancel()


async def _keep_network_file(layout: Layout, devnet: Devnet, written: Network) -> None:
    """Rewrite network.json whenever a process has another number, for ever."""
    while True:
        await trio.sleep(_WATCH_INTERVAL_S)
        network = devnet.network()
        if network != written:
            write_network(layout.network, network)
            written = network


async def _take_down(layout: Layout, settings: Settings, supervisor: Supervisor) -> None:
    """Stop everything, whoever depends on others first; then remove what nodes leave running."""
    numbers = range(1, settings.nodes + 1)
    for names in ([node_name(number) for number in numbers], [COORDINATOR], [LEDGER]):
        await supervisor.stop(names)
    for problem in await clean_nodes(layout, numbers):
        _log.error("%s", problem)


async def _cancel_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            _log.info("stopping on %s", signal.Signals(number).name)
            scope.cancel()
            return


def _first(group: BaseExceptionGroup[DevnetError]) -> DevnetError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
