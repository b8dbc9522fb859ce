"""A node that was killed while it tried its machine, or between two jobs, starts again: on an engine that it shares."""

import os
import secrets
from pathlib import Path

import docker
import pytest

from engine.bench import JOB_IMAGE
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_node.container import engine
from neurogrid_node.container.engine import connect_engine
from neurogrid_node.container.spec import CONTAINER_NAME_PREFIX, LABEL_LEASE, LABEL_NODE
from neurogrid_node.egress.profile import LINK_NAME_PREFIX as EGRESS_LINK
from neurogrid_node.gang.profile import LINK_NAME_PREFIX as GANG_LINK
from node.sandbox_rig import real_rig

pytestmark = pytest.mark.engine


async def test_a_start_removes_what_this_node_has_left_and_nothing_of_anothers(
    tmp_path: Path,
) -> None:
    async with real_rig(tmp_path) as rig:
        ours, another = rig.bench.engine.node_id, peer_id_of(os.urandom(32))
        kept = "lease_" + secrets.token_hex(16)
        client = docker.APIClient()
        made: dict[str, set[str]] = {ours: set(), another: set(), kept: set()}

        def leave(node_id: str, lease_id: str, known_as: str) -> None:
            for prefix in (CONTAINER_NAME_PREFIX, GANG_LINK, EGRESS_LINK):
                labels = {LABEL_NODE: node_id, LABEL_LEASE: lease_id}
                container = client.create_container(
                    JOB_IMAGE, ["true"], name=prefix + lease_id, labels=labels
                )
                made[known_as].add(container["Id"])

        try:
            for node_id in (ours, another):
                leave(node_id, f"probe-{secrets.token_hex(16)}", node_id)
                leave(node_id, "lease_" + secrets.token_hex(16), node_id)
            leave(ours, kept, kept)
            await rig.sandbox.sweep({kept})
            left = {each["Id"] for each in client.containers(all=True)}
        finally:
            for container_id in set().union(*made.values()) & {
                each["Id"] for each in client.containers(all=True)
            }:
                client.remove_container(container_id, force=True)
            client.close()
    assert left.isdisjoint(made[ours])
    assert left >= made[another] | made[kept]


async def test_containers_of_programs_without_a_node_are_removed_when_nobody_can_be_at_them_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not the real names: a doctor may be at work on this machine.
    doctor, benchmark = (f"{name}-{secrets.token_hex(8)}" for name in ("doctor", "benchmark"))
    monkeypatch.setattr(engine, "DOCTOR", doctor)
    monkeypatch.setattr(engine, "BENCHMARK", benchmark)
    client = docker.APIClient()
    made = set()
    try:
        for program in (doctor, benchmark):
            lease_id = f"probe-{secrets.token_hex(16)}"
            labels = {LABEL_NODE: program, LABEL_LEASE: lease_id}
            name = CONTAINER_NAME_PREFIX + lease_id
            made.add(client.create_container(JOB_IMAGE, ["true"], name=name, labels=labels)["Id"])
        async with connect_engine(peer_id_of(os.urandom(32))) as connected:
            await connected.remove_forsaken()
            assert made <= {each["Id"] for each in client.containers(all=True)}
            monkeypatch.setattr(engine, "FORSAKEN_AFTER_S", -60)
            await connected.remove_forsaken()
        left = {each["Id"] for each in client.containers(all=True)} & made
    finally:
        for container_id in made & {each["Id"] for each in client.containers(all=True)}:
            client.remove_container(container_id, force=True)
        client.close()
    assert left == set()
