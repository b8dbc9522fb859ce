"""Files that hold a secret: readable by their owner alone, written whole or not at all."""

import os
import secrets
import stat
from pathlib import Path

from neurogrid_wallet.errors import SecretFileError, SecretFileExists, SecretFilePermissions

# A keystore has about 600 bytes and a Solana key file 230: more is some other file.
SECRET_FILE_BYTES_MAX = 16 * 1024


def read_secret_file(path: Path) -> bytes:
    """The content of ``path``, if nobody but its owner may read it.

    The file is judged through its descriptor, so that it cannot be exchanged between the check
    and the read. Symbolic links are followed: secret mounts consist of them.

    Raises:
        SecretFilePermissions: group or others have any access.
        SecretFileError: missing, unreadable, no regular file, or larger than any secret.
    """
    try:
        # O_NONBLOCK: a named pipe must be refused, not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SecretFileError(f"cannot read {path}: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SecretFileError(f"{path} is not a regular file")
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise SecretFilePermissions(
                f"{path} has mode {mode:04o}, so that others may use its secret: chmod 600 it"
            )
        # One read: of a regular file it is only short at the end.
        content = os.read(descriptor, SECRET_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SecretFileError(f"cannot read {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(content) > SECRET_FILE_BYTES_MAX:
        raise SecretFileError(f"{path} has more than {SECRET_FILE_BYTES_MAX} bytes: not a secret")
    return content


def write_secret_file(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Put ``content`` at ``path`` with mode 0600, durably; a crash leaves the old file or the new.

    Args:
        overwrite: replace what is there; otherwise an existing file stays as it is.

    Raises:
        SecretFileExists: the path is taken and ``overwrite`` is false.
        SecretFileError: the file system refused.
    """
    if len(content) > SECRET_FILE_BYTES_MAX:
        raise ValueError(f"a secret file holds at most {SECRET_FILE_BYTES_MAX} bytes")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        _write_new(temporary, content)
        try:
            if overwrite:
                os.replace(temporary, path)
            else:
                # Unlike a check followed by a rename, a link is refused atomically.
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except FileExistsError as error:
        raise SecretFileExists(f"{path} exists and is not overwritten") from error
    except OSError as error:
        raise SecretFileError(f"cannot write {path}: {error.strerror}") from error


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    """Make the new name itself survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
