"""Doctor on real directories, sockets, coordinators, chains and engines."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import docker
import msgspec
import pytest
import trio
from click.testing import CliRunner

from neurogrid_marketplace.envelope import network_id
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.messages import PROTOCOL_ID
from neurogrid_node.__main__ import main
from neurogrid_node.config import Config
from neurogrid_node.config_text import with_values
from neurogrid_node.container.spec import LABEL_NODE
from neurogrid_node.doctor.examination import CHECKS, Check, Examination, Findings, examine
from neurogrid_node.doctor.findings import CODES, Area
from neurogrid_node.doctor.ledger import judge_ledger, judge_stake
from neurogrid_node.doctor.reading import engine as reading
from neurogrid_node.doctor.reading.ledger import read_ledger_facts, read_owner
from neurogrid_node.doctor.reading.machine import read_key_facts
from neurogrid_node.doctor.reading.network import read_coordinator_facts, read_reach_facts
from neurogrid_node.doctor.subject import Subject, read_subject
from neurogrid_node.files.scratch import scratch_folder
from neurogrid_node.money.staking import Staking
from neurogrid_node.settings.money import ChainConfig
from neurogrid_p2p.address import through_relay
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.host import open_host
from neurogrid_p2p.session import SignedChannel
from neurogrid_wallet.keys import KeyPair
from node.chain_world import USDC, Parties, chain_world, market_on_ledger, pubkey
from nvml_sim.machine import MachineSettings, build, healthy
from p2p.peers import Person, now_ms

EXAMPLE = Path(__file__).parents[2] / "configs/node.toml"
# What the status file of a node says that nobody dials.
NOBODY: dict[str, list[str]] = {"reached_at": []}
LINK_CODES = ("LINKS_OK", "GANGS_UNPROVED", "EGRESS_UNPROVED")
CONFIG = msgspec.convert(tomllib.loads(EXAMPLE.read_text()), Config)


def only(*codes: str) -> list[str]:
    return [part for code in codes for part in ("--only", code)]


def test_a_directory_without_a_node_is_told_what_to_do_first(tmp_path: Path) -> None:
    wanted = only("CONFIG_MISSING", "KEYS_MISSING", "STAKE_OK")
    ran = CliRunner().invoke(main, ["doctor", "--data", str(tmp_path / "node"), *wanted])
    assert ran.exit_code == 1
    lines = ran.output.splitlines()
    assert [line.split()[1] for line in lines if line[:4].strip()] == [
        *("CONFIG_MISSING", "KEYS_MISSING", "NOT_CHECKED", "to")
    ]
    assert "fix: neurogrid-node init" in lines[1]
    assert lines[-1] == "2 to mend, 1 warnings"
    assert not (tmp_path / "node").exists()


async def test_every_mistake_of_a_node_toml_is_a_finding_with_its_line(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("pids = 256", "pids = 0").replace("gpus =", "gpu =")
    (tmp_path / "node.toml").write_text(text)
    found = await examine(read_subject(tmp_path), ["CONFIG_INVALID", "CONFIG_OK"])
    assert [each.code for each in found] == ["CONFIG_INVALID"] * 2
    assert "there is no key [offer] gpu" in found[0].saw
    assert found[0].fix == "do you mean gpus?"
    assert found[1].saw.startswith("line ")


def test_json_names_code_area_severity_and_fix(tmp_path: Path) -> None:
    ran = CliRunner().invoke(
        main, ["doctor", "--data", str(tmp_path), "--json", *only("KEYS_MISSING")]
    )
    document = json.loads(ran.output)
    (finding,) = document.pop("findings")
    assert document == {"ok": False, "running": False}
    assert (finding["code"], finding["area"], finding["severity"]) == (
        *("KEYS_MISSING", "keys", "fail"),
    )
    assert set(finding) == {"code", "area", "severity", "saw", "fix"}


def test_a_code_that_there_is_not_is_answered_with_the_nearest() -> None:
    ran = CliRunner().invoke(main, ["doctor", "--only", "engine_live_restore"])
    assert ran.exit_code == 2
    assert "do you mean ENGINE_NO_LIVE_RESTORE?" in ran.output


def test_every_area_is_somebodys() -> None:
    looked_at = [area for check in CHECKS for area in check.areas]
    assert sorted(looked_at) == sorted(set(Area) - {Area.DOCTOR})


async def test_what_hangs_or_breaks_is_a_finding_and_stops_nothing(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async def hang(examination: Examination) -> Findings:
        await trio.sleep_forever()
        raise AssertionError("for ever is over")

    async def break_down(examination: Examination) -> Findings:
        raise ZeroDivisionError("by nothing")

    checks = (
        Check("hung", frozenset({Area.DISK}), hang, 60),
        Check("broken", frozenset({Area.ENGINE}), break_down, 60),
        Check("keys", frozenset({Area.KEYS}), Examination.keys, 60),
    )
    found = await examine(Subject(tmp_path, None, "", None), checks=checks)
    assert [(each.code, each.saw.partition(":")[0]) for each in found[:2]] == [
        *(("NO_ANSWER", "hung"), ("CHECK_BROKEN", "broken")),
    ]
    assert found[2].code == "KEYS_MISSING"


def test_keys_are_read_as_they_lie_there(tmp_path: Path) -> None:
    KeyPair.generate().write_solana_file(tmp_path / "identity.json")
    (tmp_path / "wallet.json").write_text("[1, 2]")
    (tmp_path / "wallet.json").chmod(0o600)
    tmp_path.chmod(0o750)
    facts = read_key_facts(tmp_path)
    assert [(file.name, file.mode, bool(file.problem)) for file in facts.files] == [
        *(("identity.json", 0o600, False), ("wallet.json", 0o600, True)),
    ]
    assert (facts.missing, facts.directory_mode) == ((), 0o750)
    (tmp_path / "wallet.json").unlink()
    assert read_key_facts(tmp_path).missing == ("wallet.keystore",)


async def test_a_coordinators_welcome_tells_how_far_its_clock_is_off() -> None:
    hour_ms = 3_600_000
    person, away = Person(), Person()
    chain = CONFIG.chain
    network = network_id(chain.genesis_hash, chain.program_id)
    party = replace(person.party(lambda: now_ms() + hour_ms), network=network)

    async def welcome(channel: Channel) -> None:
        await SignedChannel.welcome(channel, party, "test/1")
        await trio.sleep_forever()

    async with open_host(person.seed, ["/ip4/127.0.0.1/tcp/0"]) as host:
        host.serve(PROTOCOL_ID, welcome)
        gone = f"/ip4/127.0.0.1/tcp/1/p2p/{away.peer_id}"
        config = replace(CONFIG, coordinators=(host.addresses[0], gone))
        # Its clock and ours are the same one here, so that the difference is exact.
        stopped_ms = now_ms()
        party = replace(party, now_ms=lambda: stopped_ms + hour_ms)
        there, absent = await read_coordinator_facts(config, lambda: stopped_ms)
        assert (there.problem, there.ahead_ms) == ("", hour_ms)
        assert (bool(absent.problem), absent.ahead_ms) == (True, None)
        other = replace(config, chain=replace(chain, genesis_hash="9" * 32))
        assert "network" in (await read_coordinator_facts(other))[0].problem


async def test_ports_and_relays_are_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        used = f"/ip4/127.0.0.1/tcp/{port}"
        config = replace(CONFIG, listen=(used, "/ip4/127.0.0.1/tcp/0"))
        before = await read_reach_facts(config, None)
        assert before.ports == ((used, "Address already in use"), (config.listen[1], ""))
        running = await read_reach_facts(replace(config, listen=(used,)), NOBODY)
        assert running.ports == ((used, ""),)
    after = await read_reach_facts(replace(config, listen=(used,)), NOBODY)
    assert "does not answer there" in after.ports[0][1]
    relay = Person()
    async with open_host(relay.seed, ["/ip4/127.0.0.1/tcp/0"]) as host:
        config = replace(CONFIG, relays=(host.addresses[0],))
        through = through_relay(host.addresses[0], Person().peer_id)
        for status, problem in (
            (None, ""),
            ({"reached_at": [through]}, ""),
            (NOBODY, "it answers, and has not let the node in"),
        ):
            facts = await read_reach_facts(config, status)
            assert facts.relays == ((host.addresses[0], problem),)
    assert (await read_reach_facts(config, None)).relays[0][1]


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    with market_on_ledger(tmp_path_factory.mktemp("market")) as made:
        yield made


async def test_market_and_stake_are_read_from_a_real_ledger(
    tmp_path: Path, parties: Parties
) -> None:
    async with chain_world(tmp_path, parties) as world:
        d = world.deployment
        chain = ChainConfig(
            world.rpc.url,
            *(str(d.program_id), str(d.usdc_mint), str(d.admin), world.genesis_hash),
            second_rpc_url=world.rpc.url,
        )
        assert [each.code for each in judge_ledger(await read_ledger_facts(chain))] == ["LEDGER_OK"]
        for wrong, code in (
            (replace(chain, genesis_hash="1" * 32), "LEDGER_OTHER_CHAIN"),
            (replace(chain, program_id=world.wallet.address), "LEDGER_NO_PROGRAM"),
            (replace(chain, admin=world.wallet.address), "LEDGER_NO_MARKET"),
        ):
            assert [each.code for each in judge_ledger(await read_ledger_facts(wrong))] == [code]

        async def stake(*, has_left: bool = False) -> list[str]:
            holdings = await read_owner(chain, pubkey(world.wallet))
            found = judge_stake(holdings, 10 * USDC, has_left=has_left)
            return [each.code for each in found]

        assert await stake() == ["STAKE_UNFUNDED"]
        assert await stake(has_left=True) == ["STAKE_LOW"]
        await world.fund(world.wallet, 10 * USDC)
        assert await stake() == ["STAKE_AT_START"]
        async with world.node_outbox() as outbox, trio.open_nursery() as nursery:
            await Staking(world.market(), outbox).ensure(10 * USDC)
            nursery.cancel_scope.cancel()
        assert await stake() == ["STAKE_OK"]


@pytest.mark.engine
async def test_a_container_of_this_machines_engine_is_found_good(tmp_path: Path) -> None:
    found = await examine(read_subject(tmp_path), ["CONTAINER_OK", "ENGINE_OK", "ENGINE_USERNS"])
    assert [each.code for each in found] == ["ENGINE_OK", "CONTAINER_OK"]


@pytest.fixture
def with_identity(tmp_path: Path) -> Path:
    """A node's folder, whose containers are told from those of others."""
    KeyPair.generate().write_solana_file(tmp_path / "identity.json")
    text = with_values(EXAMPLE.read_text(), {"egress.serve": True})
    (tmp_path / "node.toml").write_text(text)
    return tmp_path


def containers_of(directory: Path) -> list[str]:
    identity = KeyPair.read_solana_file(directory / "identity.json")
    label = f"{LABEL_NODE}={peer_id_of(identity.public_key)}"
    client = docker.APIClient()
    names = [each["Names"][0] for each in client.containers(all=True, filters={"label": label})]
    client.close()
    return names


@pytest.mark.engine
async def test_links_come_up_on_this_machine_and_nothing_of_them_stays(with_identity: Path) -> None:
    before = sorted(os.listdir(with_identity))
    (found,) = await examine(read_subject(with_identity), LINK_CODES)
    assert (found.code, found.saw) == (
        *("LINKS_OK", "links like those beside jobs come up: a gang's and one to hosts"),
    )
    assert sorted(os.listdir(with_identity)) == before
    assert containers_of(with_identity) == []


@pytest.mark.engine
async def test_a_link_that_does_not_come_up_is_said_with_what_to_do(
    with_identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "GANG_IMAGE", "neurogrid/nonsense:1")
    (found,) = await examine(read_subject(with_identity), LINK_CODES)
    assert found.code == "GANGS_UNPROVED"
    assert found.saw == "neurogrid/nonsense:1 is not on this machine any more: make images"
    assert "docs/gang-network.md" in found.fix


@pytest.mark.engine
async def test_what_the_running_node_could_not_prove_is_said_where_all_is_well_now(
    with_identity: Path,
) -> None:
    unproved = {"what": "egress", "code": "EGRESS_UNPROVED", "message": "no device"}
    subject = replace(read_subject(with_identity), status={"unproved": [unproved]})
    (found,) = await examine(subject, LINK_CODES)
    assert (found.code, found.saw) == (
        *("EGRESS_UNPROVED", "says the running node: egress: no device"),
    )


@pytest.mark.engine
@pytest.mark.processes
@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGINT, 1), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_an_interrupted_doctor_takes_away_what_it_tries(
    with_identity: Path, number: signal.Signals, exit_code: int
) -> None:
    before = sorted(os.listdir(with_identity))
    command = [sys.executable, "-m", "neurogrid_node", "doctor", "--data", str(with_identity)]
    with subprocess.Popen([*command, "--only", "LINKS_OK"], stderr=subprocess.DEVNULL) as doctor:
        deadline_s = time.monotonic() + 60
        while not any(".probe-" in name for name in containers_of(with_identity)):
            assert time.monotonic() < deadline_s, "no link is tried"
        doctor.send_signal(number)
        assert doctor.wait(60) == exit_code
    assert containers_of(with_identity) == []
    assert sorted(os.listdir(with_identity)) == before


def mounts_below(folder: Path) -> list[str]:
    table = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in table if line.split()[4].startswith(f"{folder}/")]


@pytest.mark.engine
@pytest.mark.processes
def test_the_next_doctor_removes_what_a_killed_one_has_left_and_nothing_of_one_that_lives(
    with_identity: Path,
) -> None:
    before = sorted(os.listdir(with_identity))
    command = [sys.executable, "-m", "neurogrid_node", "doctor", "--data", str(with_identity)]
    with (
        scratch_folder(with_identity) as living,
        subprocess.Popen([*command, "--only", "CONTAINER_OK"], stdout=subprocess.PIPE) as doctor,
    ):
        try:
            deadline_s = time.monotonic() + 60
            while not any("/probe-" in each for each in mounts_below(with_identity)):
                assert time.monotonic() < deadline_s, "no disk is mounted"
            doctor.kill()
            doctor.wait(60)
            assert mounts_below(with_identity)
            ran = CliRunner().invoke(main, [*command[3:], *only("KEYS_OK")])
            assert ran.exit_code == 0
            assert living.is_dir()
        finally:
            remove_containers_of(with_identity)
    assert mounts_below(with_identity) == []
    assert sorted(os.listdir(with_identity)) == before


def remove_containers_of(directory: Path) -> None:
    client = docker.APIClient()
    for name in containers_of(directory):
        client.remove_container(name, force=True)
    client.close()


@pytest.mark.engine
async def test_disk_is_tried_beside_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "workspaces").mkdir()
    found = await examine(
        read_subject(tmp_path), [name for name, code in CODES.items() if code.area is Area.DISK]
    )
    assert {each.area for each in found} == {Area.DISK}
    assert os.listdir(tmp_path) == ["workspaces"]


def test_gpus_are_read_by_the_drivers_library_and_the_toolkits_program(tmp_path: Path) -> None:
    settings = MachineSettings(tmp_path / "settings")
    settings.set(healthy(0), healthy(1, uuid="nonsense"))
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/nvidia-ctk"
    program.write_text("#!/bin/sh\necho NVIDIA Container Toolkit CLI version 1.17.3\n")
    program.chmod(0o755)
    wanted = only(
        "GPU_OK", "GPU_FAULT", "GPU_NODE_MISSING", "TOOLKIT_ESCAPES", "ENGINE_UNREACHABLE"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "neurogrid_node", "doctor", "--data", tmp_path, "--json", *wanted],
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(build(tmp_path)),
            "NVML_SIM": str(settings.file),
            "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock",
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    found = {each["code"]: each["saw"] for each in json.loads(ran.stdout)["findings"]}
    assert "1 x NVIDIA H100 80GB HBM3, driver 550.90.07" in found["GPU_OK"]
    assert "bad_uuid" in found["GPU_FAULT"]
    assert "toolkit 1.17.3" in found["TOOLKIT_ESCAPES"]
    assert "no container engine found" in found["ENGINE_UNREACHABLE"]
    assert "CVE-2025-23359" in found["TOOLKIT_ESCAPES"]
    # This machine has no GPU, so the nodes that such a driver would need are not there.
    assert "/dev/nvidia" in found["GPU_NODE_MISSING"]
