"""What the set-up scripts tell a person, when there is nothing to do and when something fails."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = REPOSITORY / "scripts"


def _run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script],
        check=False,
        env={**os.environ, **environment},
        cwd=SCRIPTS,
        capture_output=True,
        text=True,
    )


def test_a_step_says_one_line_and_keeps_its_output_in_a_log() -> None:
    run = _run("source ./step.sh; step test-step 'counting to three' seq 3")
    assert run.returncode == 0
    assert re.fullmatch(r"test-step counting to three \(\d s\)\n", run.stdout)
    assert (REPOSITORY / "build/log/test-step.log").read_text() == "1\n2\n3\n"


def test_a_failing_step_stops_at_its_first_failure_and_shows_its_log() -> None:
    script = """source ./step.sh
    work() { echo before; false; echo after; }
    step test-step 'doing work' work
    echo not reached"""
    run = _run(script)
    assert run.returncode == 1
    assert run.stdout == "test-step doing work FAILED\n"
    assert run.stderr.startswith("before\n")
    assert "after" not in run.stderr
    assert "build/log/test-step.log" in run.stderr


@pytest.mark.engine
def test_nothing_is_said_of_an_engine_that_answers() -> None:
    run = _run("./engine.sh")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_an_engine_elsewhere_that_does_not_answer_is_named_and_none_is_started() -> None:
    # Port 1 is reserved; nothing listens there.
    run = _run("./engine.sh", DOCKER_HOST="tcp://127.0.0.1:1")
    assert run.returncode == 1
    assert "no Docker engine answers at DOCKER_HOST=tcp://127.0.0.1:1" in run.stderr


def test_javascript_libraries_that_are_installed_are_left_alone() -> None:
    run = _run("./javascript.sh")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_debian_package_that_is_unpacked_is_left_alone() -> None:
    run = _run("./debian_files.sh busybox-static", PATH="/usr/bin:/bin")
    assert (run.returncode, run.stdout) == (0, "")
