"""Backups of a coordinator that works, and what is not taken for one."""

import asyncio
import hashlib
import io
import json
import signal
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection

from coordinator.on_asyncio import on_asyncio
from coordinator.records import NOW_MS, new_task, wallet
from neurogrid_coordinator.__main__ import main
from neurogrid_coordinator.backups.manifest import FORMAT, KEY_FILES, MANIFEST_FILE, blob_name
from neurogrid_coordinator.backups.saving import save
from neurogrid_coordinator.restored import RESTORED_FILE
from neurogrid_coordinator.store import accounts, artifacts, tasks
from neurogrid_coordinator.store.database import Database
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.payment_store import PaymentStore

BLOBS = (b"one", b"two" * 1000, b"")
SILENT = lambda what, done, of: None


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """What a coordinator that has worked leaves: all kinds of files, and one that is nobody's."""
    made = tmp_path / "coordinator"
    made.mkdir()
    (made / "coordinator.toml").write_text("# as its owner wrote it\n")
    (made / "market.terms").write_bytes(b"terms")
    for name in KEY_FILES:
        KeyPair.generate().write_solana_file(made / name)

    def fill(conn: Connection) -> None:
        account = accounts.create(conn, "Ada", wallet("ada"), NOW_MS)
        for blob in BLOBS:
            artifacts.add(conn, sha256(blob), account.id, len(blob), None, NOW_MS)

    @on_asyncio
    async def go() -> None:
        async with Database.open(made / "coordinator.db") as database:
            await database.write(fill)

    go()
    for blob in (*BLOBS, b"nobody needs it"):
        path = made / blob_name(sha256(blob))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blob)
    return made


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def said(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    shown: dict[str, Any] = json.loads(result.stdout)
    return shown


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def names_in(archive: Path) -> list[str]:
    with tarfile.open(archive) as opened:
        return opened.getnames()


def test_what_was_backed_up_is_restored(directory: Path, tmp_path: Path) -> None:
    made = said(run("backup", tmp_path / "b.tar", "--data", directory, "--json"))
    assert (made["artifacts"], made["keys"], made["absent"], made["damaged"]) == (
        True,
        False,
        0,
        [],
    )
    again = tmp_path / "again"
    said(run("restore", tmp_path / "b.tar", "--data", again, "--json"))
    before, after = files_in(directory), files_in(again)
    assert json.loads(after.pop(RESTORED_FILE)) == {"backup_made_at_ms": made["made_at_ms"]}
    blobs = {blob_name(sha256(blob)): blob for blob in BLOBS}
    assert set(after) == {"coordinator.db", "coordinator.toml", "market.terms", *blobs}
    for name in set(after) - {"coordinator.db"}:
        assert after[name] == before[name]
    assert stat.S_IMODE(again.stat().st_mode) == 0o700
    for name in after:
        assert stat.S_IMODE((again / name).stat().st_mode) == 0o600, name

    @on_asyncio
    async def accounts_there() -> list[str]:
        async with Database.open(again / "coordinator.db") as database:
            return [account.name for account in await database.read(accounts.list_all)]

    assert accounts_there() == ["Ada"]


def test_artifacts_in_a_bucket_are_the_buckets_to_keep(directory: Path, tmp_path: Path) -> None:
    (directory / "coordinator.toml").write_text('[artifacts]\nstore = "s3"\nbucket = "files"\n')
    made = said(run("backup", tmp_path / "b.tar", "--data", directory, "--json"))
    assert (made["artifacts"], made["absent"]) == (False, 0)
    assert not [name for name in names_in(tmp_path / "b.tar") if name.startswith("artifacts/")]


def test_keys_are_in_it_only_when_asked_for_and_that_is_said(
    directory: Path, tmp_path: Path
) -> None:
    without, with_keys = tmp_path / "without.tar", tmp_path / "with.tar"
    assert "spend" not in run("backup", without, "--data", directory).output
    loud = run("backup", with_keys, "--with-keys", "--data", directory)
    assert "HOLDS THE KEYS" in loud.output
    secrets = [(directory / name).read_bytes() for name in KEY_FILES]
    for archive, there in ((without, False), (with_keys, True)):
        assert stat.S_IMODE(archive.stat().st_mode) == 0o600
        assert [secret in archive.read_bytes() for secret in secrets] == [there] * 3
    assert "identity.json" in run("restore", without, "--data", tmp_path / "a").output
    assert run("restore", with_keys, "--data", tmp_path / "b").exit_code == 0
    for name in KEY_FILES:
        assert (tmp_path / "b" / name).read_bytes() == (directory / name).read_bytes()


@on_asyncio
async def test_a_running_coordinator_is_copied_as_it_was_at_one_moment(
    directory: Path, tmp_path: Path
) -> None:
    """Its database is written all the time, and its payments are locked."""
    outbox = PaymentStore(directory / "payments.db")
    written = 0
    try:
        async with Database.open(directory / "coordinator.db") as database:
            account = (await database.read(accounts.list_all))[0]

            async def work() -> None:
                nonlocal written
                while True:
                    new = new_task(account.id, name=f"task {written}")
                    await database.write(tasks.insert_new, new, NOW_MS)
                    written += 1

            working = asyncio.create_task(work())
            counts = []
            for number in range(4):
                await asyncio.sleep(0.1)
                at_least = written
                archive = tmp_path / f"{number}.tar"
                await asyncio.to_thread(
                    save, directory, archive, artifacts=True, keys=False, progress=SILENT
                )
                counts.append((at_least, archive, written))
            working.cancel()
    finally:
        outbox.close()
    for number, (at_least, archive, at_most) in enumerate(counts):
        there = tmp_path / f"restored {number}"
        assert run("restore", archive, "--data", there).exit_code == 0
        async with Database.open(there / "coordinator.db") as copy:
            found = await copy.read(tasks.active)
            held = await copy.read(tasks.held_micro_usdc, wallet("ada"))
        assert at_least <= len(found) <= at_most
        assert held == sum(tasks.hold_micro_usdc(state.task) for state in found)
    assert counts[0][2] < counts[-1][0], "it wrote meanwhile"


def test_a_file_that_is_there_is_never_replaced(directory: Path, tmp_path: Path) -> None:
    there = tmp_path / "b.tar"
    there.write_text("mine")
    result = run("backup", there, "--data", directory)
    assert (result.exit_code, there.read_text()) == (2, "mine")
    assert "there already" in result.output


def test_into_a_folder_it_is_named_by_the_time(directory: Path, tmp_path: Path) -> None:
    made = said(run("backup", tmp_path, "--data", directory, "--json"))
    path = Path(made["path"])
    assert path.parent == tmp_path
    assert path.name.startswith("coordinator-2")
    assert path.is_file()


def test_a_blob_that_is_gone_or_damaged_costs_only_itself(directory: Path, tmp_path: Path) -> None:
    (directory / blob_name(sha256(BLOBS[0]))).unlink()
    (directory / blob_name(sha256(BLOBS[1]))).write_bytes(b"rotten")
    result = run("backup", tmp_path / "b.tar", "--data", directory, "--json")
    assert result.exit_code == 1
    made = json.loads(result.stdout)
    assert (made["absent"], made["damaged"]) == (1, [sha256(BLOBS[1])])
    assert run("restore", tmp_path / "b.tar", "--data", tmp_path / "again").exit_code == 0
    assert (tmp_path / "again" / blob_name(sha256(BLOBS[2]))).read_bytes() == BLOBS[2]


@pytest.mark.processes
def test_a_backup_that_is_killed_leaves_nothing_that_looks_whole(
    directory: Path, tmp_path: Path
) -> None:
    target = tmp_path / "b.tar"
    script = f"""
import time
from pathlib import Path
from neurogrid_coordinator.backups.saving import save
def slow(what, done, of):
    if what == "artifacts" and done == 2:
        print("there", flush=True)
        time.sleep(600)
save(Path({str(directory)!r}), Path({str(target)!r}), artifacts=True, keys=True, progress=slow)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    result = run("backup", target, "--data", directory)
    assert result.exit_code == 2
    assert "another backup is writing" in result.output
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not target.exists()
    half = tmp_path / "b.tar.partial"
    assert stat.S_IMODE(half.stat().st_mode) == 0o600
    result = run("restore", half, "--data", tmp_path / "again")
    assert (result.exit_code, (tmp_path / "again").exists()) == (2, False)
    assert run("backup", target, "--data", directory).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "coordinator"]


# --- what restore refuses ---------------------------------------------------------------------------


def repacked(source: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The same backup with other files and a manifest that lists them truly."""
    with tarfile.open(source) as opened:
        files = {}
        for info in opened:
            content = opened.extractfile(info)
            assert content is not None
            files[info.name] = content.read()
    manifest = json.loads(files.pop(MANIFEST_FILE))
    files["manifest"] = json.dumps(manifest).encode()
    change(files)
    manifest = json.loads(files.pop("manifest"))
    manifest["files"] = [
        {"name": name, "size_bytes": len(data), "sha256": sha256(data)}
        for name, data in files.items()
    ]
    target = source.with_name("changed.tar")
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as made:
        for name, data in [*files.items(), (MANIFEST_FILE, json.dumps(manifest).encode())]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    # tarfile fills its last record with zeros.
    data = target.read_bytes().rstrip(b"\0")
    target.write_bytes(data + bytes(-len(data) % 512) + bytes(1024))
    return target


def change_manifest(**values: object) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        files["manifest"] = msgspec.json.encode({**json.loads(files["manifest"]), **values})

    return change


def add(name: str) -> Callable[[dict[str, bytes]], None]:
    return lambda files: files.update({name: b"x"})


@pytest.fixture
def archive(directory: Path, tmp_path: Path) -> Path:
    made = tmp_path / "b.tar"
    save(directory, made, artifacts=True, keys=False, progress=SILENT)
    return made


def refused(archive: Path) -> str:
    """What `restore` says against it, having made nothing."""
    there = archive.parent / "again"
    before = sorted(path.name for path in archive.parent.iterdir())
    result = run("restore", archive, "--data", there)
    assert result.exit_code == 2, result.output
    assert sorted(path.name for path in archive.parent.iterdir()) == before
    return result.output


def test_an_archive_that_others_packed_truly_is_restored(archive: Path) -> None:
    assert (
        run(
            "restore", repacked(archive, lambda files: None), "--data", archive.parent / "c"
        ).exit_code
        == 0
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (add("../evil"), "nothing that a backup has"),
        (add("/etc/evil"), "nothing that a backup has"),
        (add("artifacts/aa/../../evil"), "nothing that a backup has"),
        (add("artifacts/partial/evil"), "nothing that a backup has"),
        (add("payments.db"), "nothing that a backup has"),
        (add(RESTORED_FILE), "nothing that a backup has"),
        (add("artifacts/aa/" + "a" * 64), "is damaged"),
        (lambda files: files.pop("coordinator.db"), "no database"),
        (lambda files: files.update({"coordinator.db": b"SQLite format 3\0" * 99}), "its database"),
        (change_manifest(schema=3), "its manifest says 3"),
        (change_manifest(schema=999), "with that release"),
        (change_manifest(format=FORMAT + 1, version="99.1"), "99.1"),
        (change_manifest(made_at_ms="now"), "manifest can't be read"),
    ],
)
def test_what_is_no_backup_of_ours_is_refused_whole(
    archive: Path, change: Callable[[dict[str, bytes]], None], words: str
) -> None:
    assert words in refused(repacked(archive, change))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_links_and_devices_are_refused(archive: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("coordinator.toml")
    info.type = kind
    info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    evil = archive.with_name("evil.tar")
    evil.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + archive.read_bytes())
    assert "no backup has" in refused(evil)


def test_extensions_of_the_format_are_refused(archive: Path) -> None:
    info = tarfile.TarInfo("coordinator.toml")
    info.pax_headers = {"path": "../" * 40 + "evil"}
    evil = archive.with_name("evil.tar")
    evil.write_bytes(info.tobuf(tarfile.PAX_FORMAT) + archive.read_bytes())
    assert "no backup has" in refused(evil)


@pytest.mark.parametrize("size_bytes", [10**12, 2**60, -1, 7])
def test_a_size_that_lies_is_refused(archive: Path, size_bytes: int) -> None:
    data = bytearray(archive.read_bytes())
    info = tarfile.TarInfo.frombuf(bytes(data[:512]), "ascii", "strict")
    info.size = size_bytes
    data[:512] = info.tobuf(tarfile.GNU_FORMAT)
    evil = archive.with_name("evil.tar")
    evil.write_bytes(data)
    refused(evil)


def test_every_cut_and_every_changed_byte_is_found(archive: Path) -> None:
    data = archive.read_bytes()
    evil = archive.with_name("evil.tar")
    for end in (0, 1, 511, 512, 513, 4096, len(data) // 2, len(data) - 1024, len(data) - 1):
        evil.write_bytes(data[:end])
        refused(evil)
    evil.write_bytes(data + b"x")
    refused(evil)
    # Padding and a header's own fillings may change; what is restored may not.
    for at in range(600, len(data), len(data) // 23):
        evil.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        there = archive.parent / f"changed {at}"
        if run("restore", evil, "--data", there).exit_code == 0:
            assert data[at] == 0, "no byte of a file"


def test_nothing_is_restored_over_anything(archive: Path, directory: Path, tmp_path: Path) -> None:
    before = files_in(directory)
    result = run("restore", archive, "--data", directory)
    assert (result.exit_code, files_in(directory)) == (2, before)
    assert "isn't empty" in result.output
    left = tmp_path / "new.partial"
    left.mkdir()
    result = run("restore", archive, "--data", tmp_path / "new")
    assert (result.exit_code, "one was killed" in result.output, left.is_dir()) == (2, True, True)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run("restore", archive, "--data", empty).exit_code == 0
    assert (empty / "coordinator.db").is_file()


def test_a_backup_of_an_older_schema_is_restored_and_brought_forward(
    directory: Path, tmp_path: Path
) -> None:
    assert run("migrate", "--to", 9, "--data", directory).exit_code == 0
    assert said(run("backup", tmp_path / "b.tar", "--data", directory, "--json"))["schema"] == 9
    said(run("restore", tmp_path / "b.tar", "--data", tmp_path / "again", "--json"))
    assert run("account", "list", "--data", tmp_path / "again").output.count("Ada") == 1
