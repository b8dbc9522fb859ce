"""What the link of a gang's member may do, and what never gets in."""

from pathlib import Path
from typing import Any

import pytest

from neurogrid_marketplace.gang import GangMember, GangPlace
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_node.container.link_profile import link_arguments
from neurogrid_node.container.spec import SpecError
from neurogrid_node.gang.profile import gang_link

LEASE = "lease_" + "1" * 32
MEMBERS = tuple(GangMember(peer_id_of(bytes([number]) * 32)) for number in (1, 2))
PLACE = GangPlace("task_" + "a" * 32, 1, 1, MEMBERS)
SPEC = gang_link(LEASE, "12D3KooWNode", "sha256:" + "a" * 64, PLACE, Path("/node/gangs") / LEASE)


def test_a_link_may_set_up_its_own_network_and_nothing_else() -> None:
    host: dict[str, Any] = link_arguments(SPEC)["HostConfig"]
    expected = {
        "CapDrop": ["ALL"],
        "CapAdd": ["NET_ADMIN"],
        "Privileged": False,
        "ReadonlyRootfs": True,
        "NetworkMode": "none",
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "Memory": 16 << 20,
        "MemorySwap": 16 << 20,
        "PidsLimit": 8,
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "PublishAllPorts": False,
    }
    assert host | expected == host
    assert host["SecurityOpt"][0] == "no-new-privileges:true"
    assert host["SecurityOpt"][1].startswith("seccomp={")
    assert [device["PathOnHost"] for device in host["Devices"]] == ["/dev/net/tun"]
    assert [(mount["Source"], mount["ReadOnly"]) for mount in host["Mounts"]] == [
        (f"/node/gangs/{LEASE}", True)
    ]


def test_a_link_knows_its_members_address_and_everybodys_name() -> None:
    request = link_arguments(SPEC)
    assert request["Cmd"] == ["10.77.0.2", "9000"]
    assert request["HostConfig"]["ExtraHosts"] == ["rank-0:10.77.0.1", "rank-1:10.77.0.2"]
    assert SPEC.container_name == f"neurogrid-link.{LEASE}"


def test_a_lease_id_that_is_a_path_is_refused() -> None:
    with pytest.raises(SpecError):
        gang_link("../x", SPEC.node_id, SPEC.image_id, PLACE, SPEC.directory)
