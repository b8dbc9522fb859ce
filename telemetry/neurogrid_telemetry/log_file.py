"""A log file of bounded size that outlives trouble: a full disk, `kill -9`, somebody else's logrotate."""

import logging
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path


class LogFile(RotatingFileHandler):
    """Writes each line at once, so that what is logged is there when the process is killed.

    When the file is moved or deleted the next line makes a new one: logrotate needs to send no signal. While it cannot
    be written lines are lost and counted, and the count is the first thing it says when it can be again.
    """

    def __init__(self, path: Path, size_bytes: int, files: int) -> None:
        super().__init__(
            path, maxBytes=size_bytes, backupCount=files - 1, encoding="utf-8", delay=True
        )
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or count it as lost."""
        self._leave_if_moved()
        if lost := self._lost:
            super().emit(_gap(lost))
            if self._lost > lost:
                return  # nor could this
            self._lost = 0
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """A line is lost: say so once, and begin anew with the next."""
        if not self._lost:
            with suppress(OSError):
                print(
                    f"the log file {self.baseFilename} cannot be written: {sys.exc_info()[1]}; "
                    "lines are lost until it can",
                    file=sys.stderr,
                )
        self._lost += 1
        self._leave()

    def _open(self) -> TextIOWrapper:
        stream = open(  # noqa: SIM115 - the handler closes it
            self.baseFilename, "a", encoding="utf-8", errors="backslashreplace", opener=open_for_us
        )
        if _is_torn(Path(self.baseFilename)):
            stream.write("\n")
        return stream

    def _leave_if_moved(self) -> None:
        if self.stream is None:
            return
        try:
            there = os.stat(self.baseFilename)
            ours = os.fstat(self.stream.fileno())
        except OSError:
            self._leave()
            return
        if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            self._leave()

    def _leave(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()


def open_for_us(path: str, flags: int) -> int:
    """An opener of files that nobody else reads."""
    return os.open(path, flags, 0o600)


def _is_torn(path: Path) -> bool:
    """Whether its last line was not written to its end: the disk was full, or the power went."""
    with path.open("rb") as file:
        if not file.seekable() or file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _gap(lost: int) -> logging.LogRecord:
    message = "%d lines are missing here: the file could not be written"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, (lost,), None)
