"""Starts a daemon's log."""

import errno
import logging
import os
import sys
from pathlib import Path
from types import TracebackType

from .log_file import LogFile, open_for_us
from .log_lines import JsonLines, TextLines
from .log_rate import LogRate
from .log_settings import LogSettings

# Whose lines the level is for. What libraries say below a warning is for whoever works on them, and some of them say
# there what nobody should read: headers, frames, parameters of statements.
OUR_PACKAGES = (
    "neurogrid_contracts",
    "neurogrid_coordinator",
    "neurogrid_marketplace",
    "neurogrid_node",
    "neurogrid_p2p",
    "neurogrid_telemetry",
    "neurogrid_wallet",
)
_MIB = 1024**2

_log = logging.getLogger(__name__)


def start_logging(settings: LogSettings) -> None:
    """Log to where the settings say, from now on; an uncaught error too.

    Args:
        settings: with an absolute path, if any.

    Raises:
        OSError: the file can never be written, as it is a directory, or not ours. A full disk is no reason.
    """
    handler: logging.Handler
    if settings.file:
        _try(Path(settings.file))
        handler = LogFile(Path(settings.file), settings.file_mib * _MIB, settings.files)
        sys.excepthook = _note_crash
    else:
        handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if settings.format == "json" else TextLines())
    handler.addFilter(LogRate())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for package in OUR_PACKAGES:
        logging.getLogger(package).setLevel(settings.level.upper())


def _try(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(open_for_us(str(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def _note_crash(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """An error that ends the process: in the file too, where whoever looks for it looks."""
    if not issubclass(kind, KeyboardInterrupt):
        _log.critical("ended by a defect", exc_info=(kind, error, traceback))
    sys.__excepthook__(kind, error, traceback)
