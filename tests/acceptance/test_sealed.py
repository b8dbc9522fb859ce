"""Sealed inputs through the whole market: only the awarded node ever reads them."""

import hashlib
import json
from pathlib import Path

import docker
import pytest

from acceptance.network import JOB_IMAGE, PATIENCE_S, Devnet, neurogrid, until
from engine.real_registry import AUTH, BUSYBOX, real_registry
from neurogrid import Client
from neurogrid.sealing import KeyStore

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# More than two chunks, and not a whole number of them.
SECRET = b"the weights that nobody else may have: 7d0f31c2\n" * 4_000
ENVIRONMENT = b"API_TOKEN=sealed-token-6b1e\n"


def files_with(folder: Path, text: bytes) -> list[Path]:
    """Files below a folder that hold this text anywhere."""
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and text in path.read_bytes():
                found.append(path)
        except FileNotFoundError:
            continue  # it was deleted meanwhile
    return found


def test_a_sealed_job_runs_and_the_coordinator_never_has_its_inputs(
    devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "weights.bin").write_bytes(SECRET)
    (tmp_path / "job.env").write_bytes(ENVIRONMENT)
    script = (
        ". /inputs/job.env; sha256sum < /inputs/w/weights.bin > /outputs/sum;"
        ' printf %s "$API_TOKEN" | sha256sum >> /outputs/sum'
    )
    run = neurogrid(
        *("submit", JOB_IMAGE, "--network", str(devnet.data / "network.json")),
        *("--max-price", "1.00", "--timeout", "60s", "--sealed", "--json"),
        *("-i", f"{tmp_path / 'weights.bin'}:w/weights.bin", "-i", str(tmp_path / "job.env")),
        *("-o", str(tmp_path / "out"), "--", "sh", "-c", script),
    )
    assert run.returncode == 0, run.stderr
    task = json.loads(run.stdout)
    digests = [hashlib.sha256(text).hexdigest() for text in (SECRET, b"sealed-token-6b1e")]
    assert (tmp_path / "out" / "sum").read_text() == "".join(f"{it}  -\n" for it in digests)
    assert "task.needs_key" in [entry["event"] for entry in task["timeline"]]
    assert KeyStore(tmp_path / "state" / "neurogrid" / "sealed-keys").tasks() == []
    sealed = {item["sha256"] for item in task["inputs"]}
    for text in (SECRET[:48], ENVIRONMENT.strip()):
        assert files_with(devnet.data / "coordinator", text) == []
    # The search would have found them: this is where the sealed files are.
    held = [path.name for path in (devnet.data / "coordinator").rglob("*") if path.is_file()]
    assert sealed <= set(held) or any(digest in name for name in held for digest in sealed)

    def is_gone() -> bool:
        """After its end the node deletes the job's files."""
        return files_with(devnet.data / "nodes", SECRET[:48]) == []

    until(is_gone, "no node has the plaintext any more")


def test_a_private_image_runs_with_credentials_that_nobody_else_ever_has(
    devnet: Devnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MY_REGISTRY", f"{AUTH.username}:{AUTH.password}")
    with real_registry(tmp_path / "registry") as registry:
        made = registry.push("tenants/private", program=BUSYBOX.read_bytes())
        network = ("--network", str(devnet.data / "network.json"))
        job = (
            "submit",
            made.reference,
            *network,
            "--max-price",
            "1.00",
            "--timeout",
            "60s",
            "--json",
        )
        try:
            done = neurogrid(
                *(*job, "--registry-auth", "env:MY_REGISTRY", "-o", str(tmp_path / "out")),
                *("--", "/busybox", "sh", "-c", "echo it ran > /outputs/said"),
            )
            # The image is there now: nobody else has it for that.
            refused = neurogrid(*job, "--wait", "--", "/busybox", "true")
        finally:
            api = docker.APIClient()
            api.remove_image(made.reference, force=True)
            api.close()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "said").read_text() == "it ran\n"
    assert json.loads(refused.stdout)["error"]["code"] == "IMAGE_NOT_FOUND"
    assert files_with(devnet.data, AUTH.password.encode()) == []
    assert files_with(devnet.data, made.reference.encode()) != [], "one would be found"


def test_an_input_that_does_not_open_is_nobodys_fault_but_its_clients(
    devnet: Devnet, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    keys = KeyStore(tmp_path / "keys")
    network = devnet.data / "network.json"
    with Client(network=network, keys_directory=tmp_path / "keys") as client:
        task = client.tasks.create(
            docker_image=JOB_IMAGE,
            command=["true"],
            max_price_per_hour="1.00",
            timeout_seconds=60,
            inputs={"secret": tmp_path / "secret"},
            sealed=True,
        )
        kept = keys.load(task.id)
        assert kept is not None
        keys.save(task.id, type(kept)("00" * 32, kept.job_hash))
        task = client.tasks.wait(task.id, timeout_s=PATIENCE_S)
        assert task.error is not None
        assert (task.status, task.error.code) == ("failed", "INPUT_UNREADABLE")
        assert len(task.leases) == 1
        assert task.cost == 0
