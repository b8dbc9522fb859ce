"""The TypeScript SDK: its own tests, here with a coordinator, and what the coordinator says of its API."""

import asyncio
import os
import subprocess
from pathlib import Path

from javascript import NODE
from typescript.write_schema import document, schema


def test_its_own_tests_pass_beside_a_coordinator(
    package: Path, environment: dict[str, str]
) -> None:
    run(package, environment, "node_modules/vitest/vitest.mjs", "run")


def test_types_and_style_hold(package: Path) -> None:
    run(package, None, "node_modules/typescript/bin/tsc")
    run(package, None, "node_modules/eslint/bin/eslint.js", "--max-warnings", "0", ".")


def test_the_types_of_the_api_are_those_of_its_document(package: Path) -> None:
    written = schema(package, asyncio.run(document()))
    assert written == (package / "src/schema.ts").read_text(), "`make schema` writes them anew"


def run(package: Path, environment: dict[str, str] | None, *command: str) -> None:
    """Run a program of the package's; what it printed is the failure."""
    ended = subprocess.run(
        [NODE, *command],
        cwd=package,
        env={**(environment or os.environ), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        # What it printed is shown below.
        check=False,
    )
    assert ended.returncode == 0, (
        f"{' '.join(command)}\n{ended.stdout[-8000:]}\n{ended.stderr[-4000:]}"
    )
