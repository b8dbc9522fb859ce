"""The demo's frame: a devnet, the stories, the verdict, and everything taken down again."""

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from neurogrid import Client
from neurogrid.errors import NeuroGridError

from ..demo_job import PicturesMissing
from ..errors import DevnetError
from ..layout import Layout
from ..network_file import Network
from ..start import start_in_background
from ..stop import stop
from .lost_machine import tell_lost_machine
from .main_job import tell_main_job
from .money import open_ledger
from .screen import Screen
from .stage import Stage
from .streamed_chat import tell_streamed_chat

_NODES = 2


def run_demo(data: Path | None) -> int:
    """Tell the whole story once.

    Args:
        data: where the devnet lies; None for a temporary directory, removed at the end.

    Returns: an exit code: 0 if everything that should be true was.
    """
    screen = Screen()
    began_s = time.monotonic()
    try:
        with _ended_by_sigterm(), _devnet(data, screen) as network:
            _tell(screen, network, Path(network.data) / "demo")
    except (DevnetError, NeuroGridError, PicturesMissing) as error:
        hint = getattr(error, "hint", "")
        screen.check("the demo ran to its end", False, f"{error} {hint}".strip())
    except KeyboardInterrupt:
        screen.say("\nInterrupted; everything is taken down.")
        return 130
    screen.heading("Verdict")
    took = f"{time.monotonic() - began_s:.0f} s"
    if screen.failed:
        screen.say(f"{len(screen.failed)} checks failed, {screen.held} held, in {took}:", "red")
        for fact in screen.failed:
            screen.say(f"  ✗ {fact}", "red")
        return 1
    screen.say(f"All {screen.held} checks held, in {took}. Nothing is left running.", "bold green")
    return 0


def _tell(screen: Screen, network: Network, folder: Path) -> None:
    with (
        Client(network=Path(network.data) / "network.json") as client,
        open_ledger(network) as ledger,
    ):
        stage = Stage(screen, network, client, ledger, folder)
        stage.show_nodes()
        expected = tell_main_job(stage)
        tell_lost_machine(stage, expected)
        tell_streamed_chat(stage)


@contextmanager
def _devnet(data: Path | None, screen: Screen) -> Iterator[Network]:
    """A devnet that is taken down whatever happens."""
    root = data or Path(tempfile.mkdtemp(prefix="neurogrid-demo-"))
    layout = Layout(root)
    screen.heading("1. A market on this machine")
    began_s = time.monotonic()
    try:
        network = start_in_background(layout, nodes=_NODES, port=None, terms={}, tell=screen.say)
        screen.say(f"ready after {time.monotonic() - began_s:.1f} s: {network.api_url}")
        yield network
    finally:
        stop(layout)
        if data is None:
            shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C, so that `kill` leaves nothing behind either."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
