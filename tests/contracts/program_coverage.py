"""A pytest plugin: the program's tests on the program with marks, and what they reached.

    pytest -p contracts.program_coverage --program-coverage FILE tests/contracts/test_program_...

writes FILE. ``test_program_coverage.py`` runs it; ``line_coverage.py`` beside the program says how
the marks work.
"""

import json
import tempfile
from pathlib import Path

import pytest
from line_coverage import Coverage, build_instrumented

from contracts import program_world

REPORT = pytest.StashKey[str]()
"""The table, for the end of a whole run (``conftest.py``)."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--program-coverage", type=Path, required=True, metavar="FILE")


class Measuring:
    """Puts the marked program into every world of this session."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._folder = tempfile.TemporaryDirectory()
        self._coverage = Coverage(build_instrumented())

    def pytest_sessionstart(self) -> None:
        elf = Path(self._folder.name) / "marked.so"
        elf.write_bytes(self._coverage.program.elf)
        program_world.SUBJECT.elf = elf
        program_world.SUBJECT.observe = self._coverage.read_logs

    def pytest_sessionfinish(self) -> None:
        self._folder.cleanup()
        coverage = self._coverage
        missed = {
            "line_share": coverage.line_share,
            "branch_share": coverage.block_share,
            "uncovered": [coverage.text(line) for line in coverage.uncovered()],
            "report": coverage.report(),
        }
        self._out.write_text(json.dumps(missed))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Measuring(config.getoption("--program-coverage")))
