"""One log file a process, that cannot grow without end.

The file is the process's standard output and error, opened for appending. The supervisor does not
stand in between, so a process survives its supervisor; now and then it looks at the sizes, keeps a
copy of a file that has grown, and empties it.
"""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# Two of these a process: the present file and the one before.
LOG_BYTES_MAX = 8 * 1024 * 1024
_FOLLOW_INTERVAL_S = 0.2
_TAIL_BYTES = 256 * 1024


def open_log(path: Path) -> int:
    """A descriptor to give to a process as its standard output and error; close it after."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def bound_log(path: Path) -> None:
    """Move what was written aside once it is too much. What is written meanwhile may be lost."""
    try:
        if path.stat().st_size <= LOG_BYTES_MAX:
            return
    except FileNotFoundError:
        return
    older = path.with_suffix(".log.1")
    with path.open("rb") as source, older.open("wb") as target:
        while piece := source.read(1 << 20):
            target.write(piece)
    # Its writers append, so they go on at the new end.
    os.truncate(path, 0)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log; none if there is no such file."""
    try:
        with path.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES)
            file.seek(start)
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:] if lines else []


def follow(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Every complete line that is written from now on, for ever; with the file it came from."""
    # Outside the generator, which begins only when it is first asked for a line.
    return _follow({path: path.stat().st_size if path.exists() else 0 for path in paths})


def _follow(positions: dict[Path, int]) -> Iterator[tuple[Path, str]]:
    while True:
        for path, begin in list(positions.items()):
            for line, end in _new_lines(path, begin):
                positions[path] = end
                yield path, line
        time.sleep(_FOLLOW_INTERVAL_S)


def _new_lines(path: Path, position: int) -> Iterator[tuple[str, int]]:
    """The complete lines from a position on, each with the position after it."""
    if not path.exists():
        return
    with path.open("rb") as file:
        if path.stat().st_size < position:
            position = 0  # it was emptied
        file.seek(position)
        for line in file:
            if not line.endswith(b"\n"):
                return
            position += len(line)
            yield line.decode(errors="replace").rstrip("\n"), position
