"""A line on a terminal that says what is waited for, and for how long it has been."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from .exit_codes import INTERRUPTED

_REDRAWN_EVERY_S = 0.2
# Who is answered at once needs no such line.
_SHOWN_AFTER_S = 0.4
# A longer line would be drawn below itself on a narrow terminal.
_LINE_CHARS = 79


@contextmanager
def waiting(
    what: str, *, note: Callable[[], str] = lambda: "", quiet: bool = False
) -> Iterator[Callable[[], None]]:
    """Show how long it has been, on standard error where that is a terminal; gives what removes the line.

    Args:
        what: is waited for, on one line.
        note: what more there is to say of that; asked once, beside what is waited for, and nothing waits for it.
        quiet: show nothing.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    ended = threading.Event()
    said: list[str] = []
    thread = threading.Thread(target=_draw, args=(what, said, ended), name="waiting", daemon=True)
    threading.Thread(target=lambda: said.append(note()), name="waiting-note", daemon=True).start()

    def end() -> None:
        ended.set()
        thread.join()

    thread.start()
    try:
        yield end
    finally:
        end()


@contextmanager
def given_up_by_ctrl_c(model: str) -> Iterator[None]:
    """Who is tired of waiting for a model leaves with Ctrl-C, and is told what becomes of the task."""
    try:
        yield
    except KeyboardInterrupt:
        # The coordinator sees the connection close.
        click.echo(f"\n{model} is not waited for any more; nothing more is computed.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


def _draw(what: str, said: list[str], ended: threading.Event) -> None:
    began_s = time.monotonic()
    wait_s = _SHOWN_AFTER_S
    drawn = False
    while not ended.wait(wait_s):
        # \x1b[K clears what was longer before.
        so_long = f"{what} {time.monotonic() - began_s:.0f} s{''.join(said)}"
        click.echo(f"\r{so_long[:_LINE_CHARS]}\x1b[K", nl=False, err=True)
        drawn, wait_s = True, _REDRAWN_EVERY_S
    if drawn:
        click.echo("\r\x1b[K", nl=False, err=True)
