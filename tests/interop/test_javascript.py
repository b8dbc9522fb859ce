"""npm's Solana clients against a real ledger process (@solana/web3.js, kit, spl-token), and the provider's parts.

The tests themselves are JavaScript, in js and js/provider, *.test.mjs; each is reported here under its own name.
"""

import os
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from contracts.ledger_process import LedgerProcess
from interop.ledger import create_market, describe
from javascript import NODE

pytestmark = pytest.mark.processes

JS = Path(__file__).parent / "js"
SUITES = sorted(
    path.relative_to(JS).as_posix()
    for folder in (JS, JS / "provider")
    for path in folder.glob("*.test.mjs")
)
# Far beyond what a suite takes (seconds), for one that hangs.
_SUITE_S_MAX = 300


def _names(suite: str) -> list[str]:
    """The tests that a suite's source declares."""
    return re.findall(r"^test\('([^']+)'", (JS / suite).read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def described(ledger: LedgerProcess) -> str:
    """The ledger with a market on it, as js/ledger.mjs takes it."""
    return describe(ledger, create_market(ledger))


@cache
def _report(suite: str, described: str) -> str:
    """Run a suite, once; what node says of it, in TAP."""
    done = subprocess.run(
        [NODE, "--test-reporter=tap", suite],
        cwd=JS,
        env={**os.environ, "INTEROP_LEDGER": described},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_SUITE_S_MAX,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("suite", "name"), [(suite, name) for suite in SUITES for name in _names(suite)]
)
def test_a_client_works(described: str, suite: str, name: str) -> None:
    report = _report(suite, described)
    outcome = re.search(
        rf"^(?P<word>ok|not ok) \d+ - {re.escape(name)}$(?P<detail>.*?)(?=^# Subtest|\Z)",
        report,
        re.MULTILINE | re.DOTALL,
    )
    assert outcome, report
    assert outcome["word"] == "ok", outcome["detail"]


@pytest.mark.parametrize("suite", SUITES)
def test_every_test_of_a_suite_is_reported(described: str, suite: str) -> None:
    assert f"\n1..{len(_names(suite))}\n" in _report(suite, described)
