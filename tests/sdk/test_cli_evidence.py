"""`neurogrid evidence` and `verify-evidence`, with click's runner."""

import hashlib
import json
from pathlib import Path

from click.testing import CliRunner, Result
from sqlalchemy import Connection, insert

from coordinator.api_world import World
from coordinator.served import ServedWorld
from marketplace.test_challenge_evidence import CHALLENGE, HONEST
from neurogrid.cli.group import neurogrid
from neurogrid_coordinator.store import challenges, findings
from neurogrid_coordinator.store.tables import challenges as table
from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.reputation import Finding, FindingKind

NODE, CHALLENGE_ID = CHALLENGE.node_id, CHALLENGE.challenge_id


def run(api: ServedWorld, *arguments: str) -> Result:
    """The command, with a key that is good for nothing else: what it asks is public."""
    environment = {"NEUROGRID_API_URL": api.address, "NEUROGRID_API_KEY": "ng_none"}
    return CliRunner().invoke(neurogrid, arguments, env=environment)


def keep(api: ServedWorld, data: bytes) -> None:
    """The node passed a challenge, of which this is the file; and it shares a GPU."""

    def store(conn: Connection) -> None:
        conn.execute(
            insert(table).values(
                id=CHALLENGE_ID,
                node_id=NODE,
                reason="by_hand",
                state="passed",
                note="",
                max_cost_micro_usdc=0,
                asked_at_ms=1,
            )
        )
        digest = hashlib.sha256(HONEST).hexdigest()
        challenges.keep_evidence(conn, CHALLENGE_ID, NODE, digest, data)
        details: dict[str, Json] = {
            "challenge_id": CHALLENGE_ID,
            "mark": "passed",
            "reason": "right after 4000 of 20007 ms",
            "evidence_sha256": digest,
        }
        findings.add(conn, NODE, Finding(FindingKind.CHALLENGE_PASSED, 2), details=details)
        shared: dict[str, Json] = {"gpu": "GPU-1", "also_at": "somebody"}
        findings.add(conn, NODE, Finding(FindingKind.GPU_SHARED, 3), details=shared)

    async def write(world: World) -> None:
        await world.database.write(store)

    api.run(write)


def test_a_nodes_evidence_is_listed_saved_and_checked(api: ServedWorld, tmp_path: Path) -> None:
    keep(api, HONEST)
    listed = run(api, "evidence", NODE)
    assert listed.exit_code == 0, listed.output
    assert "right after 4000 of 20007 ms" in listed.stdout
    assert "GPU-1 is also at somebody" in listed.stdout
    folder = tmp_path / "files"
    checked = run(api, "evidence", NODE, "--verify", "--save", str(folder), "--json")
    assert checked.exit_code == 0, checked.output
    assert [item["file"] for item in json.loads(checked.stdout)] == ["-", "valid"]
    assert (folder / f"evidence-{CHALLENGE_ID}.json").read_bytes() == HONEST


def test_a_file_that_does_not_hold_is_named(api: ServedWorld) -> None:
    keep(api, HONEST.replace(b'"elapsed', b'"x').replace(b"passed", b"failed", 1))
    checked = run(api, "evidence", NODE, "--verify")
    assert checked.exit_code == 1
    assert "NOT VALID" in checked.stdout


def test_who_was_never_challenged_has_nothing_to_show(api: ServedWorld) -> None:
    nothing = run(api, "evidence", "somebody")
    assert nothing.exit_code == 0
    assert "Nothing was found out" in nothing.stderr


def test_a_file_is_checked_offline() -> None:
    good = CliRunner().invoke(neurogrid, ["verify-evidence", "-", "--draw"], input=HONEST)
    assert good.exit_code == 0, good.output
    assert good.stdout.startswith("valid\n")
    assert "claimed       times          signed by coordinator\n" in good.stdout
    shown = CliRunner().invoke(neurogrid, ["verify-evidence", "-", "--json"], input=HONEST)
    assert json.loads(shown.stdout)["mark"] == "passed"
    for arguments, start in ((["--json"], "{"), ([], "NOT VALID: ")):
        bad = CliRunner().invoke(neurogrid, ["verify-evidence", "-", *arguments], input=HONEST[:-1])
        assert bad.exit_code == 1
        assert bad.stdout.startswith(start)
