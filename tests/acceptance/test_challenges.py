"""Challenges by real processes: a node shows what it has, another limit makes it late, and nothing is lost by a kill."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from acceptance.network import Devnet, neurogrid, until
from neurogrid.errors import ProviderUnavailableError
from neurogrid.models import Task
from neurogrid_marketplace.challenge_evidence import verify_evidence

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# A little memory, and no deadline that a busy machine could miss.
PATIENT = {"challenge_fill_percent": "1", "challenge_allowance_s": "3600"}
# Nothing starts a container within a millisecond.
HASTY = {
    "challenge_fill_percent": "1",
    "challenge_allowance_s": "0",
    "challenge_rates": '["gpu 999999999", "cpu 999999999"]',
}


def coordinator(devnet: Devnet, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The operator's command."""
    command = [sys.executable, "-m", "neurogrid_coordinator", *arguments]
    where = ["--data", str(devnet.network.coordinator.data)]
    return subprocess.run(
        [*command, *where], capture_output=True, text=True, timeout=300, check=False
    )


@contextmanager
def configuring(devnet: Devnet) -> Iterator[Callable[..., None]]:
    """What restarts the coordinator with settings of [trust] beside its own; as it was, after."""
    file = Path(devnet.network.coordinator.data) / "coordinator.toml"
    before = file.read_text()

    def configure(**settings: str) -> None:
        changed = before
        for name, value in settings.items():
            changed, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", changed)
            assert count == 1, name
        file.write_text(changed)
        devnet.until_restarted("api", devnet.kill("api"))
        # Named once it has read all its files: it answers from then on.
        until(lambda: devnet.pid("market"), "the market runs again")

    try:
        yield configure
    finally:
        configure()
        devnet.until_idle()


def test_a_node_shows_what_it_has_and_is_late_where_nobody_could_be_in_time(
    devnet: Devnet, tmp_path: Path
) -> None:
    payer_id = devnet.http.get("/account").json()["data"]["id"]
    account = f'"{payer_id}"'
    node = str(devnet.network.nodes[0].peer_id)
    score = devnet.client.nodes.reputation(node).score
    file = tmp_path / "evidence.json"

    with configuring(devnet) as configure:
        configure(challenge_account=account, **PATIENT)
        devnet.until_idle()
        # What was asked holds, whatever the operator sets meanwhile.
        shown = _pass_meanwhile(
            devnet, node, file, lambda: configure(challenge_account=account, **HASTY)
        )
        # Anybody can fetch it and check it.
        anybody = httpx.get(
            f"{devnet.network.api_url}/api/v1/challenges/{shown['challenge_id']}/evidence",
            trust_env=False,
        )
        assert anybody.content == file.read_bytes()
        assert verify_evidence(anybody.content).digest == shown["evidence_sha256"]
        checked = neurogrid("verify-evidence", str(file), "--draw")
        assert checked.returncode == 0, checked.stdout
        listed = neurogrid(
            "evidence", node, "--verify", "--json", "--network", str(devnet.data / "network.json")
        )
        assert [item["file"] for item in json.loads(listed.stdout)] == ["valid"]

        def asked_for_by_a_condition() -> Task | None:
            try:
                return devnet.submit("true", where="node.challenged = yes")
            except ProviderUnavailableError:
                return None  # the market has not been told yet

        task = until(asked_for_by_a_condition, "the condition finds it")
        assert devnet.until_settled(task.id).node_id == node
        # In shadow mode it is shown and counts nothing.
        assert devnet.client.nodes.reputation(node).score == score
        late = coordinator(devnet, "challenge", node, "--json")
        assert late.returncode == 1, late.stderr
        assert json.loads(late.stdout)["state"] == "late"
        newest = devnet.client.nodes.evidence(node)[0]
        assert (newest.kind, newest.details["mark"]) == ("challenge_failed", "late")
        assert devnet.client.nodes.reputation(node).score == score


def _pass_meanwhile(
    devnet: Devnet, node: str, file: Path, kill: Callable[[], None]
) -> dict[str, Any]:
    """What the command prints of a challenge that the coordinator is killed during."""
    where = ("--data", str(devnet.network.coordinator.data))
    command = (sys.executable, "-m", "neurogrid_coordinator", "challenge", node, "--json", *where)
    with subprocess.Popen(
        [*command, "--evidence", str(file)], stdout=subprocess.PIPE, text=True
    ) as asked:

        def running() -> bool:
            found = devnet.client.tasks.list(limit=5).tasks
            return any(task.name == "challenge" and task.phase != "queued" for task in found)

        until(running, "the challenge is under way")
        kill()
        printed, _ = asked.communicate(timeout=300)
    assert asked.returncode == 0, printed
    shown: dict[str, Any] = json.loads(printed)
    assert shown["state"] == "passed"
    return shown
