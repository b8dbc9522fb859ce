"""The dashboard's sources: their own tests, types and style."""

import subprocess
from pathlib import Path

import pytest

from javascript import NODE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dashboard"


@pytest.mark.parametrize(
    "command",
    [
        ("node_modules/vitest/vitest.mjs", "run"),
        ("node_modules/typescript/bin/tsc",),
        ("node_modules/eslint/bin/eslint.js", "--max-warnings", "0", "."),
    ],
    ids=["tests", "types", "style"],
)
def test_they_hold(command: tuple[str, ...]) -> None:
    ended = subprocess.run(
        [NODE, *command], cwd=FOLDER, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, f"{ended.stdout[-8000:]}\n{ended.stderr[-4000:]}"


def test_only_the_api_has_a_key_and_only_the_session_keeps_it() -> None:
    """A page that put the key elsewhere would undo what the frame promises."""
    for path in (FOLDER / "src").rglob("*.ts*"):
        text = path.read_text()
        name = path.relative_to(FOLDER / "src").as_posix()
        if "sessionStorage" in text and ".test." not in name:
            assert "credential" not in text or name == "app/session.ts", name
        assert "document.cookie" not in text, name
        assert "innerHTML" not in text, name
