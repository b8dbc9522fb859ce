"""Every command and program of the documentation, run on a market; data is read by what reads it."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from acceptance.network import running_devnet
from docs.snippets import PAGES, ROOT, Block, blocks, command_lines, typed
from neurogrid.cli.group import neurogrid
from neurogrid_contracts.cli.__main__ import main as contracts
from neurogrid_contracts.ledger.__main__ import main as ledger
from neurogrid_coordinator.__main__ import main as coordinator
from neurogrid_node.__main__ import main as node

ALL = [block for page in PAGES for block in blocks(page)]
# What runs: by its page, one after the other, as a reader types it.
_PROGRAMS = ("bash", "console", "python")
# Run by tests/typescript, in Node.js.
_ELSEWHERE = ("typescript",)
_OTHERS = ("", "http", "text", "javascript", "js")
_DATA = ("json", "toml")
_TIMEOUT_S = 120


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def with_programs() -> list[Path]:
    return [
        page
        for page in PAGES
        if any(block.language in _PROGRAMS and not block.reason for block in blocks(page))
    ]


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A market of three nodes, as the tutorial starts it; its network.json."""
    with running_devnet(tmp_path_factory.mktemp("snippets") / "D", nodes=3) as running:
        yield running.data / "network.json"


@pytest.fixture
def environment(market: Path, tmp_path: Path) -> dict[str, str]:
    """A reader's shell: a home of their own, the commands on the path, the market named."""
    (tmp_path / "home").mkdir()
    network = json.loads(market.read_text())
    return {
        **{word: value for word, value in os.environ.items() if not word.startswith("NEUROGRID_")},
        "HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NEUROGRID_NETWORK": str(market),
        "API": network["api_url"],
        "KEY": network["api_key"],
    }


def run(command: list[str], environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("page", with_programs(), ids=name)
def test_what_a_page_shows_runs(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """Shell by shell and program by program, in one folder; a page's Python is one program, so that later blocks know earlier names."""
    program = ""
    # What a block has named, later ones know.
    shell = 'set -euo pipefail; set -a; [ ! -e "$HOME/names" ] || . "$HOME/names"; trap \'export -p >"$HOME/names"\' EXIT\n'
    for block in blocks(page):
        if block.reason or block.language not in _PROGRAMS:
            continue
        if block.language == "python":
            program += block.text
            run(
                [sys.executable, "-W", "error", "-c", given(program, environment)],
                environment,
                tmp_path,
            )
        elif block.language == "bash":
            run(["bash", "-c", shell + block.text], environment, tmp_path)
        else:
            text, seen = typed(block)
            shown = run(["bash", "-c", shell + text], environment, tmp_path)
            for words in seen:
                assert words in shown


# What programs on a page may take as there: a client, and a task of one's own that is settled.
_CLIENT = "import neurogrid\nclient = neurogrid.Client()\n"
_TASK = """
import time as _time
task = client.tasks.create(docker_image="neurogrid/job:1", command=["true"], max_price_per_hour="0.10")
while not client.tasks.get(task.id).settled:
    _time.sleep(0.1)
"""


def given(program: str, environment: dict[str, str]) -> str:
    """A page's program with the names that it takes as there, and this market in place of the one that it names."""
    assigned = {
        each.strip()
        for each in re.findall(r"^\s*(?:with .* as )?(\w+)(?= =|:$)", program, re.MULTILINE)
    }
    before = ""
    if re.search(r"\bclient\.", program) and "client" not in assigned:
        before += _CLIENT
    if re.search(r"\btask\.", program) and "task" not in assigned:
        before += _TASK
    return before + (
        program.replace("/tmp/market/network.json", environment["NEUROGRID_NETWORK"])
        .replace("http://127.0.0.1:8080", environment["API"])
        .replace('"ng_..."', f'"{environment["KEY"]}"')
    )


@pytest.mark.parametrize("block", [block for block in ALL if block.language in _DATA])
def test_data_is_read(block: Block) -> None:
    if block.reason:
        return
    if block.language == "json":
        json.loads(block.text)
    else:
        tomllib.loads(block.text)


def test_what_is_not_run_says_why() -> None:
    left = [block for block in ALL if block.reason]
    assert all(len(block.reason) > 10 for block in left)
    known = {*_PROGRAMS, *_DATA, *_ELSEWHERE, *_OTHERS}
    assert {block.language for block in ALL} <= known
    assert all(block.reason for block in ALL if block.language in {"javascript", "js"})


def test_most_commands_are_read() -> None:
    assert sum(1 for page in PAGES for _ in command_lines(page)) > 150


_COMMANDS: dict[str, click.Command] = {
    "neurogrid": neurogrid,
    "neurogrid-node": node,
    "neurogrid-coordinator": coordinator,
    "neurogrid-contracts": contracts,
    "neurogrid-ledger": ledger,
}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_a_page_shows_is_one(page: Path) -> None:
    """Its words and options exist; what it is given may be a placeholder."""
    wrong = []
    for number, program, words in command_lines(page):
        try:
            check(_COMMANDS[program], words)
        except click.UsageError as error:
            wrong.append(f"{name(page)}:{number}: {program} {' '.join(words)}: {error.message}")
    assert not wrong, "\n".join(wrong)


def check(command: click.Command, words: list[str]) -> None:
    context = click.Context(command)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        word, *words = words
        # `list, status`, `a | b`: prose.
        found = command.get_command(context, word.rstrip(",.:"))
        if found is None:
            raise click.UsageError(f"no command {word}")
        command, context = found, click.Context(found)
    options = {
        opt for parameter in command.params for opt in (*parameter.opts, *parameter.secondary_opts)
    }
    options |= {"-h", "--help"}
    for word in words:
        if word == "--":
            return
        option = word.partition("=")[0]
        if option.startswith("--") and option not in options:
            raise click.UsageError(f"no option {option}")
