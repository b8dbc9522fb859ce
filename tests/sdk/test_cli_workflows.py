"""``neurogrid workflow`` and ``submit --after`` against the real api."""

import json
from pathlib import Path

import pytest

from coordinator.api_world import World
from coordinator.served import ServedWorld
from sdk.typing_commands import JOB, Run

TOML = """
name = "Train and test"
[tasks.train]
docker_image = "my/train"
max_price_per_hour = "1.00"
inputs = [{path = "data.csv", file = "data.csv"}]
[tasks.test]
docker_image = "my/test"
max_price_per_hour = "1.00"
inputs = [{path = "m", from_task = "train", output = "model.bin"}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "data.csv").write_text("1,2\n")
    path = tmp_path / "flow.toml"
    path.write_text(TOML)
    return path


def test_a_file_is_submitted_shown_listed_and_cancelled(run: Run, file: Path) -> None:
    result = run("workflow", "submit", str(file), "--idempotency-key", "k")
    assert result.exit_code == 0, result.output
    workflow_id = result.stdout.strip()
    assert workflow_id.startswith("flow_")
    assert f"neurogrid workflow status --wait {workflow_id}" in result.stderr
    again = run("workflow", "submit", str(file), "--idempotency-key", "k", "--json")
    assert json.loads(again.stdout)["id"] == workflow_id
    shown = run("workflow", "status", workflow_id)
    assert shown.exit_code == 0, shown.output
    for words in ("Train and test", "pending", "queued", "waiting", "AFTER"):
        assert words in shown.stdout
    test = next(line for line in shown.stdout.splitlines() if line.startswith("test "))
    assert " train " in test
    listed = run("workflow", "list")
    assert workflow_id in listed.stdout
    cancelled = run("workflow", "cancel", workflow_id)
    assert cancelled.stdout == f"{workflow_id} cancelled\n"
    ended = run("workflow", "status", "--wait", workflow_id)
    assert ended.exit_code == 1
    assert run("workflow", "status", "flow_nobody").exit_code == 4


def test_json_says_the_same_as_toml(run: Run, file: Path) -> None:
    import tomllib

    as_json = file.with_suffix(".json")
    as_json.write_text(json.dumps(tomllib.loads(TOML)))
    first = run("workflow", "submit", str(file), "--idempotency-key", "k", "--json")
    second = run("workflow", "submit", str(as_json), "--idempotency-key", "k", "--json")
    assert json.loads(first.stdout)["id"] == json.loads(second.stdout)["id"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "no table `tasks`"),
        ("this is not toml", "flow.toml:"),
        ("nam = 'x'\n[tasks.a]", "nam is not a field"),
        ("[tasks.a]\ninputs = [{path = 'x', file = 'gone'}]", "gone is no file"),
        ("[tasks.a]\ninputs = [{path = 'x'}]", "one of file, url, sha256 and from_task"),
        ("[tasks.a]\ninputs = [{path = 'x', sha256 = 'a', file = 'b'}]", "one of file"),
        ("[tasks.a]\ninputs = [{file = 'x'}]", "has no path"),
        ("[tasks.a]\ninputs = 'x'", "is no list"),
        (
            "[tasks.a]\ninputs = [{path='x', from_task='b'}, {path='x', from_task='c'}]",
            "two inputs 'x'",
        ),
        ("[tasks.a]\ndocker_image = 'x'", "max_price_per_hour"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(run: Run, file: Path, text: str, words: str) -> None:
    file.write_text(text)
    result = run("workflow", "submit", str(file))
    assert result.exit_code == 2
    assert words in result.stderr


def test_submit_waits_for_other_tasks(run: Run, api: ServedWorld) -> None:
    first = run(*JOB).stdout.strip()
    second = run(*JOB, "--after", first).stdout.strip()
    third = run(*JOB, "--input-from", f"{first}:out/model:m", "--input-from", f"{second}:log")
    shown = json.loads(run("status", third.stdout.strip(), "--json").stdout)
    assert shown["phase"] == "waiting"
    assert shown["depends_on"] == [first, second]
    assert [(item["path"], item["output"]) for item in shown["inputs"]] == [
        ("log", "log"),
        ("m", "out/model"),
    ]
    assert "depends on" in run("status", second).stdout
    assert run(*JOB, "--input-from", "nothing").exit_code == 2

    async def live(world: World) -> None:
        await world.start(first)
        await world.finish(first)

    api.run(live)
    failed = json.loads(run("status", third.stdout.strip(), "--json").stdout)
    assert failed["error"]["code"] == "OUTPUT_MISSING"


def test_a_file_may_ask_models(run: Run, file: Path) -> None:
    hear = '[tasks.hear]\nkind = "model"\nmodel = "ear"\nfile = {from_task = "train", path = "a.wav"}\n'
    file.write_text(TOML + hear)
    result = run("workflow", "submit", str(file), "--json")
    assert result.exit_code == 0, result.output
    tasks = {task["key"]: task for task in json.loads(result.stdout)["tasks"]}
    assert tasks["hear"]["depends_on"] == [tasks["train"]["id"]]
