"""The picture of a node kept up to date in a terminal, and the keys that steer it."""

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from ..control.asking import NoAnswer, NotRunning, ask
from ..control.requests import Drain, Pause, Refused, Request, RequestInvalid, Resume
from ..machine.clock import now_ms
from ..market.intake import Mode
from ..status import read_status
from .frame import frame

_KEYS = "q quit   p pause or resume   d drain"
# A node that does not answer is no reason for a picture that stands still.
_ANSWER_LIMIT_S = 5


def live(directory: Path, interval_s: float) -> None:
    """Draw until q or Ctrl-C is pressed."""
    said = ""
    with (
        suppress(KeyboardInterrupt),
        Live(screen=True, auto_refresh=False) as shown,
        _keys() as keyboard,
    ):
        while True:
            document = read_status(directory)
            shown.update(screen(document, said), refresh=True)
            key = _pressed(keyboard, interval_s)
            if key == "q":
                return
            request = wanted(key, document)
            if request is not None:
                said = _asked(directory, request)


def screen(document: dict[str, Any] | None, said: str) -> RenderableType:
    """The picture, what went wrong with the last key, and what keys there are."""
    picture: RenderableType = Text("no node runs here now: neurogrid-node start", style="red")
    if document is not None:
        picture = frame(document, now_ms())
    return Group(picture, Text(said, style="red"), Text(_KEYS, style="dim"))


def wanted(key: str, document: dict[str, Any] | None) -> Request | None:
    """What a key asks of the node."""
    if key == "d":
        return Drain()
    if key == "p":
        is_open = document is None or document["word"]["mode"] == Mode.OPEN
        return Pause() if is_open else Resume()
    return None


def _asked(directory: Path, request: Request) -> str:
    """Ask; why it was not done, "" if it was."""
    try:
        ask(directory, request, limit_s=_ANSWER_LIMIT_S)
    except (NotRunning, NoAnswer, Refused, RequestInvalid) as error:
        return str(error)
    return ""


@contextmanager
def _keys() -> Iterator[int]:
    """The keyboard, a key at a time and not shown."""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard)
        yield keyboard
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _pressed(keyboard: int, limit_s: float) -> str:
    """The next key; "" if none came in this time, q if there is no keyboard any more."""
    ready, _, _ = select.select([keyboard], [], [], limit_s)
    if not ready:
        return ""
    return os.read(keyboard, 1).decode(errors="replace") or "q"
