"""A log file outlives a full disk, a rotation by others, and kill -9."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from neurogrid_telemetry.log_file import LogFile
from neurogrid_telemetry.log_settings import LogSettings
from neurogrid_telemetry.logs import start_logging

WRITER = """
import logging, sys
from neurogrid_telemetry.log_settings import LogSettings
from neurogrid_telemetry.logs import start_logging
from neurogrid_telemetry import log_rate
log_rate.BURST_LINES = 10**9
start_logging(LogSettings(format="json", file=sys.argv[1], file_mib=1, files=3))
log = logging.getLogger("neurogrid_node.test")
number = 0
while True:
    log.info("%d %s", number, "x" * 500)
    print(number, flush=True)
    number += 1
"""


class Log:
    """One log file, and `info` to write to it."""

    def __init__(self, path: Path) -> None:
        self._handler = LogFile(path, 10_000, 3)

    def info(self, message: str, *arguments: object) -> None:
        record = logging.LogRecord("n", logging.INFO, "f.py", 1, message, arguments, None)
        self._handler.handle(record)

    def close(self) -> None:
        self._handler.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with closing(Log(tmp_path / "node.log")) as made:
        yield made


def lines_of(folder: Path) -> list[str]:
    """Of all files of a log, the oldest first."""
    paths = sorted(folder.glob("node.log*"), reverse=True)
    return [line for path in paths for line in path.read_text().splitlines()]


def test_files_are_bounded_in_size_and_number(log: Log, tmp_path: Path) -> None:
    for number in range(1000):
        log.info("%d %s", number, "x" * 100)
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["node.log", "node.log.1", "node.log.2"]
    assert all(path.stat().st_size <= 10_000 for path in files)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    kept = [int(line.split()[0]) for line in lines_of(tmp_path)]
    assert kept == list(range(kept[0], 1000))


@pytest.mark.parametrize("how", ["moved", "deleted", "emptied"])
def test_after_a_rotation_by_others_it_goes_on_in_the_file_of_the_name(
    log: Log, tmp_path: Path, how: str
) -> None:
    path = tmp_path / "node.log"
    log.info("one")
    if how == "moved":
        path.rename(tmp_path / "old")
    elif how == "deleted":
        path.unlink()
    else:
        os.truncate(path, 0)
    log.info("two")
    assert path.read_text() == "two\n"


def test_a_full_disk_costs_lines_and_says_how_many(
    log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node.log"
    path.symlink_to("/dev/full")
    for number in range(5):
        log.info("lost %d", number)
    assert capsys.readouterr().err.count("cannot be written") == 1
    path.unlink()
    log.info("here")
    first, second = path.read_text().splitlines()
    assert first == "5 lines are missing here: the file could not be written"
    assert second == "here"


def test_a_folder_that_is_gone_stops_nobody(tmp_path: Path) -> None:
    with closing(Log(tmp_path / "gone" / "node.log")) as log:
        log.info("lost")
        (tmp_path / "gone").mkdir()
        log.info("here")
    assert (tmp_path / "gone" / "node.log").read_text().endswith("here\n")


def test_a_line_that_was_torn_takes_no_other_with_it(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    path.write_text('{"message": "ha')
    log.info("whole")
    assert path.read_text() == '{"message": "ha\nwhole\n'


def test_what_was_logged_before_kill_9_is_there(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        said = 0
        for line in writer.stdout:
            said = int(line)
            if said == 5000:  # in the third file
                writer.send_signal(signal.SIGKILL)
                break
        said = max([said, *map(int, writer.stdout.read().split()[:-1])])
    kept = lines_of(tmp_path)
    if not path.read_text().endswith("\n"):
        kept.pop()  # a signal that kills ends a write between two pages: that line was never said
    written = [int(json.loads(line)["message"].split()[0]) for line in kept]
    assert written == list(range(written[0], written[-1] + 1))
    assert written[-1] >= said


def test_a_file_that_can_never_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        start_logging(LogSettings(file=str(tmp_path)))


def test_each_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    settings = LogSettings(file="logs/node.log").below(tmp_path)
    assert settings.file == str(tmp_path / "logs/node.log")
    assert settings.beside("discovery").file == str(tmp_path / "logs/node-discovery.log")
    assert LogSettings().below(tmp_path).beside("discovery") == LogSettings()
