# Made from aio/sealed.py by scripts/unasync.py: change that one, and run it.
"""Keys to sealed inputs: kept here, sent to the nodes that are to have them; and inputs sealed before they leave."""

import os
import tempfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from neurogrid_marketplace.job import InputFile
from neurogrid_marketplace.sealed_file import KEY_BYTES

from .artifacts import Artifacts
from .errors import ConflictError
from .runtime import blocking
from .sealing import KeyStore, KeyWanted, SealedTask, seal_source, wrapped
from .transport import Transport


class Keys:
    """The keys of the account's sealed tasks, on this machine; `Tasks.wait` and `stream` use them.

    Args:
        directory: where they are kept; None: below the user's state directory.
    """

    def __init__(self, transport: Transport, directory: Path | None = None) -> None:
        self._transport = transport
        self._store = KeyStore(directory)

    def tasks(self) -> list[str]:
        """The tasks whose keys are here: those that are not known to have ended."""
        return self._store.tasks()

    def keep(self, task_id: str, kept: SealedTask) -> None:
        """Keep a new task's key.

        Raises:
            OSError: it can't be written; the task would fail for want of it.
        """
        blocking(self._store.save, task_id, kept)

    def forget(self, task_id: str) -> None:
        """The task has ended: nobody will need its key again."""
        blocking(self._store.forget, task_id)

    def send(self, task_id: str) -> bool:
        """Wrap the task's key to the node that has signed for it, and send it, if it is wanted and here.

        Raises:
            IntegrityError: what coordinator and node have signed does not fit the task: nothing was
                sent.
        """
        kept = blocking(self._store.load, task_id)
        if kept is None:
            return False
        try:
            wanted = self._transport.call(
                KeyWanted, "GET", f"/tasks/{task_id}/key", task_id=task_id
            )
        except ConflictError:
            return False
        body = wrapped(task_id, wanted, kept)
        try:
            self._transport.send("POST", f"/tasks/{task_id}/key", json=body, task_id=task_id)
        except ConflictError:
            return False
        return True


def seal_inputs(
    artifacts: Artifacts, inputs: Mapping[str, object]
) -> tuple[bytes, tuple[InputFile, ...]]:
    """Seal and upload files; the content key, and the inputs as the job names them.

    Raises:
        TypeError: one is not a local file: what is at the coordinator already can't be sealed.
        OSError: a file can't be read, or there is no room for its sealed copy.
    """
    content_key = os.urandom(KEY_BYTES)
    found = []
    for path, source in sorted(inputs.items()):
        if isinstance(source, str) or not isinstance(source, PathLike | bytes):
            raise TypeError(f"input {path}: sealed inputs are local files, and nothing else")
        with tempfile.TemporaryDirectory(prefix="neurogrid-") as folder:
            sealed = Path(folder) / "sealed"
            blocking(seal_source, source, sealed, content_key)
            artifact = artifacts.upload(sealed)
        found.append(InputFile(path, artifact.sha256, artifact.size, sealed=True))
    return content_key, tuple(found)
