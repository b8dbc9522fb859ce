"""`neurogrid verify`, with click's runner."""

import hashlib
import json
from pathlib import Path

from click.testing import CliRunner
from click.testing import Result as Run

from marketplace.story import METERED_MS, evidence, honest_receipt, receipt, statement
from neurogrid.cli.group import neurogrid
from neurogrid_marketplace.comparator import DEFAULT_FILES, Comparator, ComparatorKind
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


def test_another_runs_files_are_compared_as_the_demand_asks(tmp_path: Path) -> None:
    own, beside = tmp_path / "own", tmp_path / "beside"
    content = b"loss,0.25\n"
    output = OutputFile("run/a.csv", hashlib.sha256(content).hexdigest(), len(content))
    for folder in (own, beside):
        (folder / "run").mkdir(parents=True)
    (own / "run/a.csv").write_bytes(content)

    def compare(comparator: Comparator | None, other: bytes) -> Run:
        result = Result(Outcome.COMPLETED, 0, "", METERED_MS, (output,))
        parts, award = evidence(result=result, comparator=comparator)
        (beside / "run/a.csv").write_bytes(other)
        folders = ["--outputs", str(own), "--beside", str(beside)]
        data = receipt(parts, statement(award))
        return CliRunner().invoke(neurogrid, ["verify", "-", *folders], input=data)

    numeric = Comparator(ComparatorKind.NUMERIC, "1e-6", files=DEFAULT_FILES)
    same = compare(numeric, b"loss,0.25000001\n")
    assert same.exit_code == 0, same.output
    assert "result verified: quorum, by numbers within 1e-6 relative in *.json" in same.stdout
    assert "proven        comparison     signed by coordinator\n" in same.stdout
    far = compare(numeric, b"loss,0.26\n")
    assert (far.exit_code, "are not those of the receipt" in far.stdout) == (1, True)
    assert compare(None, content).exit_code == 0
    assert compare(None, b"loss,0.25000001\n").exit_code == 1
    image = Comparator(ComparatorKind.IMAGE, image="mine/compare:1", timeout_s=60)
    unknown = compare(image, b"anything")
    assert unknown.exit_code == 0
    assert "not present   comparison" in unknown.stdout
    alone = CliRunner().invoke(neurogrid, ["verify", "-", "--beside", str(beside)])
    assert (alone.exit_code, "goes with --outputs" in alone.stderr) == (2, True)


def test_a_chain_that_is_not_there_leaves_the_receipt_unjudged(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    path.write_bytes(honest_receipt())
    away = CliRunner().invoke(neurogrid, ["verify", str(path), "--rpc", "http://127.0.0.1:1/"])
    assert away.exit_code == 7
    assert "getGenesisHash" in away.output
