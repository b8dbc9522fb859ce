"""What hostile jobs leave in /outputs, made by one real job; each is refused by name."""

import hashlib
import json
from functools import partial

import pytest
import trio

from engine.bench import MIB, Bench
from neurogrid_node.files.workspace import CollectedFile, OutputRefused
from neurogrid_node.files.workspace_outputs import collect_files

pytestmark = pytest.mark.engine

HOSTILE = """
import errno, json, os, socket, stat
os.chdir("/outputs")
def folder(name):
    os.mkdir(name)
    return name + "/"
os.symlink("/etc/passwd", folder("symlink") + "passwd")
os.symlink("/etc", folder("symlink_folder") + "etc")
os.mkfifo(folder("fifo") + "pipe")
socket.socket(socket.AF_UNIX).bind(folder("socket") + "socket")
open(folder("hard_link") + "a", "w").close()
os.link("hard_link/a", "hard_link/b")
open(folder("control") + "a\\nb", "w").close()
open(folder("hidden") + "gnp.\\u202etxt", "w").close()
open(os.fsencode(folder("bytes")) + b"\\xff", "w").close()
open(folder("backslash") + "a\\\\b", "w").close()
os.mkdir("deep")
os.chdir("deep")
for _ in range(2000):
    os.mkdir("d")
    os.chdir("d")
os.chdir("/outputs")
with open(folder("holes") + "big", "wb") as file:
    os.truncate(file.fileno(), 15 << 20)
with open("holes/big2", "wb") as file:
    os.truncate(file.fileno(), 15 << 20)
folder("many")
for i in range(10_500):
    open(f"many/{i}", "w").close()
refused = {}
def attempt(name, action):
    try:
        action()
        refused[name] = "done"
    except OSError as error:
        refused[name] = errno.errorcode[error.errno]
attempt("device", lambda: os.mknod("disk", stat.S_IFBLK | 0o600, os.makedev(7, 0)))
attempt("link_to_input", lambda: os.link("/inputs/given", "given"))
attempt("terabyte", lambda: os.truncate(os.open("t", os.O_CREAT | os.O_WRONLY), 1 << 40))
os.unlink("t")
folder("good")
folder("good/er")
for path in ("good/b", "good/er/a", "good/ä b"):
    with open(path, "w") as file:
        file.write(path)
print(json.dumps(refused))
"""


REFUSED = {
    "symlink": "symlink",
    "symlink_folder": "symlink",
    "fifo": "fifo",
    "socket": "socket",
    "hard_link": "hard_link",
    "control": "bad_name",
    "hidden": "bad_name",
    "bytes": "bad_name",
    "backslash": "bad_name",
    "deep": "too_deep",
    "holes": "too_large",
    "many": "too_many_files",
}


async def test_hostile_outputs(bench: Bench) -> None:
    container_id, workspace = await bench.prepare(bench.spec(HOSTILE))
    (workspace.inputs / "given").write_text("given")
    await bench.engine.start(container_id)
    log = await bench.log(container_id)
    assert (await bench.engine.wait(container_id)).code == 0, log

    # What the kernel already refused the job.
    assert json.loads(log) == {"device": "EPERM", "link_to_input": "EXDEV", "terabyte": "EFBIG"}

    async def collect(folder: str) -> tuple[CollectedFile, ...]:
        inside = partial(collect_files, workspace.outputs / folder, max_bytes=16 * MIB)
        return await trio.to_thread.run_sync(inside)

    for folder, code in REFUSED.items():
        with pytest.raises(OutputRefused) as refusal:
            await collect(folder)
        assert refusal.value.code == code, folder
        assert "passwd:x" not in str(refusal.value)

    # One bad thing anywhere is enough.
    with pytest.raises(OutputRefused):
        await bench.workspaces.collect(workspace.lease_id)

    good = await collect("good")
    assert [(file.path, file.size_bytes) for file in good] == [("b", 6), ("er/a", 9), ("ä b", 9)]
    for file in good:
        content = ("good/" + file.path).encode()
        assert file.sha256 == hashlib.sha256(content).hexdigest()
        assert file.host_path.read_bytes() == content

    await bench.engine.remove(container_id)
    await bench.workspaces.destroy(workspace.lease_id)
    assert await bench.workspaces.list() == ()


async def test_outputs_survive_the_container(bench: Bench) -> None:
    ran = await bench.run("open('/outputs/result', 'w').write('42')")
    await bench.engine.remove(ran.container_id)
    (result,) = await bench.workspaces.collect(ran.workspace.lease_id)
    assert (result.path, result.host_path.read_text()) == ("result", "42")
