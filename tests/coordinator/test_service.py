"""The coordinator as a service: its unit, judged by systemd's own tools, installed in a system that does not run."""

import json
import pwd
import subprocess
from pathlib import Path

from click.testing import CliRunner, Result

from neurogrid_coordinator.__main__ import main
from neurogrid_coordinator.service_unit import WRITTEN_BY, Service

# In tenths of systemd-analyze's scale, on which what is not confined has 9.6. Today the unit has 2.1.
EXPOSURE_MAX = 22
_ADDRESS = "11111111111111111111111111111111"


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def analyze(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_systemd_reads_the_unit_and_finds_it_confined(tmp_path: Path) -> None:
    unit = tmp_path / "neurogrid-coordinator.service"
    odd = tmp_path / 'a "b"; 100% $HOME'
    unit.write_text(Service(("/bin/echo",), odd, "daemon", odd / "p'p").unit())
    verified = analyze("verify", unit)
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = analyze("security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", unit)
    assert judged.returncode == 0, judged.stdout


def test_it_is_installed_changed_and_removed(tmp_path: Path) -> None:
    directory, root, chain = tmp_path / "coordinator", tmp_path / "root", tmp_path / "chain.json"
    root.mkdir()
    refused = typed("service", "install", "--data", directory, "--print")
    assert refused.exit_code == 2
    named = dict.fromkeys(("program_id", "usdc_mint", "admin", "genesis_hash"), _ADDRESS)
    chain.write_text(json.dumps({"rpc_url": "http://127.0.0.1:8899", **named}))
    made = typed("init", "--data", directory, "--chain", chain)
    assert made.exit_code == 0, made.output
    install = ("service", "install", "--data", directory)
    place = ("--root", root)
    unit = root / "etc/systemd/system/neurogrid-coordinator.service"
    done = typed(*install, *place)
    assert done.exit_code == 0, done.output
    text = unit.read_text()
    assert text == typed(*install, "--print").output
    assert text.startswith(WRITTEN_BY)
    assert f"start --data {directory}\n" in text
    owner = pwd.getpwuid(directory.stat().st_uid).pw_name
    assert f"\nUser={owner}\n" in text
    assert f"\nReadWritePaths={directory}\n" in text
    assert "as it was" in typed(*install, *place).output

    # What it also writes to has to be writable, and secrets come from a file that systemd reads.
    config, secrets = directory / "coordinator.toml", tmp_path / "secrets.env"
    secrets.write_text("NEUROGRID_DATABASE_PASSWORD=x\n")
    changed = config.read_text().replace('file = ""', f'file = "{tmp_path}/log/c.log"')
    changed = changed.replace('root = ""', 'root = "/srv/uploads"').replace(
        "write = false", "write = true"
    )
    config.write_text(changed)
    done = typed(*install, *place, "--environment-file", secrets)
    assert "written" in done.output, done.output
    assert f"\nReadWritePaths={directory} {tmp_path}/log /srv/uploads\n" in unit.read_text()
    assert f"\nEnvironmentFile={secrets}\n" in unit.read_text()
    shown = json.loads(typed("service", "status", *place, "--json").output)
    assert (shown["installed"], shown["enabled"]) == (True, True)

    assert "there is no user" in typed(*install, "--user", "no such user", "--print").output
    assert "chown" in typed(*install, "--user", "nobody", "--print").output
    assert typed("service", "uninstall", *place).exit_code == 0
    assert [path for path in root.rglob("*") if not path.is_dir()] == []
