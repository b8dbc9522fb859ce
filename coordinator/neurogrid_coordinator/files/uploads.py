"""Files of clients on the operator's disk: ``[uploads] root``, with a folder for each account.

    ROOT/<account id>/jobs/tasks.csv      is "jobs/tasks.csv" for its account, and for nobody else

A path is walked name by name, from the account's folder on, through no link: what is opened lies there,
whatever somebody changes beside it meanwhile.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PATH_CHARS_MAX = 1024
_NAMES_MAX = 32


class UploadsRefused(Exception):
    """The path can't be used; the message is for whoever named it."""


class Uploads:
    """The files of all accounts.

    Args:
        root: the operator's folder; None where there is none.
        writable: whether results may be written there.
    """

    def __init__(self, root: Path | None, *, writable: bool = False) -> None:
        self._root = root
        self.writable = writable and root is not None

    @contextmanager
    def open(self, account_id: str, path: str, size_bytes_max: int) -> Iterator[BinaryIO]:
        """An account's file, to be read. Blocks: for a thread.

        Raises:
            UploadsRefused: there is none, it lies elsewhere, or it is too large.
        """
        folders, name = self._names(path)
        folder = self._walk(account_id, folders, path)
        try:
            # Without waiting: a pipe without a writer would hold the thread for ever.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=folder)
        except OSError as error:
            raise _no_file(path) from error
        finally:
            os.close(folder)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise _no_file(path)
            if found.st_size > size_bytes_max:
                raise UploadsRefused(
                    f"{path[:200]} has {found.st_size} bytes; at most {size_bytes_max} are read"
                )
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                yield file
        finally:
            os.close(descriptor)

    def check_writable(self, path: str) -> None:
        """Refuse a path where no result could ever be written.

        Raises:
            UploadsRefused: its form is wrong, or the operator lets nobody write.
        """
        self._names(path)
        if not self.writable:
            raise UploadsRefused(
                "this coordinator writes no files for clients ([uploads] write in its configuration); "
                "leave it out and get the result as an artifact"
            )

    @contextmanager
    def replace(self, account_id: str, path: str) -> Iterator[BinaryIO]:
        """A file to be written, which takes the place of an account's file when the block has ended well.
        Blocks: for a thread.

        Raises:
            UploadsRefused: nothing may be written there.
            OSError: the disk is full.
        """
        self.check_writable(path)
        folders, name = self._names(path)
        folder = self._walk(account_id, folders, path)
        partial = f".{secrets.token_hex(8)}.partial"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                descriptor = os.open(partial, flags, 0o640, dir_fd=folder)
            except OSError as error:
                raise UploadsRefused(f"{path[:200]} can't be written: {error.strerror}") from error
            try:
                with os.fdopen(descriptor, "wb") as file:
                    yield file
                    file.flush()
                    os.fsync(descriptor)
                os.rename(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            except BaseException:
                os.unlink(partial, dir_fd=folder)
                raise
        finally:
            os.close(folder)

    def _names(self, path: str) -> tuple[list[str], str]:
        """The folders on the way, and the file's name."""
        if self._root is None:
            raise UploadsRefused(
                "this coordinator reads no files of its own disk ([uploads] root in its configuration); "
                "upload the file with PUT /api/v1/artifacts/{sha256} and name its hash"
            )
        # As below a root of its own: "/jobs/tasks.csv" is "jobs/tasks.csv".
        names = [name for name in path.split("/") if name not in ("", ".")]
        odd = not path.isprintable() or ".." in names or any(name[0] == "." for name in names)
        if not names or len(path) > _PATH_CHARS_MAX or len(names) > _NAMES_MAX or odd:
            raise UploadsRefused(
                f"{path[:200]!r} is no path below your folder: plain names with / between them"
            )
        return names[:-1], names[-1]

    def _walk(self, account_id: str, names: list[str], path: str) -> int:
        """An open descriptor of the folder that these lead to."""
        assert self._root is not None, "checked before"
        try:
            folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise UploadsRefused("the operator's folder for uploads is not there") from error
        for name in (account_id, *names):
            try:
                below = os.open(name, _FOLDER, dir_fd=folder)
            except (OSError, ValueError) as error:
                raise _no_file(path) from error
            finally:
                os.close(folder)
            folder = below
        return folder


def _no_file(path: str) -> UploadsRefused:
    # The same words whether it is missing, a link, a folder or a pipe.
    return UploadsRefused(f"there is no plain file {path[:200]} in your folder for uploads")
