"""`neurogrid verify`, with click's runner."""

import hashlib
import json
from pathlib import Path

from click.testing import CliRunner
from click.testing import Result as Run

from marketplace.story import METERED_MS, evidence, honest_receipt, receipt, statement
from neurogrid.cli.group import neurogrid
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import Result


def test_a_receipt_is_checked_offline(tmp_path: Path) -> None:
    data = honest_receipt()
    path = tmp_path / "receipt.json"
    path.write_bytes(data)
    good = CliRunner().invoke(neurogrid, ["verify", str(path)])
    assert good.exit_code == 0, good.output
    assert good.stdout.startswith("valid\n")
    assert "proven        agreement      signed by coordinator, node\n" in good.stdout
    assert "claimed       settlement     signed by coordinator\n" in good.stdout
    as_json = json.loads(CliRunner().invoke(neurogrid, ["verify", str(path), "--json"]).stdout)
    assert as_json["valid"] is True
    assert as_json["result"]["outcome"] == "completed"
    assert as_json["items"][0] == {
        "name": "receipt",
        "proof": "proven",
        "signed_by": "coordinator",
        "shows": f"16 links, unchanged since the coordinator signed them for {as_json['network']}",
    }
    changed = data.replace(b'"exit_code": 0', b'"exit_code": 1', 1)
    assert changed != data
    bad = CliRunner().invoke(neurogrid, ["verify", "-"], input=changed)
    assert bad.exit_code == 1
    assert bad.stdout.startswith("NOT VALID: ")
    reason = json.loads(
        CliRunner().invoke(neurogrid, ["verify", "-", "--json"], input=changed).stdout
    )
    assert (reason["valid"], bad.stdout) == (False, f"NOT VALID: {reason['reason']}\n")


def test_outputs_are_compared_with_the_hashes_of_the_receipt(tmp_path: Path) -> None:
    content = b"42"
    output = OutputFile("out/answer.txt", hashlib.sha256(content).hexdigest(), len(content))
    parts, award = evidence(result=Result(Outcome.COMPLETED, 0, "", METERED_MS, (output,)))
    path, folder = tmp_path / "receipt.json", tmp_path / "files"
    path.write_bytes(receipt(parts, statement(award)))
    (folder / "out").mkdir(parents=True)
    answer = folder / "out/answer.txt"

    def compare() -> Run:
        return CliRunner().invoke(neurogrid, ["verify", str(path), "--outputs", str(folder)])

    missing = compare()
    assert (missing.exit_code, "answer.txt is missing" in missing.stdout) == (1, True)
    answer.write_bytes(content)
    same = compare()
    assert same.exit_code == 0, same.output
    assert "proven        files          signed by node\n" in same.stdout
    answer.write_bytes(b"43")
    other = compare()
    assert (other.exit_code, "is not the file that the receipt names" in other.stdout) == (1, True)


def test_a_chain_that_is_not_there_leaves_the_receipt_unjudged(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    path.write_bytes(honest_receipt())
    away = CliRunner().invoke(neurogrid, ["verify", str(path), "--rpc", "http://127.0.0.1:1/"])
    assert away.exit_code == 7
    assert "getGenesisHash" in away.output
