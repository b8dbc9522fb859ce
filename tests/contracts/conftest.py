"""What these tests say at the end of the whole run."""

import pytest

from contracts.program_coverage import REPORT


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    report = config.stash.get(REPORT, None)
    if report is not None:
        terminalreporter.section("the on-chain program's C source, as executed by its tests")
        terminalreporter.write_line(report)
