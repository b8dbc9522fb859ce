"""The test vectors in JavaScript: a second implementation of the protocol, made from docs/protocol.md."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from javascript import NODE

pytestmark = pytest.mark.processes

PROTOCOL = Path(__file__).parent / "js/protocol"
VECTORS = Path(__file__).parent.parent / "vectors"
FILES = sorted(path.name for path in VECTORS.glob("*.json"))
# Far beyond what it takes (a second), for one that hangs.
_LIMIT_S = 120


@cache
def _wrong(folder: Path) -> dict[str, str | None]:
    """For each file of a folder what does not hold, or None."""
    done = subprocess.run(
        [NODE, "check-vectors.mjs", str(folder)],
        cwd=PROTOCOL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=_LIMIT_S,
    )
    found: dict[str, str | None] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_vector_holds_in_javascript(name: str) -> None:
    assert _wrong(VECTORS)[name] is None, _wrong(VECTORS)[name]


def test_a_vector_without_a_check_is_wrong(tmp_path: Path) -> None:
    for name in FILES:
        shutil.copy(VECTORS / name, tmp_path)
    (tmp_path / "new.json").write_text("{}")
    assert "no check of new.json" in (_wrong(tmp_path)["new.json"] or "")


def test_a_changed_vector_is_wrong(tmp_path: Path) -> None:
    for name in FILES:
        shutil.copy(VECTORS / name, tmp_path)
    vectors = json.loads((VECTORS / "auctions.json").read_text())
    vectors[-1]["ranking"][0]["award_price_micro_usdc_per_hour"] += 1
    (tmp_path / "auctions.json").write_text(json.dumps(vectors))
    assert [name for name, why in _wrong(tmp_path).items() if why] == ["auctions.json"]
