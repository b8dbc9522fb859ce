"""docs/doctor.md lists what doctor can find."""

import re
from pathlib import Path

from neurogrid_node.doctor.findings import CODES
from neurogrid_node.machine.toolkit import ESCAPES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/doctor.md").read_text()


def test_every_code_is_there_with_its_severity_and_nothing_else() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (ok|warn|fail) \| \S.* \|.*\|$", PAGE, re.MULTILINE)
    assert rows == [(name, code.severity.value) for name, code in CODES.items()]


def test_every_code_is_found_by_some_check() -> None:
    folder = ROOT / "node/neurogrid_node"
    source = "".join(
        file.read_text() for file in folder.rglob("*.py") if file.name != "findings.py"
    )
    assert [name for name in CODES if f'"{name}"' not in source] == []


def test_every_escape_is_there_with_the_version_that_mends_it() -> None:
    rows = re.findall(r"^\| `(CVE-[0-9-]+)` \| ([0-9.]+) \|$", PAGE, re.MULTILINE)
    assert rows == [(name, ".".join(map(str, fixed))) for name, fixed in ESCAPES.items()]
