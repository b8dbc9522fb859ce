"""The guide and the package's README: their programs run, from the first block to the last."""

import re
import subprocess
from pathlib import Path

import pytest

from javascript import NODE
from typescript.programs import run_program

REPOSITORY = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```typescript\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_IMPORT = re.compile(r"^import .*;$", re.MULTILINE)


@pytest.mark.parametrize("page", ["docs/typescript.md", "sdk/typescript/README.md"])
def test_a_pages_programs_run(
    page: str, tmp_path: Path, package: Path, environment: dict[str, str]
) -> None:
    blocks = _BLOCK.findall((REPOSITORY / page).read_text())
    assert blocks
    # The coordinator of these tests has one of another name.
    code = "\n".join(blocks).replace("bard-1m", "small")
    imports = dict.fromkeys(_IMPORT.findall(code))
    ended = run_program(
        tmp_path, package, environment, "\n".join([*imports, _IMPORT.sub("", code)])
    )
    assert ended.stderr == ""
    assert ended.returncode == 0
    assert " or not to be" in ended.stdout
    options = [
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--lib",
        "es2023,dom",
    ]
    compiler = package / "node_modules/typescript/bin/tsc"
    checked = subprocess.run(
        [NODE, compiler, *options, "program.ts"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert checked.stdout == ""
