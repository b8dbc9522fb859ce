"""`neurogrid submit --direct`, as far as no coordinator is needed; with one: tests/netns/test_direct.py."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from neurogrid import Client
from neurogrid.cli.direct import OwnCoordinator
from neurogrid.cli.group import neurogrid

JOB = {"docker_image": "neurogrid/job:1", "command": ("true",), "inputs": {"a": Path("/a")}}
NODE = "/ip4/192.0.2.7/tcp/4002/p2p/12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnCoordinator]:
    """A coordinator that nobody has to ask."""
    with of(tmp_path) as own:
        yield own


def of(directory: Path) -> OwnCoordinator:
    """One command's hold on the coordinator of a directory."""
    return OwnCoordinator(directory, Client("ng_" + "x" * 43, "http://127.0.0.1:9"), 0)


class Interrupted(Exception):
    """What ends a command."""


def interrupted(own: OwnCoordinator, job: Mapping[str, object]) -> str:
    """The key of a job whose command does not come to its end."""
    keys = []

    def run() -> None:
        with own.undertaking(job) as key:
            keys.append(key)
            raise Interrupted

    with pytest.raises(Interrupted):
        run()
    return keys[0]


def test_an_interrupted_job_keeps_its_key_and_a_finished_one_gets_another(
    own: OwnCoordinator,
) -> None:
    first = interrupted(own, JOB)
    assert interrupted(own, JOB) == first
    with own.undertaking(JOB) as key:
        assert key == first
    with own.undertaking(JOB) as key:
        assert key != first


def test_another_job_has_another_key(own: OwnCoordinator) -> None:
    keys = {
        interrupted(own, JOB),
        interrupted(own, {**JOB, "command": ("false",)}),
        interrupted(own, {**JOB, "files": {"a": (1, 2)}}),
    }
    assert len(keys) == 3


def test_nobody_stops_what_another_command_uses(own: OwnCoordinator, tmp_path: Path) -> None:
    with of(tmp_path):
        # It would ask the coordinator for its tasks otherwise, and there is none.
        own.stop_if_done()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--node", NODE), "--node and --passphrase-file go with --direct"),
        (("--direct", "--node", NODE), "needs the market's --chain and your --wallet"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    arguments: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NEUROGRID_CHAIN", "NEUROGRID_WALLET"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(
        neurogrid,
        ["submit", "image", "--max-price", "1", "--direct-data", str(tmp_path), *arguments],
    )
    assert result.exit_code != 0
    assert words in result.output
