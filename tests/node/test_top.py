"""What an owner sees of a node at a glance."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from neurogrid_node.__main__ import main
from neurogrid_node.commands.frame import frame
from neurogrid_node.commands.live import screen, wanted
from neurogrid_node.control.requests import Drain, Pause, Resume
from neurogrid_node.machine.fitness import Withheld
from neurogrid_node.market.intake import OPEN, drain, pause
from neurogrid_node.status import LeaseLine, NodeStatus, write_status
from node.market import LEASE, NODE, NOW_MS
from node.test_status import L4, MACHINE, status


def document(shown: NodeStatus) -> dict[str, Any]:
    """As it is read from the file."""
    found = json.loads(json.dumps(asdict(shown)))
    assert isinstance(found, dict)
    return found


def lines(shown: NodeStatus, width: int = 110, now_ms: int | None = None) -> list[str]:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(frame(document(shown), shown.updated_at_ms if now_ms is None else now_ms))
    return [line.rstrip() for line in capture.get().splitlines()]


def one(shown: list[str], words: str) -> str:
    (found,) = [line for line in shown if words in line]
    return found


def job(number: int, **changes: Any) -> LeaseLine:
    plain = replace(status().leases[0], lease_id=f"lease_{number:032x}", stops_at_ms=0)
    return replace(plain, **changes)


def test_it_shows_state_money_gpus_jobs_and_coordinators() -> None:
    shown = lines(replace(status(), leases=(job(1, phase="running"),)))
    assert NODE in shown[0]
    assert "accepting work" in one(shown, "state")
    assert (
        "0.001234 USDC earned in 2 jobs, 0.000007 promised, 0.025 an hour now, 10.00 staked"
        in one(shown, "money")
    )
    assert "0.5 of 4 cores, 1.0 of 2.0 GiB" in one(shown, "leased")
    assert re.search(
        r"0\s+NVIDIA L4\s+█{10}\s+97 %\s+█{2}░{8} 6\.0/24 GiB\s+88\s+71/72 thermal\s+lease_000000…",
        one(shown, "NVIDIA L4"),
    )
    assert re.search(
        r"lease_000000…\s+python:3\.12\s+running\s+12 s\s+42 %\s+0\.025\s+0\.000007",
        one(shown, "python:3.12"),
    )
    assert "not connected, found by mdns" in one(shown, "coordinator")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert all(len(line) <= width for line in lines(status(), width))


def test_what_is_wrong_is_said() -> None:
    shown = lines(
        replace(
            status(),
            accepting=False,
            word=pause(NOW_MS, None),
            no_new_work="paused",
            stake_problem="stake 5.00 more",
            earnings_differ=("lease_9",),
            inventory=replace(MACHINE, withheld=(Withheld("GPU-1", "xid", "XID 79", 0, 0),)),
            leases=(job(1, stops_at_ms=status().updated_at_ms + 5_900),),
        ),
    )
    assert "paused since" in one(shown, "state")
    assert "withheld: xid" in one(shown, "NVIDIA L4")
    assert "running, stopped in 5 s" in one(shown, "python:3.12")
    for words in ("it fell off the bus", "stake 5.00 more", "differ in 1 job", "container_without"):
        assert one(shown, words)


def test_a_machine_with_more_than_a_page_says_how_much_more() -> None:
    many = replace(
        status(),
        inventory=replace(MACHINE, gpus=tuple(replace(L4, uuid=f"GPU-{n}") for n in range(17))),
        leases=tuple(job(number) for number in range(40)),
    )
    shown = lines(many)
    assert one(shown, "and 1 GPU more")
    assert one(shown, "and 24 jobs more")
    assert len(shown) < 50


def test_an_empty_machine_without_a_gpu_or_a_coordinator_is_a_picture_too() -> None:
    bare = replace(MACHINE, gpus=(), gpu_note="no driver", gpu_faults=(), withheld=())
    shown = lines(replace(status(), leases=(), coordinators=(), inventory=bare))
    for words in ("no GPU: no driver", "no job is here", "no coordinator is known"):
        assert one(shown, words)


def test_a_picture_of_before_says_how_old_it_is() -> None:
    assert ", as of 1 min 5 s ago" in lines(status(), now_ms=status().updated_at_ms + 65_500)[0]


def test_what_strangers_named_is_neither_markup_nor_an_escape() -> None:
    image = job(1, image="[red]x[/red]\x1b[2J")
    assert r"[red]x[/red]\x1b[2J" in one(lines(replace(status(), leases=(image,))), "[red]x")


def test_keys_pause_a_node_let_it_go_on_and_drain_it() -> None:
    working, paused = document(status()), document(replace(status(), word=pause(NOW_MS, None)))
    drains = document(replace(status(), word=drain(OPEN, NOW_MS, exits=False)))
    assert (wanted("p", working), wanted("d", working)) == (Pause(), Drain())
    assert wanted("p", paused) == wanted("p", drains) == Resume()
    assert wanted("", working) is wanted("x", working) is None
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(screen(None, "the node has not answered"))
    assert "no node runs here now" in capture.get()
    assert "the node has not answered" in capture.get()


def typed(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["top", *arguments, "--data", str(directory)])


def test_once_needs_no_terminal_and_the_live_one_does(tmp_path: Path) -> None:
    assert typed(tmp_path, "--once").exit_code == 3
    write_status(tmp_path, status())
    assert "NVIDIA L4" in typed(tmp_path, "--once").output
    assert json.loads(typed(tmp_path, "--json").output)["peer_id"] == NODE
    blind = typed(tmp_path)
    assert blind.exit_code == 2
    assert "top --once" in blind.output
    assert typed(tmp_path, "--svg", "x.svg").exit_code == 2


def test_a_picture_for_a_page_fetches_nothing(tmp_path: Path) -> None:
    write_status(tmp_path, status())
    made = typed(tmp_path, "--once", "--svg", str(tmp_path / "top.svg"))
    assert made.exit_code == 0, made.output
    picture = (tmp_path / "top.svg").read_text()
    assert "NVIDIA" in picture
    assert re.findall(r"url\((?!#)|href|@font-face", picture) == []


def test_in_a_terminal_it_lives_until_q_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    write_status(tmp_path, replace(status(), updated_at_ms=time.time_ns() // 10**6 + 50_000))
    ours, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "neurogrid_node", "top", "--data", str(tmp_path)],
        stdin=terminal,
        stdout=terminal,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
    ) as process:
        os.close(terminal)
        seen = b""

        def until(words: bytes) -> None:
            nonlocal seen
            while words not in seen:
                assert select.select([ours], [], [], 60)[0], seen
                seen += os.read(ours, 1 << 16)

        until(b"p pause or resume")
        os.write(ours, b"p")
        # It ends where the line does, so only a word is looked for.
        until(b"listen")
        os.write(ours, b"q")
        until(b"\x1b[?1049l")
        assert process.wait(60) == 0
    os.close(ours)
    assert LEASE[:12].encode() in seen
