"""The node as a service: its unit, judged by systemd's own tools, installed in a system that does not run."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neurogrid_contracts.terminal.unit_text import UnitUnwritable
from neurogrid_node.__main__ import main
from neurogrid_node.service_unit import CAPABILITIES, WRITTEN_BY, Service
from node.test_first_run import chain, market, passphrase

__all__ = ["chain", "passphrase"]

# In tenths of systemd-analyze's scale, on which what is not confined has 9.6. Today the unit has 4.4.
EXPOSURE_MAX = 50


def service(*words: object) -> Result:
    return CliRunner().invoke(main, ["service", *map(str, words)])


@pytest.fixture
def make(tmp_path: Path, chain: Path) -> Callable[..., Path]:
    def made(*sealing: object) -> Path:
        node = tmp_path / "node"
        typed = ("init", "--data", node, *market(chain), "--keys-may-be-lost", *sealing)
        done = CliRunner().invoke(main, [str(word) for word in typed])
        assert done.exit_code == 0, done.output
        return node

    return made


def settings(text: str) -> dict[str, str]:
    """A unit's lines; none of ours is there twice."""
    pairs = re.findall(r"^([A-Za-z]+)=(.*)$", text, re.MULTILINE)
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def analyze(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_systemd_reads_the_unit_and_finds_it_confined(tmp_path: Path) -> None:
    unit = tmp_path / "neurogrid-node.service"
    odd = tmp_path / 'a "b"; 100% $HOME'
    unit.write_text(Service(("/bin/echo",), odd, passphrase_file=odd / "p'p").unit())
    verified = analyze("verify", unit)
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = ("security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", unit)
    unit.write_text(Service(("/bin/echo",), Path("/srv/node")).unit())
    assert analyze(*judged).returncode == 0
    unit.write_text("[Service]\nExecStart=/bin/echo\nProtectSystem=strict\n")
    assert analyze(*judged).returncode != 0, "it would let anything pass"


def test_the_daemon_writes_to_its_directory_and_jobs_outlive_it() -> None:
    unit = settings(Service(("/x/neurogrid-node",), Path("/srv/node")).unit())
    assert unit["ExecStart"] == "/x/neurogrid-node start --data /srv/node"
    assert (unit["ProtectSystem"], unit["ReadWritePaths"]) == ("strict", "/srv/node")
    assert unit["NoNewPrivileges"] == "yes"
    assert set(unit["CapabilityBoundingSet"].split()) == set(CAPABILITIES)
    assert (unit["KillMode"], unit["Restart"]) == ("mixed", "on-failure")
    assert "User" not in unit
    assert unit["PrivateTmp"] == "yes"
    assert settings(Service(("/x",), Path("/tmp/node")).unit())["PrivateTmp"] == "no"
    other = settings(Service(("/x/neurogrid-node",), Path("/srv/node"), user="miner").unit())
    assert (other["User"], other["CapabilityBoundingSet"]) == ("miner", "")


def test_what_no_unit_can_say_is_refused() -> None:
    with pytest.raises(UnitUnwritable, match="choose another path"):
        Service(("/x",), Path("/srv/a\nExecStartPre=/bin/false")).unit()


def test_it_is_installed_changed_and_removed(make: Callable[..., Path], tmp_path: Path) -> None:
    node, root = make("--no-passphrase"), tmp_path / "root"
    root.mkdir()
    place = ("--root", root)
    unit = root / "etc/systemd/system/neurogrid-node.service"
    done = service("install", "--data", node, *place)
    assert done.exit_code == 0, done.output
    assert unit.read_text() == service("install", "--data", node, "--print").output
    assert "as it was" in service("install", "--data", node, *place).output
    shown = json.loads(service("status", *place, "--json").output)
    assert (shown["installed"], shown["enabled"]) == (True, True)

    # A log elsewhere has to be written, too, and the folder that a fleet shares.
    config = node / "node.toml"
    text = config.read_text().replace('file = ""', f'file = "{tmp_path}/log/node.log"')
    text = text.replace('kind = "docker"', 'kind = "swarm"').replace(
        'shared = ""', 'shared = "/srv/s"'
    )
    config.write_text(text)
    assert "written" in service("install", "--data", node, *place).output
    assert settings(unit.read_text())["ReadWritePaths"] == f"{node} {tmp_path}/log /srv/s"

    assert service("uninstall", *place).exit_code == 0
    assert [path for path in root.rglob("*") if not path.is_dir()] == []
    assert service("status", *place).exit_code == 3
    # What others wrote is theirs.
    unit.write_text("[Service]\n")
    for words in (("install", "--data", node), ("uninstall",)):
        refused = service(*words, *place)
        assert refused.exit_code == 2
        assert "by somebody else" in refused.output
    assert unit.read_text() == "[Service]\n"


def test_a_service_that_could_not_start_is_not_installed(
    make: Callable[..., Path], tmp_path: Path, passphrase: Path
) -> None:
    refused = service("install", "--data", tmp_path / "nowhere", "--print")
    assert "run `neurogrid-node init` first" in refused.output
    node = make("--passphrase-file", passphrase)
    assert "give --passphrase-file FILE" in service("install", "--data", node, "--print").output
    opening = ("--passphrase-file", passphrase)
    unknown = service("install", "--data", node, *opening, "--user", "no such user", "--print")
    assert "there is no user" in unknown.output
    for name in ("", "../x", "a b"):
        assert service("status", "--name", name).exit_code == 2


def test_the_unit_names_who_wrote_it() -> None:
    assert Service(("/x",), Path("/srv")).unit().startswith(WRITTEN_BY + "\n[Unit]\n")
