"""Small JSON files that decide what is paid: written whole and durably, or not at all."""

import json
import os
from pathlib import Path
from typing import Any

from neurogrid_wallet.errors import OutboxCorrupt


def write_json(path: Path, value: Any) -> None:
    """Replace the file; when this returns, a power cut finds the new one.

    Raises:
        OSError: the file system refused.
    """
    partial = path.with_name(path.name + ".partial")
    with open(partial, "w") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_json(path: Path) -> Any:
    """What ``write_json`` wrote; None where there is no file.

    Raises:
        OutboxCorrupt: it is no JSON.
        OSError: it cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise OutboxCorrupt(f"{path} is damaged: {error}") from error
