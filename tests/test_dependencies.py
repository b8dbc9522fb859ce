"""Every third-party import of a role is declared by that role's extra, and nothing else is."""

import ast
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = packages_distributions()
MARKETPLACE = "marketplace/neurogrid_marketplace"
TELEMETRY = "telemetry/neurogrid_telemetry"
EXPORTED_TRACES = f"{TELEMETRY}/exported_traces.py"
KUBE_API = "node/neurogrid_node/kube/api.py"
BUCKET = "coordinator/neurogrid_coordinator/files/s3_bucket.py"
STORE = "coordinator/neurogrid_coordinator/store"
POSTGRESQL = (
    f"{STORE}/postgresql.py",
    f"{STORE}/postgresql_connection.py",
    f"{STORE}/postgresql_schema.py",
    f"{STORE}/lead.py",
    f"{STORE}/hints.py",
    "coordinator/neurogrid_coordinator/sharing/counting.py",
)
# All that signs, checks signatures and seals; who only submits jobs does without.
PRIMITIVES = f"{MARKETPLACE}/primitives.py"
# What takes a function along, and what opens it in the job.
FUNCTIONS = tuple(f"sdk/neurogrid/functions/{name}.py" for name in ("code", "run"))
# What each extra is for ("": without any), as folders or files of our code.
ROLES = {
    "": ("sdk/neurogrid", MARKETPLACE),
    "keys": (PRIMITIVES,),
    "remote": FUNCTIONS,
    "wallet": ("wallet/neurogrid_wallet",),
    "ledger": ("contracts-client/neurogrid_contracts",),
    "node": ("node/neurogrid_node", "p2p/neurogrid_p2p", TELEMETRY, f"{MARKETPLACE}/wire.py"),
    "coordinator": (
        "coordinator/neurogrid_coordinator",
        "p2p/neurogrid_p2p",
        TELEMETRY,
        f"{MARKETPLACE}/wire.py",
    ),
    "traces": (EXPORTED_TRACES,),
    "kubernetes": (KUBE_API,),
    "postgresql": POSTGRESQL,
    "s3": (BUCKET,),
    "devnet": ("devnet/neurogrid_devnet",),
}
# Frames are for the daemons; the SDK reads receipts alone (and import-linter keeps it so).
NOT_OF = {
    "": {f"{MARKETPLACE}/wire.py", PRIMITIVES, *FUNCTIONS},
    "node": {EXPORTED_TRACES, KUBE_API},
    "coordinator": {EXPORTED_TRACES, BUCKET, *POSTGRESQL},
}
# `compression` came with Python 3.14; what stands in for it before is declared.
STANDARD = sys.stdlib_module_names | {"compression"}
# Data that the standard library reads: `zoneinfo`, where the system has no time zones.
DATA = {"tzdata"}
# Inside the job's image, not inside our process.
JOB_FILES = {"devnet/neurogrid_devnet/demo_job/job.py"}


def _declared(extra: str) -> set[str]:
    """Distributions that an extra brings by name, through our other extras too."""
    texts = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    found = set() if not extra else _declared("")
    for requirement in map(Requirement, texts):
        if canonicalize_name(requirement.name) == PROJECT["name"]:
            for other in requirement.extras:
                found |= _declared(other)
        else:
            found.add(canonicalize_name(requirement.name))
    return found


def _imported(role: str) -> dict[str, str]:
    """Top-level module -> a file that imports it, at any place in it."""
    found: dict[str, str] = {}
    for place in ROLES[role]:
        path = ROOT / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            name = str(file.relative_to(ROOT))
            if name in JOB_FILES or name in NOT_OF.get(role, set()):
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                modules: list[str] = []
                if isinstance(node, ast.Import):
                    modules = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    modules = [node.module]
                for module in modules:
                    top = module.partition(".")[0]
                    if top not in STANDARD and not top.startswith("neurogrid"):
                        found.setdefault(top, name)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_every_import_is_declared_by_its_role(role: str) -> None:
    declared = _declared(role)
    for module, file in _imported(role).items():
        owners = {canonicalize_name(owner) for owner in DISTRIBUTIONS.get(module, [])}
        assert owners & declared, f"{file} imports {module}, which [{role}] does not declare"


def test_every_declared_package_is_imported_by_its_role() -> None:
    for role in ROLES:
        imported = {
            canonicalize_name(owner)
            for module in _imported(role)
            for owner in DISTRIBUTIONS.get(module, [])
        }
        own = PROJECT["optional-dependencies"][role] if role else PROJECT["dependencies"]
        names = (
            {canonicalize_name(Requirement(text).name) for text in own} - {PROJECT["name"]} - DATA
        )
        assert names <= imported, f"[{role}] declares what nothing of it imports"


def test_a_plain_install_brings_ten_packages_at_most() -> None:
    found: set[str] = set()
    waiting = list(PROJECT["dependencies"])
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if needed and name not in found:
            found.add(name)
            waiting += distribution(name).requires or []
    assert len(found) <= 10, sorted(found)
