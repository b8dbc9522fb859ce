"""What the link of a job to its proxy may do."""

from pathlib import Path

from neurogrid_node.container.link_profile import link_arguments
from neurogrid_node.egress.profile import egress_link

LEASE = "lease_" + "1" * 32
FOLDER = Path("/node/egress") / LEASE / "link"


def test_a_link_may_listen_in_the_jobs_network_and_nothing_else() -> None:
    spec = egress_link(LEASE, "12D3KooWNode", "sha256:" + "a" * 64, FOLDER)
    request = link_arguments(spec)
    assert (request["User"], request["Cmd"]) == ("65534:65534", [])
    host = request["HostConfig"]
    expected = {
        "CapDrop": ["ALL"],
        "CapAdd": [],
        "Devices": [],
        "Privileged": False,
        "ReadonlyRootfs": True,
        "NetworkMode": "none",
        "PidsLimit": 8,
        "ExtraHosts": [],
    }
    assert host | expected == host
    assert [(mount["Source"], mount["ReadOnly"]) for mount in host["Mounts"]] == [
        (str(FOLDER), True)
    ]
    assert spec.container_name == f"neurogrid-egress.{LEASE}"


def test_a_gangs_member_has_it_in_the_network_that_it_has_already() -> None:
    spec = egress_link(LEASE, "12D3KooWNode", "sha256:" + "a" * 64, FOLDER, "c" * 64)
    request = link_arguments(spec)
    assert request["HostConfig"]["NetworkMode"] == "container:" + "c" * 64
    assert request["Hostname"] == ""
