"""A job's disk, mounted by a service to which systemd shows a read-only system in a namespace of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.engine

# Process 1 of a machine, whose mounts its services see; what ProtectSystem=strict and ReadWritePaths= do
# to a service; and that service. Source: systemd's namespace.c, and mount_namespaces(7).
MACHINE = """
mount --make-rshared /
unshare --mount --propagation slave sh -c '
  mount --bind "$1" "$1" && mount -o remount,bind,ro / && exec setpriv $4 "$2" -c "$3" "$1"' sh "$@"
exit $?
"""

SERVICE = """
import json, os, sys, trio
from pathlib import Path
from neurogrid_node.files.workspace import Workspaces

def machine_mounts(root):
    lines = Path("/proc/1/mountinfo").read_text().splitlines()
    places = [line.split()[4].replace("\\\\040", " ") for line in lines]
    return [place for place in places if place.startswith(root)]

async def main():
    root = sys.argv[1]
    workspaces = await Workspaces.open(Path(root) / "workspaces")
    try:
        Path("/usr/written").touch()
        protected = False
    except OSError:
        protected = True
    workspace = await workspaces.create("lease_1", 4 << 20)
    (workspace.outputs / "file").write_bytes(bytes(1 << 20))
    during = machine_mounts(root)
    place = Path("/proc/1/root") / workspace.outputs.relative_to("/")
    inside = list(place.iterdir()) if during else []
    await workspaces.destroy("lease_1")
    print(json.dumps({
        "protected": protected, "enforcement": workspaces.enforcement.value, "during": during,
        "inside": [path.name for path in inside], "after": machine_mounts(root),
    }))

trio.run(main)
"""


def served(root: Path, privileges: str) -> dict[str, Any]:
    """What such a service saw, with a directory whose name is not easy to write."""
    command = ("unshare", "--pid", "--fork", "--mount", "--mount-proc", "sh", "-c", MACHINE, "sh")
    done = subprocess.run(
        [*command, str(root), sys.executable, SERVICE, privileges],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    assert seen["protected"], "the system was not read-only: this shows nothing"
    assert seen["after"] == []
    return seen


def test_it_is_where_the_engine_sees_it_and_goes_away(tmp_path: Path) -> None:
    root = tmp_path / "a b"
    root.mkdir()
    seen = served(root, "--no-new-privs")
    assert seen["enforcement"] == "hard"
    assert len(seen["during"]) == 1
    assert seen["inside"] == ["file"]


def test_a_service_that_may_not_leave_its_view_promises_no_limit(tmp_path: Path) -> None:
    seen = served(tmp_path, "--bounding-set=-sys_ptrace")
    assert (seen["enforcement"], seen["during"]) == ("watched", [])
