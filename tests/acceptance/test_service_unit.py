"""A node and a coordinator as services of a real systemd: what their units take from them, they do without."""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from acceptance.booted import DISK, Booted, boot
from acceptance.network import Devnet, neurogrid, until
from coordinator.s3_server import s3_server
from neurogrid_wallet.keys import KeyPair

pytestmark = [pytest.mark.processes, pytest.mark.engine]

NODE = str(DISK / "node")
UNIT = "neurogrid-node"
NEEDS = {"cpu_cores": 0.5, "ram_gb": 0.2, "storage_gb": 0.05}


@pytest.fixture(scope="module")
def booted() -> Iterator[Booted]:
    with boot() as system:
        yield system


def owner(booted: Booted, *arguments: str) -> str:
    """What `neurogrid-node` says to the machine's owner."""
    return booted.run(sys.executable, "-m", "neurogrid_node", *arguments)


def main_pid(booted: Booted, unit: str = UNIT) -> int:
    return int(booted.run("systemctl", "show", unit, "--property=MainPID", "--value"))


def test_a_node_serves_as_a_service_of_systemd(patient: Devnet, booted: Booted) -> None:
    chain = booted.disk / "chain.json"
    chain.write_bytes(Path(patient.network.chain).read_bytes())
    joined = ("--coordinator", patient.network.coordinator.p2p_address)
    made = json.loads(
        owner(
            booted,
            *("init", "--yes", "--json", "--no-passphrase", "--keys-may-be-lost"),
            *("--data", NODE, "--chain", str(DISK / chain.name), *joined),
        )
    )
    funded = neurogrid("devnet", "fund", made["wallet"], "--data", str(patient.data))
    assert funded.returncode == 0, funded.stderr
    assert "starts with the machine" in owner(booted, "service", "install", "--data", NODE)

    def takes_work() -> bool:
        nodes = patient.client.nodes.list().nodes
        return any(node.id == made["peer_id"] and node.status == "online" for node in nodes)

    until(takes_work, "the service takes work")
    assert json.loads(owner(booted, "service", "status", "--json"))["state"] == "active"
    elsewhere = {"nodes": [node.peer_id for node in patient.network.nodes]}

    # Its jobs have disks with hard limits though it sees a read-only system, and commands beside them.
    within = f"/proc/{main_pid(booted)}/ns/mnt"
    written = booted.try_run("nsenter", f"--mount={within}", "touch", "/etc/written")
    assert b"Read-only file system" in written.stderr
    script = (
        "head -c 100000000 /dev/zero > /outputs/bomb || echo full; rm /outputs/bomb; i=0;"
        " until [ -e /tmp/go ]; do i=$((i+1)); echo $i; sleep 0.2; done; echo here > /outputs/answer"
    )
    task = patient.submit(
        *("sh", "-c", script),
        avoid=elsewhere,
        interactive=True,
        resource_requirements=NEEDS,
        timeout_seconds=600,
    )
    patient.until_phase(task.id, "running")
    assert patient.client.tasks.exec(task.id, ["id", "-u"]).stdout == b"65534\n"

    # It dies, systemd starts it again, and its job goes on.
    died = main_pid(booted)
    booted.run("systemctl", "kill", "--signal=KILL", UNIT)
    until(lambda: main_pid(booted) not in (0, died), "systemd starts it again")
    until(takes_work, "the service takes work again")
    assert patient.client.tasks.exec(task.id, ["touch", "/tmp/go"]).exit_code == 0
    task = patient.until_settled(task.id)
    assert task.status == "completed", task.error
    (lease,) = task.leases
    assert lease.node_id == made["peer_id"]
    assert lease.paid == task.cost > 0
    log = "".join(patient.client.tasks.all_logs(task.id))
    _, full, numbers = log.partition("full\n")
    assert full
    assert numbers.split() == [str(number) for number in range(1, numbers.count("\n") + 1)] != []
    (output,) = patient.client.tasks.outputs(task.id)
    assert output.path == "answer"

    # SIGTERM ends it in peace, and it is gone when it is taken out.
    assert "is removed" in owner(booted, "service", "uninstall")
    assert main_pid(booted) == 0
    said = booted.run("journalctl", "--unit", UNIT, "--output=cat")
    assert "stopping; jobs run on" in said
    assert booted.try_run("systemctl", "cat", UNIT).returncode != 0


def test_a_coordinator_serves_from_a_bucket_as_a_service_of_systemd(
    patient: Devnet, booted: Booted
) -> None:
    data, unit = b"kept elsewhere" * 10_000, "neurogrid-coordinator"
    chain, secrets = booted.disk / "chain.json", booted.disk / "secrets.env"
    chain.write_bytes(Path(patient.network.chain).read_bytes())
    secrets.write_text("AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=y\n")
    secrets.chmod(0o600)
    directory = ("--data", str(DISK / "coordinator"))

    def operator(*arguments: str) -> str:
        return booted.run(sys.executable, "-m", "neurogrid_coordinator", *arguments)

    def api() -> str:
        info = json.loads((booted.disk / "coordinator" / "coordinator.json").read_text())
        return str(info["api_url"])

    def answers() -> bool:
        try:
            return httpx.get(f"{api()}/health", trust_env=False).is_success
        except (OSError, ValueError, httpx.TransportError):
            return False

    with s3_server() as store:
        bucket = store.make_bucket()
        listening = ("--http", "127.0.0.1:0", "--p2p", "/ip4/127.0.0.1/tcp/0")
        operator("init", *directory, "--chain", str(DISK / chain.name), *listening)
        config = booted.disk / "coordinator" / "coordinator.toml"
        text = config.read_text()
        for line in ('store = "disk"', 'endpoint = ""', 'bucket = ""'):
            assert f"\n{line}\n" in text
        text = text.replace('\nstore = "disk"\n', '\nstore = "s3"\n')
        text = text.replace('\nbucket = ""\n', f'\nbucket = "{bucket}"\n')
        head, section, rest = text.partition("\n[artifacts]\n")
        rest = rest.replace('\nendpoint = ""\n', f'\nendpoint = "{store.url}"\n', 1)
        config.write_text(head + section + rest)
        installing = ("service", "install", *directory)
        environment = ("--environment-file", str(DISK / secrets.name))
        assert "starts with the machine" in operator(*installing, *environment)
        until(answers, "the service answers")

        # It serves files though it has no privilege, and none of them is on its disk.
        wallet = KeyPair.generate().address
        account = ("account", "create", *directory, "--name", "a", "--wallet", wallet, "--json")
        key = json.loads(operator(*account))["api_key"]
        url = f"/api/v1/artifacts/{hashlib.sha256(data).hexdigest()}"
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=api(), headers=headers, trust_env=False) as client:
            assert client.put(url, content=data).status_code == 201
            assert client.get(url).content == data
        assert [name.rpartition("/")[2] for name in store.keys(bucket)] == [url.rpartition("/")[2]]
        status = f"/proc/{main_pid(booted, unit)}/status"
        assert "CapEff:\t0000000000000000" in booted.run("cat", status)

        # It dies, and systemd starts it again.
        died = main_pid(booted, unit)
        booted.run("systemctl", "kill", "--signal=KILL", unit)
        until(lambda: main_pid(booted, unit) not in (0, died) and answers(), "it is back")
        with httpx.Client(base_url=api(), headers=headers, trust_env=False) as client:
            assert client.get(url).content == data
        assert "is removed" in operator("service", "uninstall")
        assert main_pid(booted, unit) == 0
