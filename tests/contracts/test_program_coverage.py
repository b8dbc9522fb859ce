"""How much of the C source the program's tests execute, measured on the virtual machine itself.

Measured by `make nightly`: it runs all of them a second time.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from line_coverage import Coverage, build_instrumented

from contracts import program_world
from contracts.program_coverage import REPORT

ROOT = Path(__file__).parents[2]
# What is about the committed file, its cost or its deployment; and the long random sequences, which
# reach nothing that the others do not.
LEFT_OUT = {"build", "commands", "costs", "coverage", "deploy", "sequences"}
SUITES = [
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / "tests" / "contracts").glob("test_program_*.py"))
    if path.stem.removeprefix("test_program_") not in LEFT_OUT
]
LINES_MIN = 0.99
BRANCHES_MIN = 0.96


@pytest.mark.nightly
def test_the_programs_tests_execute_its_source(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    out = tmp_path / "coverage.json"
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "contracts-client" / "program")])
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "contracts.program_coverage", "--program-coverage", str(out), *SUITES),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    found = json.loads(out.read_text())
    pytestconfig.stash[REPORT] = found["report"]
    assert found["line_share"] >= LINES_MIN, found["report"]
    assert found["branch_share"] >= BRANCHES_MIN, found["report"]


def test_only_what_was_executed_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A market that was just created has executed its creation, and no dispute."""
    coverage = Coverage(build_instrumented())
    elf = tmp_path / "marked.so"
    elf.write_bytes(coverage.program.elf)
    monkeypatch.setattr(program_world, "SUBJECT", program_world.Subject(elf, coverage.read_logs))
    assert coverage.line_share == 0
    world = program_world.World(ready=False)
    world.do(world.init_config())
    assert coverage.invocations > 1
    executed = {coverage.text(line) for line in coverage.program.lines} - {
        coverage.text(line) for line in coverage.uncovered()
    }
    assert "entrypoint.c: case IX_INIT_CONFIG: return init_config();" in executed
    assert "config.c: config->tag = TAG_CONFIG;" in executed
    assert "entrypoint.c: case IX_DISPUTE: return dispute();" not in executed
    assert not any(line.startswith("dispute.c") for line in executed)
