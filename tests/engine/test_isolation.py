"""What a job finds inside its container; and, as a control, what it would find without the filter."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import trio

from engine.bench import JOB_IMAGE, MIB, Bench, open_bench
from neurogrid_node.container.errors import EngineRefused
from neurogrid_node.container.probe import PROBE_IMAGE, probe
from neurogrid_node.container.profile import create_arguments
from neurogrid_node.machine.trials import Trials
from node.test_status import L4

pytestmark = pytest.mark.engine

INSIDE = Path(__file__).with_name("inside.py").read_text()


@pytest.fixture(scope="module")
def listener() -> Iterator[int]:
    """Port of something that listens on every address of the host."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def facts(listener: int, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One container's findings, for every test of this module."""

    async def gather() -> dict[str, Any]:
        async with open_bench(tmp_path_factory.mktemp("isolation")) as bench:
            other = bench.spec("")
            _, neighbour = await bench.prepare(other)
            (neighbour.inputs / "secret.txt").write_text("another client's")
            spec = bench.spec("", command=("python3", "-c", INSIDE, str(listener)))
            container_id, workspace = await bench.prepare(spec)
            (workspace.inputs / "given.txt").write_text("given")
            await bench.engine.start(container_id)
            log = await bench.log(container_id)
            ended = await bench.engine.wait(container_id)
            assert ended.code == 0, log
            found: dict[str, Any] = json.loads(log)
            return found

    return trio.run(gather)


def test_a_job_is_nobody_without_capabilities(facts: dict[str, Any]) -> None:
    assert facts["uid"] == [65534] * 3
    assert facts["gid"] == [65534] * 3
    assert facts["groups"] in ([], [65534])
    assert set(facts["capabilities"].values()) == {0}
    assert facts["no_new_privileges"] == "1"
    assert facts["setuid"] == []
    assert facts["device_node"] == "EPERM"


def test_a_job_has_no_network_but_its_own_loopback(facts: dict[str, Any], listener: int) -> None:
    # The listener does answer on the host.
    socket.create_connection(("127.0.0.1", listener), timeout=5).close()
    assert facts["interfaces"] == ["lo"]
    assert facts["reach"] == {
        "host": "ECONNREFUSED",
        "bridge": "ENETUNREACH",
        "metadata": "ENETUNREACH",
        "internet": "ENETUNREACH",
    }


def test_a_job_finds_no_socket_of_the_engine(facts: dict[str, Any]) -> None:
    assert facts["engine_socket"] == []
    assert facts["unix_sockets"] == []


def test_a_job_sees_only_its_own_processes(facts: dict[str, Any]) -> None:
    assert len(facts["processes"]) == 2, "init and the job"
    assert facts["kill_others"] == "ESRCH"
    assert facts["hostname"] == "job"


def test_a_job_sees_only_its_own_files(facts: dict[str, Any]) -> None:
    assert facts["inputs"] == ["given.txt"]
    assert facts["outputs"] == []
    host_mounts = {target for target, (kind, _) in facts["mounts"].items() if kind == "ext4"}
    engines_own = {"/sbin/docker-init", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}
    assert host_mounts - engines_own <= {"/inputs", "/outputs"}


def test_only_outputs_and_memory_can_be_written(facts: dict[str, Any]) -> None:
    written = {path for path, result in facts["write"].items() if result == "done"}
    assert written == {"/tmp/x", "/dev/shm/x", "/outputs/x"}
    assert facts["write"]["/etc/x"] == facts["write"]["/inputs/given.txt"] == "EROFS"


def test_writable_places_take_no_devices_and_no_setuid(facts: dict[str, Any]) -> None:
    for target in ("/tmp", "/dev/shm", "/outputs"):
        assert {"nosuid", "nodev"} <= set(facts["mounts"][target][1])
    assert "noexec" in facts["mounts"]["/outputs"][1]
    assert f"size={32 * 1024}k" in facts["mounts"]["/tmp"][1], "a quarter of the memory"


def test_no_device_beyond_the_harmless_ones(facts: dict[str, Any]) -> None:
    harmless = {"full", "null", "random", "tty", "urandom", "zero"}
    links = {"core", "fd", "mqueue", "ptmx", "pts", "shm", "stderr", "stdin", "stdout", "console"}
    assert set(facts["devices"]) <= harmless | links


def test_limits_of_files_and_processes(facts: dict[str, Any]) -> None:
    limits = facts["limits"]
    assert limits["Max core file size"] == "0"
    assert limits["Max open files"] == "16384"
    assert limits["Max processes"] == "8192"
    assert limits["Max file size"] == str(128 * MIB)


def test_the_environment_is_ours_and_the_images(facts: dict[str, Any]) -> None:
    assert facts["environment"]["HOME"] == "/tmp"
    assert facts["environment"]["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_every_refused_call_is_refused(facts: dict[str, Any]) -> None:
    assert facts["seccomp"] == "2"
    assert {name for name, result in facts["refused"].items() if result != "EPERM"} == set()
    assert facts["clone_user_namespace"] == facts["clone_network_namespace"] == "EPERM"
    assert facts["personality"] == {"query": "done", "read_implies_exec": "EPERM"}
    assert facts["call_of_32_bits"] == -31, "SIGSYS"


def test_only_ordinary_sockets_are_made(facts: dict[str, Any]) -> None:
    refused = dict.fromkeys(("vsock", "alg", "packet", "netfilter", "raw"), "EPERM")
    assert facts["sockets"] == refused | {"tcp": "done", "unix": "done"}


def test_threads_and_processes_work_under_the_filter(facts: dict[str, Any]) -> None:
    assert facts["clone3"] == "ENOSYS", "so that the C library falls back to clone"
    assert facts["allowed"] == {"threads": True, "subprocess": True, "fork": "done"}


async def test_it_is_our_filter_that_refuses(bench: Bench) -> None:
    """Without it the same calls fail for other reasons, or work; with the engine's own, some do."""

    async def found_with(option: str) -> dict[str, Any]:
        spec = bench.spec("", command=("python3", "-c", INSIDE, "1"))
        request = create_arguments(spec)
        request["HostConfig"]["SecurityOpt"] = [option]
        request["HostConfig"]["Tmpfs"] |= {"/inputs": "", "/outputs": ""}
        api = docker.APIClient()
        # types-docker leaves this one untyped.
        create: Callable[..., dict[str, str]] = api.create_container_from_config
        container_id = create(request, spec.container_name)["Id"]
        await bench.engine.start(container_id)
        found: dict[str, Any] = json.loads(await bench.log(container_id))
        api.close()
        return found

    unfiltered = await found_with("seccomp=unconfined")
    for name in ("add_key", "bpf", "io_uring_setup", "keyctl", "mount", "process_vm_readv"):
        assert unfiltered["refused"][name] != "EPERM", name
    assert unfiltered["refused"]["ptrace"] == unfiltered["refused"]["unshare"] == "done"
    assert unfiltered["clone_user_namespace"] == "done"
    assert unfiltered["call_of_32_bits"] == 0


async def test_an_image_cannot_loosen_anything(bench: Bench) -> None:
    api = docker.APIClient()
    made = api.create_container(JOB_IMAGE, ["true"])["Id"]
    hostile = api.commit(
        made,
        changes=[
            "USER root",
            "ENV LD_PRELOAD=/evil.so LD_AUDIT=/evil.so NVIDIA_VISIBLE_DEVICES=all KEPT=yes",
            "ENV NVIDIA_DRIVER_CAPABILITIES=all NVIDIA_DISABLE_REQUIRE=1",
            "VOLUME /data",
            "LABEL io.neurogrid.lease=stolen io.neurogrid.node=stolen",
            'HEALTHCHECK --interval=1s CMD ["touch", "/outputs/health"]',
        ],
    )["Id"]
    api.remove_container(made)
    try:
        image = await bench.engine.image(hostile)
        assert image is not None
        program = (
            "import json, os\n"
            "space = os.statvfs('/data')\n"
            "open('/data/written', 'w').close()\n"
            "print(json.dumps([os.getuid(), space.f_blocks * space.f_frsize, dict(os.environ)]))"
        )
        ran = await bench.run(program, image=image)
        uid, volume_bytes, environment = json.loads(ran.log)
        assert uid == 65534
        assert volume_bytes == 32 * MIB, "a tmpfs, not the host's disk"
        assert environment["KEPT"] == "yes"
        assert environment["NVIDIA_VISIBLE_DEVICES"] == "void"
        stripped = {
            "LD_PRELOAD",
            "LD_AUDIT",
            "NVIDIA_DRIVER_CAPABILITIES",
            "NVIDIA_DISABLE_REQUIRE",
        }
        assert not stripped & environment.keys()
        assert [lease.container_id for lease in await bench.engine.list_leases()] == [
            ran.container_id
        ]
        configuration = api.inspect_container(ran.container_id)
        assert configuration["Config"]["Healthcheck"]["Test"] == ["NONE"]
        assert [mount["Type"] for mount in configuration["Mounts"]] == ["bind", "bind"]
        await bench.engine.remove(ran.container_id)
    finally:
        api.remove_image(hostile, force=True)
        api.close()


async def test_the_probe_finds_this_machine_good(bench: Bench) -> None:
    trials = Trials(bench.engine, workspaces=bench.workspaces)
    assert await trials.container() is None
    assert await trials.freezing() is None
    assert await bench.workspaces.list() == ()
    assert await bench.engine.list_leases() == ()


async def test_what_cannot_be_shown_is_a_disproof(bench: Bench) -> None:
    missing = Trials(bench.engine, "neurogrid/nothing:1")
    for trial in (missing.container(), missing.freezing()):
        found = await trial
        assert found is not None
        assert found.code == "CONTAINER_NO_IMAGE"
    # A container that says nothing has shown nothing, and one that has ended can't be frozen.
    silent = Trials(bench.engine, "neurogrid/true:1")
    found = await silent.container()
    assert found is not None
    assert found.code == "CONTAINER_UNSAFE"
    found = await silent.freezing()
    assert found is not None
    assert found.code == "CHECKPOINTS_UNPROVED"
    assert await bench.engine.list_leases() == ()


async def test_a_gpu_that_no_runtime_gives_is_not_proved(bench: Bench) -> None:
    """This machine has none, and no toolkit."""
    found = await Trials(bench.engine).gpu(L4)
    assert found is not None
    assert found.code == "TOOLKIT_MISSING"
    image = await bench.engine.image(PROBE_IMAGE)
    assert image is not None, "make images"
    with pytest.raises(EngineRefused) as refused:
        await probe(bench.engine, image, gpu_uuids=(L4.uuid,))
    assert refused.value.code == "gpu_runtime_missing"
    assert await bench.engine.list_leases() == ()
