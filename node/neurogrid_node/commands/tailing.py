"""Reading a file that grows, is put aside by a rotation, or goes."""

import codecs
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import BinaryIO, Final

LINES_MAX: Final = 100_000
_BLOCK_BYTES = 1 << 16
_LOOK_S = 0.25


def read_log(
    path: Path,
    lines: int | None,
    *,
    follow: bool,
    comes_back: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Generator[str]:
    """Its text in pieces; with ``follow`` on and on, until the file is gone.

    Args:
        lines: only so many of the last ones; None: from the start.
        comes_back: one that is gone is being rotated, and is waited for.

    Raises:
        OSError: there is no such file, or it can't be read.
    """
    file: BinaryIO = path.open("rb")
    try:
        if lines is not None:
            file.seek(_start_of_tail(file, lines))
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        while True:
            while block := file.read(_BLOCK_BYTES):
                yield decoder.decode(block)
            if not follow:
                break
            newer = _successor(path, file)
            if newer is not None:
                # What was written to the old one after our last look comes first.
                yield decoder.decode(file.read())
                file.close()
                file = newer
            elif not comes_back and not path.exists():
                break
            else:
                sleep(_LOOK_S)
        yield decoder.decode(b"", final=True)
    finally:
        file.close()


def _successor(path: Path, file: BinaryIO) -> BinaryIO | None:
    """The file that has this name now, if it is another one."""
    try:
        newer = path.open("rb")
    except FileNotFoundError:
        return None
    if os.path.sameopenfile(newer.fileno(), file.fileno()):
        newer.close()
        return None
    return newer


def _start_of_tail(file: BinaryIO, lines: int) -> int:
    """Where the last so many lines begin; a last one without an end is one."""
    position = end = file.seek(0, os.SEEK_END)
    if not lines:
        return end
    wanted = lines
    while position > 0:
        begin = max(0, position - _BLOCK_BYTES)
        file.seek(begin)
        block = file.read(position - begin)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            # The end of the last line is no beginning of another.
            if begin + at == end - 1:
                continue
            if wanted == 1:
                return begin + at + 1
            wanted -= 1
        position = begin
    return 0
