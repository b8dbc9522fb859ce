"""The schema's history, both ways, with rows in every table."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.__main__ import main
from neurogrid_coordinator.store import migrations
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.sqlite_file import open_alone
from neurogrid_coordinator.store.tables import schema_version
from neurogrid_wallet.payment_store import PaymentStore

# What was released never changes: databases out there were made by exactly this.
RELEASED = {
    "0001_initial.sql": "3e4f19ceefc0236666246c196937180dcb645294cd1dbbc0d94867aff86299d2",
    "0002_differences.sql": "d6a6b2351aed66a9146cccdfd393d2bf1cdf72e9ce16b97eb198a770a3f225b6",
    "0003_findings.sql": "33805d25b5b64ec0a36698a7b5deff887fef918fc73c1cef79753a416f825026",
    "0004_workflows.sql": "d3a1b9e585026d8db2b7f7908d29faa5b706ee18d77fb1b45f2559e7f4eb1eb7",
    "0005_starts.sql": "fefa68f3fcf436cf6e34c4fcd0e40933076774b6c9a622cc5e28e6b1a3204a02",
    "0006_verification.sql": "3f7c3aa82db7d9512c7e8efd82bc90c052c6a6858746d5761c9dd258019ad82b",
    "0007_price_hours.sql": "6ac798c6aacf511d63a4da79e787f89c689bcef98a34f07c584bf1bddfff8b51",
    "0008_spread.sql": "5f7b4277e09002198280e78c9386bd1a9726ae13fc4e2051c7158f234767fedb",
    "0009_check_streaks.sql": "a98e24a49a085de13cccbed0620c3b4883daea4fe1eb4f1ed40b1b4e89f61af1",
    "0010_challenges.sql": "a5bc70856548e5afffd6399364c81433173ce0ed13b49a3691f7583685549a54",
    "0011_checkpoints.sql": "8c69e8176ae10592ddd4f7102c4e7ef98b881637c66f0f6088dcf59deaf79c5d",
    "0012_roles.sql": "da6a3c02689830c64e84804c4b6b079100496802696beb7d6c49a241b2556b40",
    "0013_limits.sql": "8b6a11f34230b7bf6633cc157642f7e6025e10caaf5f8f6db6ad8bbcaef1bf7f",
    "0014_webhooks.sql": "f779914efe20c3f6e192bc63f1eacfed2a089a9c82b91d9f0a215137239b1bc4",
    "0015_batches.sql": "686271e39691b28c968c5c79da7dcb53c9a64e685e9c218b52b9d8a139e3327b",
    "0016_schedules.sql": "b49f44d089dd5aa8d536301ea25f3b7d2d2564d7055c4a542922dd8157f6682e",
    "0017_payments.sql": "2208e9941b681d97b0e6494f7e25893d3228bab7b4e3b0f90f0785a84cd51cd3",
    "0018_signatures.sql": "9f3f4a34cd63a1a9e75c8b8aea9715ae97675307840215360de5f15717b270b3",
    "0019_oauth.sql": "8aef3e708f8ae3034b7d0d5ad361dd33170ada2340dc594e0af1ed1229b99432",
    "0020_billing.sql": "aa7e5ff36c1e833a967c08de327315eb40b032390ebe12ca5d2a66c55f80f9bc",
    "0021_records.sql": "59e93ff0a2f83db617bda65e9c27334de8877b243d62baf17aa35498de2b1712",
    "0022_models.sql": "9aa3b2c7630ed6c779c41945258f4cf49d076aa020f29d7a0b9dbcbf6864fa7d",
    "0023_named_tasks.sql": "745ef9defa2ee65be20b9c0223aaa8377e2ad3df351fad9438645332502f27cc",
    "0024_first_tasks.sql": "fafe52c858b6049882a45478c28a32d111a52975efe6e4d20e116de60f964452",
    "0025_lead_url.sql": "bf42e722f518d81280ef0350fa74e86dc4f8b03e6ce19de2fe6144999bd73c73",
    "0026_write_marks.sql": "deb899653a132b9950f9e0000d6fd05e894eb721888f59c220afc92c908b3c9e",
    "0027_usage_samples.sql": "709f5bfce1350e832fbf7a3f1465095e3c613cedadd14a6348903c2de3b937ac",
    "0028_unit_counts.sql": "7b481c7c369a02cc186018fb10c90a9fa0bc24b26762e8a479fd24ae3dee32ae",
    "0029_openai_files.sql": "6e4e073f0cd51334abe7cd8bb15707317a222607585d9a604e99e5ae86588c6e",
    "0030_unwritten_requests.sql": "4c90055abe956455476fdcc99ab3c76e70d349c0d7f9031899555337632e1aba",
    "0031_use_of_leases.sql": "e79aead26cd1221e7b7798eb68fc5ac6e0e9a35a683b711e0a5ceba85e5255f0",
    "0032_audit_hashes.sql": "4bd5409e7449bc097532dbca0738b0a64048f157da316dbd31f3551c32e4478d",
    "0033_model_checks.sql": "cbc365dd69be145992d25c1e2ed2cf54f070cceb90b3477f68f283d8f3559a68",
    "0034_kept_answers.sql": "31c4a4f66ac6f4df7fc122cde6c52fb8745829f99f61277c15e461efc0847db1",
}
NEWEST = len(migrations.known())
Rows = dict[str, list[tuple[object, ...]]]


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        yield raw


def schema_of(path: Path) -> list[tuple[str, ...]]:
    with opened(path) as raw:
        return raw.execute(
            "select type, name, tbl_name, sql from sqlite_schema order by 1, 2"
        ).fetchall()


def tables_of(raw: sqlite3.Connection) -> list[str]:
    names = raw.execute(
        "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'"
    )
    return [name for (name,) in names if name != "schema_version"]


def fill(path: Path) -> None:
    """A row in every table, with something in every column; all refer to each other's ids, which are alike."""
    with opened(path) as raw:
        raw.execute("pragma foreign_keys=off")
        for table in tables_of(raw):
            if raw.execute(f"select count(*) from {table}").fetchone()[0]:
                continue
            columns = raw.execute(f"pragma table_info({table})").fetchall()
            # `one` is the id of every row that others refer to.
            values = [
                {"INTEGER": 1, "BLOB": b"one"}.get(column[2].upper(), "one") for column in columns
            ]
            raw.execute(f"insert into {table} values ({', '.join('?' * len(values))})", values)
        assert raw.execute("pragma foreign_key_check").fetchall() == []


def rows_of(path: Path) -> Rows:
    with opened(path) as raw:
        return {table: raw.execute(f"select * from {table}").fetchall() for table in tables_of(raw)}


def at(path: Path, version: int) -> None:
    if not path.exists():
        with opened(path) as raw:
            raw.execute("pragma journal_mode=wal")
    with open_alone(path) as conn:
        if not migrations.present(conn):
            schema_version.create(conn)
        migrations.go_to(conn, version)


def run(directory: Path, *arguments: object) -> Result:
    return CliRunner().invoke(
        main, ["migrate", "--data", str(directory), *(str(argument) for argument in arguments)]
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A stopped coordinator's, of the newest schema, empty."""

    @on_asyncio
    async def make() -> None:
        async with Database.open(tmp_path / "coordinator.db"):
            pass

    make()
    (tmp_path / "coordinator.toml").write_text("")
    return tmp_path


def test_released_files_are_what_they_were_and_each_has_a_way_back() -> None:
    folder = resources.files(migrations.__name__)
    for name, sha256 in RELEASED.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256, name
    assert [migration.name for migration in migrations.known()] == list(RELEASED), (
        "list the new one"
    )
    assert [m.version for m in migrations.known() if m.down is None] == [1]
    names = {entry.name for entry in folder.iterdir()}
    downs = {name for name in names if re.fullmatch(r"\w+\.down\.sql", name)}
    assert downs == {migration.down_name for migration in migrations.known()[1:]}


@pytest.mark.parametrize("version", range(2, NEWEST + 1))
def test_back_undoes_exactly_what_forward_did(tmp_path: Path, version: int) -> None:
    older, path = tmp_path / "older", tmp_path / "db"
    at(older, version - 1)
    at(path, version)
    newer = schema_of(path)
    fill(older)
    fill(path)
    at(path, version - 1)
    assert schema_of(path) == schema_of(older)
    assert set(rows_of(path)) == set(rows_of(older))
    at(path, version)
    assert schema_of(path) == newer


def test_all_the_way_back_and_forward_again_keeps_what_the_first_schema_knew(
    tmp_path: Path,
) -> None:
    first, path = tmp_path / "first", tmp_path / "db"
    at(first, 1)
    fill(first)
    at(path, NEWEST)
    newest = schema_of(path)
    fill(path)
    at(path, 1)
    assert schema_of(path) == schema_of(first)
    assert rows_of(path) == rows_of(first)
    at(path, NEWEST)
    assert schema_of(path) == newest
    for table, rows in rows_of(first).items():
        kept = rows_of(path)[table]
        assert [row[: len(rows[0])] for row in kept] == rows


def test_what_would_be_lost_is_named_and_refused_until_that_is_said(directory: Path) -> None:
    path = directory / "coordinator.db"
    fill(path)
    before = rows_of(path)
    refused = run(directory, "--to", 8)
    assert refused.exit_code == 2
    for lost in ("challenges (1 rows)", "check_streaks", "leases.checkpoint (1 rows)"):
        assert lost in refused.output
    assert "tasks.verdict" not in refused.output, "schema 8 has it"
    assert rows_of(path) == before
    done = run(directory, "--to", 8, "--lose-data", "--json")
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert (shown["present"], shown["to"], shown["known"]) == (NEWEST, 8, NEWEST)
    assert shown["steps"][0] == migrations.known()[-1].down_name
    assert "challenges" not in rows_of(path)
    # What was there before it went back is in the backup.
    restored = directory / "restored"
    result = CliRunner().invoke(main, ["restore", shown["backup"], "--data", str(restored)])
    assert result.exit_code == 0, result.output
    assert rows_of(restored / "coordinator.db") == before


def test_empty_tables_and_what_migrations_put_there_are_no_loss(directory: Path) -> None:
    done = run(directory, "--to", 1, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["lost"] == {}
    with opened(directory / "coordinator.db") as raw:
        assert raw.execute("select max(version) from schema_version").fetchone() == (1,)
    forward = json.loads(run(directory, "--json").stdout)
    assert (forward["present"], forward["to"], len(forward["steps"])) == (1, NEWEST, NEWEST - 1)


def test_a_counter_that_counted_is_a_loss(directory: Path) -> None:
    with opened(directory / "coordinator.db") as raw:
        raw.execute("update check_counts set checkable = 7")
    refused = run(directory, "--to", 5)
    assert refused.exit_code == 2
    assert "check_counts (1 rows)" in refused.output


def test_a_dry_run_changes_nothing(directory: Path) -> None:
    fill(directory / "coordinator.db")
    before = rows_of(directory / "coordinator.db"), sorted(directory.glob("*.tar"))
    shown = run(directory, "--to", 3, "--dry-run")
    assert shown.exit_code == 0
    assert "would lose: challenges, 1 rows" in shown.output
    assert (rows_of(directory / "coordinator.db"), sorted(directory.glob("*.tar"))) == before


def test_nothing_is_done_where_nothing_is_due(directory: Path) -> None:
    shown = json.loads(run(directory, "--json").stdout)
    assert (shown["steps"], shown["backup"]) == ([], None)
    assert not list(directory.glob("*.tar"))


@pytest.mark.parametrize(("version", "words"), [(0, "0"), (NEWEST + 1, "there is no schema")])
def test_schemas_that_there_are_not_are_refused(directory: Path, version: int, words: str) -> None:
    refused = run(directory, "--to", version)
    assert refused.exit_code == 2
    assert words in refused.output


def test_not_beside_a_running_coordinator(directory: Path) -> None:
    owner = PaymentStore(directory / "payments.db")
    try:
        refused = run(directory, "--to", 5)
    finally:
        owner.close()
    assert refused.exit_code == 2
    assert "a coordinator runs" in refused.output
    with opened(directory / "coordinator.db") as raw:
        assert raw.execute("select max(version) from schema_version").fetchone() == (NEWEST,)


def test_a_newer_releases_database_is_refused(directory: Path) -> None:
    with opened(directory / "coordinator.db") as raw:
        raw.execute("insert into schema_version values (999, 0)")
    refused = run(directory, "--to", 5)
    assert refused.exit_code == 2
    assert "newer coordinator" in refused.output


def test_a_database_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "nothing to migrate" in run(tmp_path).output
    (tmp_path / "coordinator.db").write_bytes(b"no database at all" * 1000)
    refused = run(tmp_path)
    assert refused.exit_code == 2
    assert "not a database" in refused.output
