"""The `neurogrid` command against the real api, with click's runner."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection

from coordinator.api_world import USDC, World, node_id, node_view
from coordinator.served import ServedWorld, served_in_thread
from neurogrid.cli.group import neurogrid
from neurogrid_coordinator.store import findings, prices
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.price_history import PriceClass
from neurogrid_marketplace.reputation import Finding, FindingKind

Run = Callable[..., Result]

JOB = ("submit", "python:3.12-slim", "--max-price", "1.00")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_in_thread(tmp_path / "api") as world:
        yield world


@pytest.fixture
def network(api: ServedWorld, tmp_path: Path) -> Path:
    """The file that a devnet writes."""
    alice = api.run(lambda world: world.customer("alice"))
    path = tmp_path / "network.json"
    path.write_text(json.dumps({"api_url": api.address, "api_key": alice.key, "nodes": []}))
    return path


@pytest.fixture
def run(network: Path) -> Run:
    def run(*arguments: str, **more: str) -> Result:
        environment = {"NEUROGRID_NETWORK": str(network), **more}
        return CliRunner().invoke(neurogrid, arguments, env=environment)

    return run


def live(api: ServedWorld, *, outcome: Outcome = Outcome.COMPLETED) -> threading.Thread:
    """Runs the next task that is submitted, with a log and an output."""

    async def live(world: World) -> None:
        while not world.woken:  # noqa: ASYNC110 - the world's orchestrator is a list
            await asyncio.sleep(0.01)
        task_id = world.woken.pop(0)
        await world.start(task_id)
        await world.print(task_id, "working\n")
        output = await world.upload(task_id, "a/out.txt", b"result")
        await world.finish(
            task_id, *([output] if outcome is Outcome.COMPLETED else []), outcome=outcome
        )

    thread = threading.Thread(target=lambda: api.run(live))
    thread.start()
    return thread


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


def test_reputation_shows_the_score_and_what_it_is_made_of(run: Run, api: ServedWorld) -> None:
    async def find(world: World) -> None:
        now_ms = world.now_ms
        for kind in (FindingKind.VERIFIED, FindingKind.REFUTED, FindingKind.REFUTED):
            await world.database.write(findings.add, node_id("one"), Finding(kind, now_ms))

    api.run(find)
    result = run("reputation", node_id("one"))
    assert result.exit_code == 0, result.output
    assert "score      0 of 1000 (a newcomer has 500)" in result.stdout
    assert "suspended  proven wrong twice" in result.stdout
    assert "other nodes agreed on another result" in result.stdout
    shown = json.loads(run("reputation", node_id("one"), "--json").stdout)
    assert (shown["score"], len(shown["findings"])) == (0, 3)
    newcomer = run("reputation", node_id("two"))
    assert "score      500 of 1000" in newcomer.stdout
    assert "Nothing was found out about it yet." in newcomer.stderr
    assert run("reputation", "nobody").exit_code == 4


def test_json_is_one_document_on_standard_output(run: Run, api: ServedWorld) -> None:
    living = live(api)
    result = run(*JOB, "--wait", "--json")
    living.join()
    task = json.loads(result.stdout)
    assert (task["status"], task["cost_usdc"], result.stderr) == ("completed", "0.001", "")
    for command in (
        ("list",),
        ("logs", task["id"]),
        ("outputs", task["id"]),
        ("nodes",),
        ("account",),
        ("explain", "--max-price", "1"),
    ):
        result = run(*command, "--json")
        assert result.exit_code == 0, result.output
        json.loads(result.stdout)
    result = run("status", "task_none", "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["error"]["code"] == "NOT_FOUND"


def test_a_tasks_whole_life_in_commands(run: Run, api: ServedWorld, tmp_path: Path) -> None:
    task_id = run(*JOB, "--name", "resize").stdout.strip()
    listing = run("list").stdout
    assert "resize" in listing
    assert "pending" in listing
    api.run(lambda world: world.start(task_id))
    api.run(lambda world: world.print(task_id, "one\ntwo\n"))
    assert run("logs", task_id, "-n", "1").stdout == "two\n"
    assert run("logs", task_id, "--all").stdout == "one\ntwo\n"
    output = api.run(lambda world: world.upload(task_id, "a/out.txt", b"result"))
    early = run("receipt", task_id)
    assert early.exit_code == 8
    assert "the task is running" in early.stderr
    api.run(lambda world: world.finish(task_id, output))
    assert run("logs", task_id, "-f").stdout == "one\ntwo\n"
    shown = run("status", task_id).stdout
    for words in ("completed", node_id("one"), "0.36 USDC per hour", "task.started"):
        assert words in shown
    assert "a/out.txt" in run("outputs", task_id).stdout
    written = run("outputs", task_id, "-o", str(tmp_path / "o")).stdout
    assert Path(written.strip()).read_bytes() == b"result"
    api.run(lambda world: world.pay(task_id, b"{}\n"))
    assert run("receipt", task_id).stdout == "{}\n"
    receipt = run("receipt", task_id, "-o", str(tmp_path / "r.json"), "--wait", "5")
    assert "neurogrid verify" in receipt.stderr
    assert run("verify", str(tmp_path / "r.json")).exit_code == 1
    assert run("cancel", task_id).stdout == f"{task_id} deleted\n"
    assert "No tasks" in run("list").stderr


def test_the_market_in_words(run: Run) -> None:
    nodes = run("nodes").stdout
    assert "NVIDIA L4 24GB" in nodes
    assert "0.10 USDC/h" in nodes
    good = run("explain", "--max-price", "1.00")
    assert good.exit_code == 0
    assert "2 of 2 nodes match." in good.stdout
    poor = run("explain", "--max-price", "0.01")
    assert poor.exit_code == 6
    assert "lowest ask of a node that fits is 0.10 USDC per hour" in poor.stdout
    picky = ("--where", "region = mars or ram >= 1TB", "--where", "gpu.memory >= 1GB")
    strict = run("explain", "--max-price", "1.00", *picky)
    assert strict.exit_code == 6
    assert "0 of 2 nodes left after region = mars or ram >= 1TB" in strict.stdout
    tight = run("explain", "--max-price", "1.00", "--where", "gpu.memory >= 40GB")
    assert "2 would come in with gpu.memory >= 25.7GB" in tight.stdout
    task_id = run(*JOB, "--where", "gpu.memory>=20GB", "--reveal-wallet").stdout.strip()
    assert json.loads(run("status", task_id, "--json").stdout)["constraints"] == (
        "gpu.memory >= 20GB"
    )
    account = run("account").stdout
    assert "100.00 USDC" in account


def test_an_estimate_says_price_total_and_balance(run: Run, api: ServedWorld) -> None:
    shown = run("estimate", "--max-price", "1.00", "--timeout", "30m")
    assert shown.exit_code == 0
    assert "Likely 0.10 USDC per hour, 0.05 USDC for the whole time limit." in shown.stdout
    assert "2 free, 2 suitable, of 2" in shown.stdout
    assert "100.00 USDC" in shown.stdout
    assert run("estimate", "--max-price", "0.01").exit_code == 6
    poor = run("estimate", "--max-price", "1000")
    assert poor.exit_code == 5
    assert "Deposit 900.00 USDC more" in poor.stderr
    dry = run(*JOB, "--dry-run", "--json")
    assert json.loads(dry.stdout)["balance"]["enough"] is True
    assert run("list", "--json").stdout.count("task_") == 0
    api.run(lambda world: world.database.write(_noted))
    assert "median of 1 awards of cpu" in run("estimate", "--max-price", "1.00").stdout


def _noted(conn: Connection) -> None:
    prices.add(conn, PriceClass("cpu", 1000), 250_000, 400, time.time_ns() // 1_000_000)


def test_prices_are_listed_by_class_and_by_hour(run: Run, api: ServedWorld) -> None:
    nothing = run("prices")
    assert "Nothing was awarded in the last 24 h." in nothing.stderr
    api.run(lambda world: world.database.write(_noted))
    listing = run("prices").stdout
    assert "0.25 USDC" in listing
    assert "core and hour" in listing
    assert "HOUR" in run("prices", "cpu").stdout
    data = json.loads(run("prices", "cpu", "--json").stdout)
    assert data["classes"][0]["hours"][0]["awards"] == 1


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

    api.run(lambda world: world.database.write(_noted))
    assert json.loads(run("prices", "--spot", "--json").stdout)["classes"] == []
    spot = PriceClass("cpu spot", 1000)
    now_ms = time.time_ns() // 1_000_000
    api.run(lambda world: world.database.write(prices.add, spot, 125_000, 400, now_ms))
    listed = json.loads(run("prices", "--spot", "--json").stdout)["classes"]
    assert [each["name"] for each in listed] == ["cpu spot"]
    assert "HOUR" in run("prices", "cpu", "--spot").stdout


def test_the_language_of_conditions_is_shown_without_a_coordinator(run: Run) -> None:
    shown = run("constraints").stdout
    assert "gpu.memory" in shown
    assert "KiB" in shown
    assert "task.timeout" in run("constraints", "--of", "tasks").stdout
    listed = json.loads(run("constraints", "--json").stdout)
    memory = next(each for each in listed if each["name"] == "gpu.memory")
    assert memory["base_unit"] == "bytes"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("submit", "a"), 2, "Missing option '--max-price'"),
        (("submit", "A B", "--max-price", "1"), 2, "docker_image: must be the name of an image"),
        (("submit", "a", "--max-price", "1", "--timeout", "soon"), 2, "is no duration"),
        (("submit", "a", "--max-price", "1", "-e", "X"), 2, "is not NAME=VALUE"),
        (("submit", "a", "--max-price", "1", "-i", "/no/such"), 2, "does not exist"),
        (("submit", "a", "--max-price", "1000"), 5, "Deposit USDC"),
        (("submit", "a", "--max-price", "1", "--cpu", "99"), 6, "0 of 2 nodes left after cpu"),
        (
            ("submit", "a", "--max-price", "1", "--where", "gpu.memry > 2GB"),
            2,
            "constraints: at character 1: there is no attribute 'gpu.memry'; did you mean gpu.mem",
        ),
        (
            ("submit", "a", "--max-price", "1", "--where", "region = mars"),
            6,
            "0 of 2 nodes left after region = mars",
        ),
        (("status", "task_none"), 4, "`neurogrid list` shows your tasks"),
        (("outputs", "task_none"), 4, "there is no task"),
        (("frobnicate",), 2, "No such command"),
    ],
)
def test_what_goes_wrong_says_what_to_do(
    run: Run, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert result.stdout == ""


def test_a_wrong_key_and_a_wrong_address(run: Run, api: ServedWorld, tmp_path: Path) -> None:
    no_network = {"NEUROGRID_NETWORK": ""}
    nothing = run("list", **no_network, NEUROGRID_API_URL="", NEUROGRID_API_KEY="")
    assert nothing.exit_code == 3
    assert "set NEUROGRID_API_URL" in nothing.stderr
    key = {"NEUROGRID_API_KEY": "ng_wrong"}
    wrong = run("list", **no_network, **key, NEUROGRID_API_URL=f"{api.address}/api/v1/")
    assert wrong.exit_code == 3
    assert "not known here" in wrong.stderr
    not_an_address = run("list", "--api-url", "ftp://x", **no_network, **key)
    assert "starts with http" in not_an_address.stderr
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    unreadable = run("list", "--network", str(broken))
    assert unreadable.exit_code == 3
    assert "no network.json" in unreadable.stderr


def test_poor_accounts_learn_both_amounts(api: ServedWorld, run: Run) -> None:
    poor = api.run(lambda world: world.customer("poor", deposit=USDC // 2))
    result = run(
        *JOB, NEUROGRID_NETWORK="", NEUROGRID_API_URL=api.address, NEUROGRID_API_KEY=poor.key
    )
    assert result.exit_code == 5
    assert "up to 1.00 USDC, and 0.50 USDC are available" in result.stderr


def test_colours_only_where_they_are_wanted(run: Run) -> None:
    task_id = run(*JOB).stdout.strip()
    assert "\x1b[" not in run("status", task_id).output
    coloured = CliRunner().invoke(
        neurogrid, ["verify", "-"], input=b"{}", color=True, env={"NO_COLOR": ""}
    )
    assert "\x1b[" in coloured.output
    plain = CliRunner().invoke(
        neurogrid, ["verify", "-"], input=b"{}", color=True, env={"NO_COLOR": "1"}
    )
    assert "\x1b[" not in plain.output


def test_a_nodes_words_do_not_steer_the_terminal(run: Run, api: ServedWorld) -> None:
    view = node_view("evil", summary="nice\x1b[2Jmachine\n")
    api.run(lambda world: world.nodes.on_node(view.offer.node_id, "joined", view))
    listing = run("nodes").stdout
    assert "nice\N{REPLACEMENT CHARACTER}[2Jmachine⏎" in listing
    assert "\x1b" not in listing


def test_help_lists_every_command_without_importing_any() -> None:
    code = (
        "import sys; from neurogrid.cli.group import neurogrid;"
        "neurogrid(['--help'], standalone_mode=False);"
        "print([name for name in ('httpx', 'msgspec', 'cryptography', 'neurogrid.client')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "[]"
    for command in ("submit", "status", "logs", "cancel", "verify", "devnet"):
        assert any(line.split()[:1] == [command] for line in lines)


def test_importing_the_sdk_is_light() -> None:
    code = (
        "import sys, neurogrid; print('httpx' in sys.modules); neurogrid.Client;"
        "print([name for name in ('trio', 'solders', 'fastapi') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.splitlines() == ["False", "[]"]


def test_every_public_name_can_be_imported() -> None:
    import neurogrid as sdk

    for name in sdk.__all__:
        assert getattr(sdk, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = sdk.nothing


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
