"""Runs programs as a reader of this repository would write them: a file beside an installed `@neurogrid/sdk`."""

import subprocess
from pathlib import Path

from javascript import NODE

_PATIENCE_S = 60


def run_program(
    folder: Path, package: Path, environment: dict[str, str], code: str
) -> subprocess.CompletedProcess[str]:
    """Run TypeScript by Node.js, which strips its types; it ends by itself, or the test fails."""
    installed = folder / "node_modules/@neurogrid"
    installed.mkdir(parents=True, exist_ok=True)
    if not (installed / "sdk").exists():
        (installed / "sdk").symlink_to(package)
    (folder / "package.json").write_text('{"type": "module"}')
    file = folder / "program.ts"
    file.write_text(code)
    return subprocess.run(
        [NODE, file],
        cwd=folder,
        env={**environment, "NO_COLOR": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
    )
