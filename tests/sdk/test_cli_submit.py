"""What `neurogrid submit` can ask for, against the real api; and what `status` shows of it."""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path

from coordinator.api_world import World
from coordinator.records import node_id
from coordinator.served import ServedWorld
from coordinator.test_checkpoints import running
from neurogrid_coordinator.store import prices
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.price_history import PriceClass
from sdk.typing_commands import JOB, Run, live, note_price


def test_submit_prints_the_id_alone_on_standard_output(run: Run) -> None:
    result = run(*JOB, "--cpu", "2", "--timeout", "10m", "-e", "A=1", "--", "python", "-c", "1")
    assert result.exit_code == 0, result.output
    task_id = result.stdout.strip()
    assert task_id.startswith("task_")
    assert f"neurogrid logs -f {task_id}" in result.stderr
    task = json.loads(run("status", task_id, "--json").stdout)
    assert task["command"] == ["python", "-c", "1"]
    assert task["timeout_seconds"] == 600
    assert task["env"] == {"A": "1"}
    assert task["resource_requirements"]["cpu_cores"] == 2


def test_submit_follows_to_the_end_and_fetches_the_outputs(
    run: Run, api: ServedWorld, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one.txt").write_text("1")
    (tmp_path / "two.txt").write_text("2")
    living = live(api)
    out = tmp_path / "out"
    result = run(
        *JOB,
        "-f",
        "-i",
        str(tmp_path / "data"),
        "-i",
        f"{tmp_path / 'two.txt'}:deep/2",
        "-o",
        str(out),
    )
    living.join()
    assert result.exit_code == 0, result.output
    assert result.stdout == "working\n"
    assert (out / "a" / "out.txt").read_bytes() == b"result"
    for words in ("queued", "awarded", "0.36 USDC per hour", "completed", "cost       0.001 USDC"):
        assert words in result.stderr
    listed = json.loads(run("list", "--json").stdout)["tasks"]
    shown = json.loads(run("status", listed[0]["id"], "--json").stdout)
    assert [item["path"] for item in shown["inputs"]] == ["data/one.txt", "deep/2"]


def test_waiting_for_a_job_that_fails_exits_1_with_the_advice(run: Run, api: ServedWorld) -> None:
    living = live(api, outcome=Outcome.MEMORY_EXCEEDED)
    result = run(*JOB, "--wait")
    living.join()
    assert result.exit_code == 1
    assert "MEMORY_EXCEEDED" in result.stderr
    assert "Ask for more memory" in result.stderr


def test_submit_asks_for_verification_and_status_shows_it(run: Run) -> None:
    result = run(*JOB, "--verify", "quorum", "--runs", "3", "--json")
    assert result.exit_code == 0, result.output
    task = json.loads(result.stdout)
    assert (task["verification"]["mode"], task["verification"]["runs"]) == ("quorum", 3)
    assert task["max_cost"] == "3.00"
    shown = run("status", task["id"])
    assert "verified by  quorum" in shown.stdout
    alone = run(*JOB, "--runs", "3")
    assert alone.exit_code == 2
    assert "goes with --verify quorum only" in alone.stderr


def test_submit_takes_a_comparator_and_status_shows_it(run: Run) -> None:
    numeric = ("--verify", "quorum", "--compare", "numeric:1e-6:1e-9")
    files = ("--compare-files", "*.csv", "--compare-files", "raw/*.bin=f32")
    result = run(*JOB, *numeric, *files, "--json")
    assert result.exit_code == 0, result.output
    task = json.loads(result.stdout)
    assert task["verification"]["comparator"] == {
        "kind": "numeric",
        "relative": "1e-6",
        "absolute": "1e-9",
        "image": None,
        "command": [],
        "timeout_seconds": None,
        "files": [
            {"pattern": "*.csv", "format": None},
            {"pattern": "raw/*.bin", "format": "f32"},
        ],
    }
    shown = run("status", task["id"]).stdout
    assert "numbers within 1e-6 of their size or 1e-9, in *.csv raw/*.bin" in shown
    own = ("--verify", "spot_check", "--compare", "image:mine/compare:1")
    how = ("--compare-command", "python /compare.py 'a b'", "--compare-timeout", "60")
    task = json.loads(run(*JOB, *own, *how, "--json").stdout)
    comparator = task["verification"]["comparator"]
    assert (comparator["image"], comparator["timeout_seconds"]) == ("mine/compare:1", 60)
    assert comparator["command"] == ["python", "/compare.py", "a b"]
    assert "mine/compare:1 python /compare.py 'a b'" in run("status", task["id"]).stdout
    for options, words in (
        (("--verify", "quorum", "--compare-timeout", "60"), "goes with --compare image only"),
        (("--compare", "exact"), "goes with --verify only"),
        (("--verify", "quorum", "--compare", "close"), "none of exact, numeric"),
        (("--verify", "quorum", "--compare-files", "*"), "goes with --compare numeric only"),
        (("--verify", "quorum", "--compare", "numeric:1"), "below 1"),
    ):
        refused = run(*JOB, *options)
        assert refused.exit_code == 2, refused.output
        assert words in refused.stderr


def test_submit_asks_for_a_gang_and_status_shows_it(run: Run) -> None:
    result = run(*JOB, "--gang", "2:wallet", "--tries", "2", "--json")
    assert result.exit_code == 0, result.output
    task = json.loads(result.stdout)
    assert (task["gang"]["size"], task["gang"]["apart"], task["gang"]["tries"]) == (2, "wallet", 2)
    assert task["max_cost"] == "4.00"
    assert "2 nodes at once, apart by wallet; attempt 0" in run("status", task["id"]).stdout
    too_early = run("logs", task["id"], "--rank", "1")
    assert too_early.exit_code == 2
    assert "a gang of 2 has begun with 0 members" in too_early.stderr
    for options, words in (
        (("--tries", "2"), "goes with --gang only"),
        (("--gang", "many"), "is not SIZE[:APART]"),
    ):
        refused = run(*JOB, *options)
        assert refused.exit_code == 2, refused.output
        assert words in refused.stderr
    dry = run(*JOB, "--gang", "3", "--dry-run")
    assert dry.exit_code == 6
    assert "3 at once are wanted" in dry.stdout


def test_preemptible_jobs_are_submitted_shown_and_priced_as_such(
    run: Run, api: ServedWorld
) -> None:
    task_id = run(*JOB, "--preemptible", "--reclaim-window", "2m", "--wait-for-node").stdout.strip()
    task = json.loads(run("status", task_id, "--json").stdout)
    assert (task["preemptible"], task["reclaim_window_seconds"]) == (True, 120)
    assert "preemptible" in run("status", task_id).stdout
    refused = run(*JOB, "--reclaim-window", "2m")
    assert refused.exit_code == 2
    assert "goes with --preemptible only" in refused.stderr

    api.run(lambda world: world.database.write(note_price))
    assert json.loads(run("prices", "--spot", "--json").stdout)["classes"] == []
    spot = PriceClass("cpu spot", 1000)
    now_ms = time.time_ns() // 1_000_000
    api.run(lambda world: world.database.write(prices.add, spot, 125_000, 400, now_ms))
    listed = json.loads(run("prices", "--spot", "--json").stdout)["classes"]
    assert [each["name"] for each in listed] == ["cpu spot"]
    assert "HOUR" in run("prices", "cpu", "--spot").stdout


def test_checkpoints_are_asked_for_listed_fetched_and_begun_from(
    run: Run, api: ServedWorld, tmp_path: Path
) -> None:
    said = ("--checkpoint", "2m", "--checkpoint-path", "/work", "--checkpoint-keep", "3")
    task_id = run(*JOB, *said).stdout.strip()
    task = json.loads(run("status", task_id, "--json").stdout)
    assert task["checkpoint"] == {"path": "/work", "interval_seconds": 120, "keep": 3}
    assert "none is kept yet" in run("status", task_id).stdout
    assert "No checkpoints" in run("checkpoints", task_id).stderr
    assert run("checkpoints", task_id, "--fetch", str(tmp_path)).exit_code == 4

    async def keep(world: World) -> None:
        job = await running(world, task_id)
        await job.report(await job.upload(4, state=b"41"))
        await job.report(await job.upload(6, state=b"42"))

    api.run(keep)
    assert [
        row["sequence"] for row in json.loads(run("checkpoints", task_id, "--json").stdout)
    ] == [4, 6]
    assert "SEQUENCE" in run("checkpoints", task_id).stdout
    assert "6 kept at" in run("status", task_id).stdout
    assert run("checkpoints", task_id, "--fetch", str(tmp_path / "a")).exit_code == 0
    assert (tmp_path / "a/state").read_bytes() == b"42"
    run("checkpoints", task_id, "--fetch", str(tmp_path / "b"), "--sequence", "4")
    assert (tmp_path / "b/state").read_bytes() == b"41"

    other = run(*JOB, "--resume-from", f"{task_id}:4").stdout.strip()
    shown = json.loads(run("status", other, "--json").stdout)
    assert [each["sequence"] for each in shown["checkpoints"]] == [4]
    for wrong, words in (
        (("--checkpoint-keep", "2"), "goes with --checkpoint only"),
        (("--resume-from", "nonsense"), "is not TASK[:SEQUENCE]"),
    ):
        refused = run(*JOB, *wrong)
        assert refused.exit_code == 2
        assert words in refused.stderr


def test_a_file_that_was_uploaded_before_is_named_by_its_hash(
    run: Run, api: ServedWorld, tmp_path: Path
) -> None:
    (tmp_path / "big").write_text("uploaded once")
    run(*JOB, "-i", str(tmp_path / "big"))
    sha256 = hashlib.sha256(b"uploaded once").hexdigest()
    task_id = run(*JOB, "-i", f"sha256:{sha256}:data/again").stdout.strip()
    (shown,) = json.loads(run("status", task_id, "--json").stdout)["inputs"]
    assert (shown["path"], shown["sha256"], shown["size"]) == ("data/again", sha256, 13)
    # It is nobody else's for that, and a hash alone is no file.
    bob = api.run(lambda world: world.customer("bob"))
    (tmp_path / "bob.json").write_text(
        json.dumps({"api_url": api.address, "api_key": bob.key, "nodes": []})
    )
    refused = run(*JOB, "-i", f"sha256:{sha256}:x", NEUROGRID_NETWORK=str(tmp_path / "bob.json"))
    assert refused.exit_code != 0
    assert "is not here" in refused.stderr
    for wrong in ("sha256:abc:x", f"sha256:{sha256}", f"sha256:{sha256}:/"):
        refused = run(*JOB, "-i", wrong)
        assert refused.exit_code == 2
        assert "sha256:HASH:PATH" in refused.stderr
    sealed = run(*JOB, "--sealed", "-i", f"sha256:{sha256}:x")
    assert (sealed.exit_code, "by their hash" in sealed.stderr) == (2, True)
    (tmp_path / "auth").write_text("tenant:hunter2")
    auth = run(*JOB, "--registry-auth", str(tmp_path / "auth"), "-i", f"sha256:{sha256}:x")
    assert (auth.exit_code, "--registry-auth" in auth.stderr) == (2, True)


def test_a_file_on_the_web_is_named_by_its_url(run: Run, api: ServedWorld) -> None:
    sha256 = hashlib.sha256(b"1,2").hexdigest()

    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"1,2")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever).start()
        api.world.web.private["files.example.org", server.server_port] = ip_address("127.0.0.1")
        url = f"http://files.example.org:{server.server_port}/some%20data.csv"
        first = run(*JOB, "-i", url, "-i", f"{url}?v=2#sha256={sha256}:train/x.csv")
        wrong = run(*JOB, "-i", f"{url}#sha256={'1' * 64}")
        server.shutdown()
    assert f"fetched    {url}#sha256={sha256}\n" in first.stderr
    inputs = json.loads(run("status", first.stdout.strip(), "--json").stdout)["inputs"]
    assert [(item["path"], item["sha256"]) for item in inputs] == [
        ("some data.csv", sha256),
        ("train/x.csv", sha256),
    ]
    assert wrong.exit_code != 0
    assert sha256 in wrong.stderr
    for bad in (f"{url}#sha256=abc", "https://example.org", "https://example.org/a:b:c"):
        refused = run(*JOB, "-i", bad)
        assert (refused.exit_code, "--input" in refused.stderr) == (2, True)
    assert run(*JOB, "--sealed", "-i", url).exit_code == 2


def test_priority_reason_and_deadline_travel(run: Run) -> None:
    urgent = ("--priority", "9", "--reason", "The board meets.", "--deadline", "3h")
    task_id = run(*JOB, *urgent, "--deadline-policy", "run").stdout.strip()
    task = json.loads(run("status", task_id, "--json").stdout)
    assert (task["priority"], task["priority_reason"]) == (9, "The board meets.")
    assert task["deadline_policy"] == "run"
    shown = run("status", task_id).stdout
    assert "9 The board meets." in shown
    assert "deadline" in shown
    assert run(*JOB, "--deadline", "2099-01-15T10:30Z").exit_code == 0
    too_soon = run(*JOB, "--deadline", "10m")
    assert too_soon.exit_code == 2
    assert "too late even if it began now" in too_soon.stderr
    for wrong in (("--deadline", "soon"), ("--priority", "11"), ("--priority", "urgent")):
        assert run(*JOB, *wrong).exit_code == 2


def test_a_group_and_what_to_avoid_travel(run: Run) -> None:
    task_id = run(*JOB, "--spread", "replicas:region", "--avoid-node", node_id("gone")).stdout
    task = json.loads(run("status", task_id.strip(), "--json").stdout)
    assert task["spread"] == {"group": "replicas", "by": "region"}
    assert task["avoid"]["nodes"] == [node_id("gone")]
    assert "replicas by region" in run("status", task_id.strip()).stdout
    assert run(*JOB, "--spread", "x:rack").exit_code == 2


def test_hosts_that_a_job_may_reach_are_sent_shown_and_explained(run: Run) -> None:
    hosts = ("--reach", "ExAmPle.org", "--reach", "*.example.com:8443")
    task_id = run(*JOB, *hosts, "--wait-for-node").stdout.strip()
    task = json.loads(run("status", task_id, "--json").stdout)
    assert task["network"] == {"allow": ["example.org", "*.example.com:8443"], "use": None}
    assert "example.org, *.example.com:8443" in run("status", task_id).stdout
    nobody = run("explain", "--max-price", "1", *hosts)
    assert nobody.exit_code == 6
    assert "lets jobs reach no network" in nobody.stdout
    refused = run(*JOB, "--reach", "127.0.0.1")
    assert refused.exit_code == 2
    assert "addresses are not taken" in refused.stderr
