import os
import stat
from pathlib import Path

import pytest

from neurogrid_wallet.errors import SecretFileError, SecretFileExists, SecretFilePermissions
from neurogrid_wallet.secret_file import (
    SECRET_FILE_BYTES_MAX,
    read_secret_file,
    write_secret_file,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secret"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_mode_does_not_depend_on_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_secret_file(path, b"secret", overwrite=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_replacing_a_file_takes_away_what_others_had(path: Path) -> None:
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_secret_file(path, b"new", overwrite=True)
    assert read_secret_file(path) == b"new"


def test_a_dangling_link_is_not_written_through(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SecretFileExists):
        write_secret_file(path, b"secret", overwrite=False)
    assert not (tmp_path / "elsewhere").exists()


def test_a_failed_write_leaves_nothing_behind(path: Path, tmp_path: Path) -> None:
    path.mkdir()
    with pytest.raises(SecretFileError):
        write_secret_file(path, b"secret", overwrite=True)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(SecretFileError, match="No such file"):
        write_secret_file(tmp_path / "missing" / "secret", b"secret", overwrite=False)


def test_a_link_to_a_private_file_is_followed(path: Path, tmp_path: Path) -> None:
    write_secret_file(tmp_path / "target", b"secret", overwrite=False)
    path.symlink_to(tmp_path / "target")
    assert read_secret_file(path) == b"secret"
    (tmp_path / "target").chmod(0o604)
    with pytest.raises(SecretFilePermissions, match="0604"):
        read_secret_file(path)


def test_pipes_and_directories_are_refused_without_waiting(path: Path, tmp_path: Path) -> None:
    os.mkfifo(path, mode=0o600)
    with pytest.raises(SecretFileError, match="regular"):
        read_secret_file(path)
    with pytest.raises(SecretFileError):
        read_secret_file(tmp_path)


def test_a_file_larger_than_any_secret_is_refused(path: Path) -> None:
    path.write_bytes(b"x" * (SECRET_FILE_BYTES_MAX + 1))
    path.chmod(0o600)
    with pytest.raises(SecretFileError, match="more than"):
        read_secret_file(path)
    with pytest.raises(ValueError, match="at most"):
        write_secret_file(path, b"x" * (SECRET_FILE_BYTES_MAX + 1), overwrite=True)
