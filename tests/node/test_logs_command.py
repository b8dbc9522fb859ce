"""What an owner reads of jobs' logs and of the daemon's, on a terminal that strangers write to."""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_node.__main__ import main
from neurogrid_node.commands.tailing import read_log
from neurogrid_node.commands.terminal import harmless
from node.market import LEASE


def typed(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["logs", *arguments, "--data", str(directory)])


@pytest.fixture
def job_log(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    path = tmp_path / "logs" / f"{LEASE}.log"
    path.write_text("one\ntwo\n\x1b[2Jthree\r\n10%\r20%\nvier ☃\n")
    return path


@given(st.text())
def test_nothing_that_a_job_writes_moves_a_cursor(text: str) -> None:
    assert all(each.isprintable() or each in "\n\t" for each in harmless(text))


@given(st.text("ab\n", max_size=40), st.integers(0, 9))
def test_the_last_lines_are_those_that_split_lines_says(
    tmp_path_factory: pytest.TempPathFactory, text: str, lines: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "tail.log"
    path.write_text(text)
    kept = text.splitlines(keepends=True)[-lines:] if lines else []
    assert "".join(read_log(path, lines, follow=False)) == "".join(kept)


def test_the_tail_of_a_long_log_is_found_across_blocks(tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    every = [f"{number} {'x' * (number % 700)}\n" for number in range(2000)]
    path.write_text("".join(every))
    assert "".join(read_log(path, 500, follow=False)) == "".join(every[-500:])


def test_a_jobs_log_is_shown_without_its_escapes_and_to_programs_as_it_is(
    tmp_path: Path, job_log: Path
) -> None:
    shown = typed(tmp_path, LEASE)
    assert (shown.exit_code, shown.output) == (0, "one\ntwo\n\\x1b[2Jthree\n10%\n20%\nvier ☃\n")
    assert typed(tmp_path, LEASE, "--tail", "1").output == "vier ☃\n"
    (piece,) = typed(tmp_path, LEASE, "--json").output.splitlines()
    assert json.loads(piece)["text"] == job_log.read_bytes().decode()


@pytest.mark.parametrize("lease_id", ["../journal", "lease_1", "lease_" + "9" * 32])
def test_what_has_no_log_here_is_named(tmp_path: Path, lease_id: str) -> None:
    refused = typed(tmp_path, lease_id)
    assert refused.exit_code == 2
    assert lease_id in refused.output
    assert typed(tmp_path, LEASE, "--daemon").exit_code == typed(tmp_path).exit_code == 2


def instead_of_sleep(*steps: Callable[[], object]) -> Callable[[float], None]:
    """What happens while nothing new is there, one after the other."""
    remaining = iter(steps)

    def step(_: float) -> None:
        next(remaining)()

    return step


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_following_ends_with_the_lease(job_log: Path) -> None:
    steps = instead_of_sleep(lambda: append(job_log, "more\n"), job_log.unlink)
    text = "".join(read_log(job_log, 1, follow=True, sleep=steps))
    assert text == "vier ☃\nmore\n"


def test_following_the_daemon_goes_on_through_rotations(tmp_path: Path) -> None:
    path, aside = tmp_path / "node.log", tmp_path / "node.log.1"
    path.write_text("old\n")

    def rotate() -> None:
        path.rename(aside)
        append(aside, "last of it\n")

    steps = instead_of_sleep(rotate, lambda: path.write_text("new\n"))
    pieces = read_log(path, None, follow=True, comes_back=True, sleep=steps)
    seen = ""
    while not seen.endswith("new\n"):
        seen += next(pieces)
    pieces.close()
    assert seen == "old\nlast of it\nnew\n"


def test_the_daemons_log_is_where_its_configuration_says(tmp_path: Path) -> None:
    example = files("neurogrid_node").joinpath("node.toml").read_text()
    config = tmp_path / "node.toml"
    config.write_text(example)
    unset = typed(tmp_path, "--daemon")
    assert unset.exit_code == 2
    assert "set [log] file in" in unset.output
    config.write_text(example.replace('file = ""', 'file = "node.log"'))
    missing = typed(tmp_path, "--daemon")
    assert missing.exit_code == 2
    assert "has logged nothing yet" in missing.output
    (tmp_path / "node.log").write_text("2026 up\n")
    assert typed(tmp_path, "--daemon").output == "2026 up\n"
