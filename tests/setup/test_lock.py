"""requirements.lock pins everything that pyproject.toml asks for, and names no registry."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
LOCK = (REPOSITORY / "requirements.lock").read_text()
# Folders of JavaScript are found as scripts/javascript.sh finds them.
JAVASCRIPT_LOCKS = subprocess.run(
    ["git", "ls-files", "*package-lock.json"],
    cwd=REPOSITORY,
    capture_output=True,
    text=True,
    check=True,
).stdout.split()
ENTRIES = re.split(r"\n(?=\S)", LOCK.strip())


def test_every_entry_is_an_exact_version_with_hashes() -> None:
    for entry in ENTRIES:
        assert re.match(
            r"[A-Za-z0-9._-]+==\S+( ; .+)?( \\\n    --hash=sha256:[0-9a-f]{64})+$", entry
        )


def test_no_index_is_named() -> None:
    assert "://" not in LOCK
    assert "index" not in {line.split("=")[0].strip("- ") for line in LOCK.splitlines()}


def test_what_pyproject_asks_for_is_locked_at_a_version_it_accepts() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    groups = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
        project["build-system"]["requires"],
    ]
    asked = [Requirement(text) for group in groups for text in group if isinstance(text, str)]
    # A package may be locked at several versions, for different releases of Python.
    locked: defaultdict[str, list[str]] = defaultdict(list)
    for entry in ENTRIES:
        pin = Requirement(entry.split(" \\\n")[0])
        locked[canonicalize_name(pin.name)] += [spec.version for spec in pin.specifier]
    for requirement in asked:
        if requirement.name != "neurogrid":
            versions = locked[canonicalize_name(requirement.name)]
            assert versions, requirement
            assert all(version in requirement.specifier for version in versions), requirement


@pytest.mark.parametrize("lock", JAVASCRIPT_LOCKS)
def test_javascript_libraries_are_locked_by_hash_and_without_addresses(lock: str) -> None:
    every = json.loads((REPOSITORY / lock).read_text())["packages"]
    # Our own folders are named there as links, and have no hash.
    packages = {
        name: entry
        for name, entry in every.items()
        if "node_modules/" in name and not entry.get("link")
    }
    assert packages
    for entry in packages.values():
        assert entry["version"]
        assert entry["integrity"].startswith("sha512-")
        assert "resolved" not in entry
