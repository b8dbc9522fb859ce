"""The file of the last run."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Final

import msgspec

from .figures import Run

FILE_NAME: Final = "benchmark.json"


def read_kept(directory: Path) -> Run | None:
    """The last run; None if there was none, or its file is damaged: it is only experience."""
    try:
        return msgspec.json.decode((directory / FILE_NAME).read_bytes(), type=Run)
    except (OSError, msgspec.DecodeError):
        return None


def keep(directory: Path, run: Run) -> None:
    """Replace the file; readers see the old or the new one.

    Raises:
        OSError: it cannot be written.
    """
    partial = directory / f"{FILE_NAME}.partial"
    partial.write_text(json.dumps(asdict(run), indent=2) + "\n")
    os.replace(partial, directory / FILE_NAME)
