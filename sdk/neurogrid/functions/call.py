"""One call of a function on the network."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar, cast

from ..client import Client
from ..errors import IntegrityError, RemoteError
from ..models import Task
from .values import SIZE_MAX_BYTES, NotEncoded, decode

R = TypeVar("R")


class RemoteCall(Generic[R]):
    """A call that was submitted.

    Attributes:
        task: as it was when it was last asked for.
    """

    def __init__(self, client: Client, task: Task) -> None:
        self._client = client
        self.task = task

    def result(self, timeout_s: float | None = None) -> R:
        """What the function returned.

        Raises:
            WaitTimeout: it has not after ``timeout_s``. It goes on.
            RemoteError: it raised, or its job failed.
            IntegrityError: what the job left is no result.
        """
        self.task = self._client.tasks.wait(self.task.id, timeout_s=timeout_s)
        if self.task.status != "completed":
            why = f": {self.task.error.message}" if self.task.error is not None else ""
            raise RemoteError(
                f"task {self.task.id} is {self.task.status}{why}", task_id=self.task.id
            )
        left = {file.path: file.size for file in self._client.tasks.outputs(self.task.id)}
        if "value.json" in left:
            try:
                return cast(R, decode(self._file("value.json", left)))
            except NotEncoded as error:
                raise IntegrityError(
                    f"what task {self.task.id} left is no result: {error}"
                ) from error
        if "error.json" in left:
            raise self._raised(self._file("error.json", left))
        raise IntegrityError(f"task {self.task.id} has left no result")

    def logs(self) -> Iterator[str]:
        """What the function prints, piece by piece, until its job has ended."""
        return self._client.tasks.get_logs(self.task.id, follow=True)

    def cancel(self) -> None:
        """End it, if it has not ended."""
        self.task = self._client.tasks.get(self.task.id)
        # To cancel one that has ended is to delete it.
        if not self.task.ended:
            self._client.tasks.cancel(self.task.id)

    def _file(self, name: str, sizes: dict[str, int]) -> bytes:
        if sizes[name] > SIZE_MAX_BYTES:
            raise IntegrityError(f"{name} of task {self.task.id} has {sizes[name]} bytes: not read")
        with tempfile.TemporaryDirectory(prefix="neurogrid-") as folder:
            (file,) = self._client.tasks.download(self.task.id, folder, paths=[name])
            return Path(file).read_bytes()

    def _raised(self, text: bytes) -> RemoteError:
        try:
            told = json.loads(text)
            kind, message, trace = (str(told[key]) for key in ("type", "message", "traceback"))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise IntegrityError(f"what task {self.task.id} left is no result") from error
        return RemoteError(
            f"{kind}: {message}",
            task_id=self.task.id,
            remote_type=kind,
            remote_traceback=trace,
        )
