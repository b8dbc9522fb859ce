"""The `neurogrid` command against the real api, with click's runner."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from coordinator.api_world import USDC, World, node_view
from coordinator.records import node_id, wallet
from coordinator.served import ServedWorld
from neurogrid.cli.group import neurogrid
from neurogrid_coordinator.store import findings, usage
from neurogrid_coordinator.store.usage import Said
from neurogrid_marketplace.reputation import Finding, FindingKind
from neurogrid_marketplace.usage import GpuUse, LeaseUsage
from sdk.typing_commands import JOB, Run, live, note_price


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
        ("nodes", node_id("one")),
        ("providers", "search"),
        ("provider", "earnings"),
        ("provider", "stake"),
        ("provider", "payouts"),
        ("models", "list"),
        ("models", "show", "gpt-small"),
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
    found = run("list", "--kind", "container", "--from", "2020-01-01").stdout
    # It grows older meanwhile.
    assert re.sub(r"\d+s", "?s", found) == re.sub(r"\d+s", "?s", listing)
    assert "No such tasks" in run("list", "--to", "2020-01-01", "--oldest-first").stderr
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
    assert "processor" not in run("nodes", node_id("one")).stdout, "it does not say"
    assert run("nodes", node_id("nobody")).exit_code == 4
    assert "leave out --status" in run("nodes", node_id("one"), "--status", "online").stderr
    providers = run("providers", "search", "--gpu-model", "l4", "--cpu", "4", "--available").stdout
    assert "1 x NVIDIA L4 26GB" in providers
    assert "1.40 USDC/h" in providers
    assert "No provider" in run("providers", "search", "--max-price", "0.01").stderr
    shown = run("providers", "show", wallet("one")).stdout
    assert "1 of 1 take work now" in shown
    assert node_id("one")[-8:] in shown
    models = run("models", "list", "--type", "text").stdout
    assert "small" in models
    assert "10.00 USDC per million tokens" in models
    assert "There is no such model" in run("models", "list", "--category", "none").stderr
    assert "256 tokens" in run("models", "show", "gpt-small").stdout
    assert "There are: small" in run("models", "show", "gpt-9").stderr
    for command in (
        ("resources",),
        ("tasks",),
        ("earnings",),
        ("jobs", "--status", "open"),
        ("payouts",),
    ):
        assert run("provider", *command).exit_code == 0
    assert "0.00 USDC  the market asks for 5.00 USDC" in run("provider", "stake").stdout
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
    api.run(lambda world: world.database.write(note_price))
    assert "median of 1 awards of cpu" in run("estimate", "--max-price", "1.00").stdout


def test_prices_are_listed_by_class_and_by_hour(run: Run, api: ServedWorld) -> None:
    nothing = run("prices")
    assert "Nothing was awarded in the last 24 h." in nothing.stderr
    api.run(lambda world: world.database.write(note_price))
    listing = run("prices").stdout
    assert "0.25 USDC" in listing
    assert "core and hour" in listing
    assert "HOUR" in run("prices", "cpu").stdout
    data = json.loads(run("prices", "cpu", "--json").stdout)
    assert data["classes"][0]["hours"][0]["awards"] == 1


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
    view = node_view("evil", summary="nice\x1b[2Jmachine\n", cpu_model="\x1b[2JEPYC")
    api.run(lambda world: world.nodes.on_node(view.offer.node_id, "joined", view))
    listing = run("nodes").stdout
    assert "nice\N{REPLACEMENT CHARACTER}[2Jmachine⏎" in listing
    shown = run("nodes", node_id("evil"), "--api-url", api.address).stdout
    assert "processor   \N{REPLACEMENT CHARACTER}[2JEPYC" in shown
    assert "\x1b" not in listing + shown


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


def test_explain_knows_who_lets_commands_in(run: Run) -> None:
    result = run("explain", "--max-price", "10", "--interactive")
    assert result.exit_code == 6
    assert "access has exec" in result.output


def test_a_task_is_changed_and_executed_by_command(run: Run, api: ServedWorld) -> None:
    task_id = run(*JOB).stdout.strip()
    result = run(
        "task", "update", task_id, "--max-price", "2", "--priority", "9", "--deadline", "2h"
    )
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{task_id} queued, at most 2.00 USDC per hour and 2.00 USDC in all\n"
    result = run("task", "update", task_id, "--no-deadline", "--max-total", "0.50", "--json")
    shown = json.loads(result.stdout)
    assert (shown["deadline"], shown["max_cost"], shown["priority"]) == (None, "0.50", 9)
    result = run(
        "task", "update", task_id, "--max-total", "none", "--cpu", "2", "--where", "", "--json"
    )
    shown = json.loads(result.stdout)
    assert (shown["max_cost"], shown["resource_requirements"]["cpu_cores"]) == ("2.00", 2.0)
    assert "Say what to change" in run("task", "update", task_id).stderr
    assert run("task", "update", task_id, "--no-deadline", "--deadline", "2h").exit_code == 2
    assert run("task", "update", "task_none", "--name", "x").exit_code == 4
    result = run("task", "execute", task_id)
    assert result.stdout == f"{task_id}\n"
    assert "nothing more was submitted" in result.stderr
    api.run(lambda world: world.start(task_id))
    api.run(lambda world: world.finish(task_id))
    again = json.loads(run("task", "execute", task_id, "--timeout", "10m", "--json").stdout)
    assert (again["execution_of"], again["timeout_seconds"]) == (task_id, 600)


def test_what_a_job_uses_is_shown_by_command(run: Run, api: ServedWorld) -> None:
    task_id = run(*JOB).stdout.strip()
    assert "nothing was measured yet" in run("task", "metrics", task_id).stderr
    lease = api.run(lambda world: world.start(task_id)).lease
    assert lease is not None

    async def measured(world: World) -> None:
        for seconds in (1, 2):
            gpu = GpuUse("GPU-1", 50, 2**30, 66, 70_500)
            used = LeaseUsage(1_000 * seconds, 2**20, 5_000_000, 7, 300, 2, (gpu,))
            told = Said(lease.lease_id, used, 2**21)
            at_ms = world.now_ms + 5_000 * seconds
            await world.database.write(usage.add, node_id("one"), told, at_ms, is_last=False)

    api.run(measured)
    shown = run("task", "metrics", task_id).stdout
    assert "CPU         2.0 s" in shown
    assert "memory      2.1 MB at most, of 500.0 MB" in shown
    assert "disk        5.0 MB read, 7 B written" in shown
    assert "GPU         50% mean, 50% at most" in shown
    assert "GPU warmth  66 °C at most" in shown
    assert "GPU power   70 W at most" in shown
    first, second = shown.splitlines()[-2:]
    assert first.split()[1] == "-"
    assert second.split()[1] == "20%"
    assert "300 B / 2 B" in second
    found = json.loads(run("task", "metrics", task_id, "--samples", "1", "--json").stdout)
    assert (len(found["samples"]), found["summary"]["samples"]) == (1, 2)
    assert run("task", "metrics", "task_none").exit_code == 4
