"""Log files: bounded, readable from their end, followed across a cut."""

import itertools
import os
from pathlib import Path

import pytest

from neurogrid_devnet import log_files
from neurogrid_devnet.log_files import bound_log, follow, open_log, tail


def write(descriptor: int, text: str) -> None:
    os.write(descriptor, text.encode())


def test_a_log_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    for text in ("one\n", "two\n"):
        descriptor = open_log(path)
        write(descriptor, text)
        os.close(descriptor)
    assert tail(path, 10) == ["one", "two"]


def test_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"{number}\n" for number in range(100_000)))
    assert tail(path, 2) == ["99998", "99999"]
    assert tail(path, 0) == []
    assert tail(tmp_path / "none.log", 5) == []


def test_a_log_that_has_grown_is_moved_aside_and_its_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "LOG_BYTES_MAX", 8)
    path = tmp_path / "a.log"
    descriptor = open_log(path)
    write(descriptor, "short\n")
    bound_log(path)
    assert tail(path, 9) == ["short"]
    write(descriptor, "too long\n")
    bound_log(path)
    write(descriptor, "after\n")
    os.close(descriptor)
    assert tail(path, 9) == ["after"]
    assert tail(tmp_path / "a.log.1", 9) == ["short", "too long"]


def test_a_log_that_does_not_exist_is_no_error(tmp_path: Path) -> None:
    bound_log(tmp_path / "none.log")


def test_what_is_written_later_is_followed_line_by_line_and_across_a_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    descriptor = open_log(path)
    write(descriptor, "before\n")
    lines = follow([path])

    def take(count: int) -> list[str]:
        return [line for _, line in itertools.islice(lines, count)]

    write(descriptor, "one\ntwo\nhal")
    assert take(2) == ["one", "two"]
    write(descriptor, "f\n")
    assert take(1) == ["half"]
    os.truncate(path, 0)
    write(descriptor, "new\n")
    assert take(1) == ["new"]
    os.close(descriptor)
