"""Receipts in TypeScript: the verdict, and every word of it, are Python's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from javascript import NODE
from typescript.receipts_recorder import RECORDED

TESTS = Path(__file__).parents[1]
# Honest receipts, and all that dishonest coordinators and nodes were thought of.
FORGED = ("marketplace/test_receipt.py", "marketplace/test_sealing.py", "vectors")
# Of coordinators that are there from the demand to the settlement.
MADE = (
    "coordinator/test_gangs.py",
    "coordinator/test_preemptible.py",
    "coordinator/test_sealed_bids.py",
    "coordinator/test_starts.py",
    "coordinator/test_use.py",
)


@pytest.mark.parametrize(
    ("files", "valid", "invalid"),
    [(FORGED, 10, 100), pytest.param(MADE, 25, 0, marks=pytest.mark.nightly)],
    ids=["forged", "made"],
)
def test_every_receipt_of_pythons_own_tests_has_the_same_verdict_word_by_word(
    files: tuple[str, ...], valid: int, invalid: int, package: Path, tmp_path: Path
) -> None:
    recorded = tmp_path / "receipts.jsonl"
    options = ("-q", "-x", "-p", "no:cacheprovider", "-p", "typescript.receipts_recorder")
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(str(TESTS / each) for each in files)],
        cwd=TESTS.parent,
        env={**os.environ, RECORDED: str(recorded), "PYTHONPATH": str(TESTS)},
        check=True,
        capture_output=True,
        timeout=240,
    )
    found = json.loads(
        subprocess.run(
            [NODE, "test/receipts-recorded.ts", recorded],
            cwd=package,
            check=True,
            capture_output=True,
            text=True,
            timeout=240,
        ).stdout
    )
    assert found["differences"] == []
    assert found["valid"] >= valid
    assert found["invalid"] >= invalid


def test_the_tables_of_messages_are_those_of_the_protocols_page(package: Path) -> None:
    page = (TESTS.parent / "docs/protocol.md").read_text()
    written = subprocess.run(
        [NODE, "scripts/protocol.mjs"],
        cwd=package,
        check=True,
        capture_output=True,
        input=page,
        text=True,
        timeout=60,
    ).stdout
    assert written == (package / "src/receipts/tables.ts").read_text(), "`make schema` writes them"
