"""What `pip install neurogrid` brings: the files in the wheel, and commands that say what they lack."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
# Beside the Python sources.
DATA = {
    "neurogrid_contracts/elf/neurogrid.so",
    "neurogrid_contracts/elf/neurogrid.so.sha256",
    "neurogrid_contracts/idl.json",
    "neurogrid_contracts/ledger/status.css",
    "neurogrid_coordinator/api/docs.html",
    "neurogrid_coordinator/coordinator.toml",
    "neurogrid_coordinator/dashboard_files/index.html",
    "neurogrid_coordinator/store/migrations/0001_initial.sql",
    "neurogrid_node/node.toml",
}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The paths in a wheel that is built from this checkout."""
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", target],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = target.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_has_what_is_read_at_run_time(names: set[str]) -> None:
    assert names >= DATA


def test_the_wheel_has_every_package_with_its_types_and_nothing_beside(names: set[str]) -> None:
    sources = {f"{path.parent.name}/py.typed" for path in ROOT.glob("*/neurogrid*/__init__.py")}
    assert len(sources) == 9
    assert names >= sources
    tops = {name.partition("/")[0] for name in names}
    assert tops == {name.partition("/")[0] for name in sources} | {"neurogrid-0.1.0.dist-info"}
    assert not any("/tests/" in name or "__pycache__" in name for name in names)


_WITHOUT_KEYS = "import sys; sys.modules['cryptography'] = None; "


def _python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )


def test_without_the_package_for_keys_every_name_of_the_sdk_can_be_used() -> None:
    ran = _python(
        _WITHOUT_KEYS
        + "import neurogrid; print(len([getattr(neurogrid, n) for n in neurogrid.__all__]));"
        "neurogrid.Client('ng_x', 'http://127.0.0.1:9').close()"
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) >= 29


def test_who_signs_without_it_is_told_what_to_install() -> None:
    ran = _python(
        _WITHOUT_KEYS + "import neurogrid; from neurogrid.signing import RequestSigner\n"
        "try: RequestSigner(bytes(32))\n"
        "except neurogrid.KeysMissing as error: print(error)"
    )
    assert "pip install 'neurogrid[keys]'" in ran.stdout, ran.stderr


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("neurogrid_node.__main__ start --data {}", "node"),
        ("neurogrid_coordinator.__main__ start --data {}", "coordinator"),
        ("neurogrid_contracts.ledger.__main__ start --data {}", "ledger"),
        ("neurogrid_contracts.cli.__main__ show 1", "ledger"),
        ("neurogrid.__main__ devnet status --data {}", "devnet"),
        ("neurogrid.__main__ devnet up --data {}", "devnet"),
    ],
)
def test_a_command_without_its_extra_says_which_one_it_needs(
    command: str, extra: str, tmp_path: Path
) -> None:
    module, *arguments = command.format(tmp_path).split()
    program = (
        "import runpy, sys\n"
        "for name in ('trio', 'solders', 'uvloop', 'psutil', 'sqlalchemy', 'docker'):\n"
        "    sys.modules[name] = None\n"
        f"sys.argv = ['command', *{arguments!r}]\n"
        f"runpy.run_module({module!r}, run_name='__main__')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("Error: ")
    assert f"pip install 'neurogrid[{extra}]'" in ran.stderr
    assert "Traceback" not in ran.stderr
