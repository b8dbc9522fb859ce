"""How the demo looks: headings, tables, a moving bar on terminals, and every check as a line."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from neurogrid import Client
from neurogrid.errors import NeuroGridError
from neurogrid.models import TaskUpdate

# Wide enough for a transaction's signature where nobody says how wide the output is.
_PIPE_COLUMNS = 120
# Where no bar can move, a line is written each time the job has come so much further.
_STEP_PERCENT = 25
_PROGRESS_PREFIX = "NEUROGRID_PROGRESS"


class Screen:
    """Where the demo writes, and what it has found to be true or not."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = _PIPE_COLUMNS
        self.held = 0
        self.failed: list[str] = []

    def heading(self, title: str) -> None:
        """A new part begins."""
        self.console.print()
        self.console.rule(Text(title, style="bold"), align="left", characters="─")

    def say(self, text: str, style: str = "") -> None:
        """A paragraph; its own words, so nothing in it is taken for markup or cut into lines."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def table(
        self, headings: Sequence[str], rows: Iterable[Sequence[str]], marked: str = ""
    ) -> None:
        """Columns; the rows that begin with ``marked`` stand out. Only the widest may be cut."""
        cells = [list(row) for row in rows]
        widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for heading, width in zip(headings, widths, strict=True):
            table.add_column(heading, no_wrap=width < max(widths), overflow="ellipsis")
        for row in cells:
            style = "bold green" if marked and row[0] == marked else ""
            table.add_row(*(Text(cell) for cell in row), style=style)
        self.console.print(table)

    def check(self, fact: str, held: bool, detail: str = "") -> bool:
        """Show whether something that should be true is, and remember it."""
        if held:
            self.held += 1
            self.console.print(Text.assemble(("  ✓ ", "green"), fact), soft_wrap=True)
        else:
            self.failed.append(fact)
            words = Text.assemble(("  ✗ ", "bold red"), (fact, "red"), f"  {detail}")
            self.console.print(words, soft_wrap=True)
        return held

    @contextmanager
    def job(self, title: str) -> Iterator["JobView"]:
        """A job that runs: its bar, and lines above it."""
        bar = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=40),
            TextColumn("{task.percentage:5.1f} %"),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        with bar:
            yield JobView(self.console, bar, bar.add_task(title, total=100, note=""))


class JobView:
    """The part of the screen that follows one job."""

    def __init__(self, console: Console, bar: Progress, task: TaskID) -> None:
        self._console = console
        self._bar = bar
        self._task = task
        self._shown_percent = 0.0

    def line(self, text: str, style: str = "dim") -> None:
        """A line above the bar."""
        self._console.print(Text(f"  {text}", style=style), soft_wrap=True)

    def update(self, update: TaskUpdate) -> None:
        """The job has come so far."""
        note = update.progress_note or update.phase
        self._bar.update(self._task, completed=update.progress, note=note)
        is_pipe = not self._console.is_terminal
        if is_pipe and update.progress >= self._shown_percent + _STEP_PERCENT:
            self._shown_percent = update.progress
            self.line(f"{update.progress:5.1f} %  {note}")

    @contextmanager
    def logs(self, client: Client, task_id: str) -> Iterator[None]:
        """Show what the job prints, as it prints it, until it has ended."""

        def follow() -> None:
            rest = ""
            # Somebody else tells why the coordinator does not answer; RuntimeError is what httpx
            # raises in a client that a demo which is interrupted has closed.
            with suppress(NeuroGridError, RuntimeError):
                for piece in client.tasks.get_logs(task_id, lines=1000, follow=True):
                    *lines, rest = (rest + piece).split("\n")
                    for line in lines:
                        if line and not line.startswith(_PROGRESS_PREFIX):
                            self.line(f"| {line}")

        # A daemon thread: a demo that is interrupted does not wait for a job's last words.
        follower = threading.Thread(target=follow, name="demo-logs", daemon=True)
        follower.start()
        yield
        follower.join(timeout=5)
