"""What doctor says of a cluster, by what is known of it; and who lacks its client is told so."""

import json
import sys
from pathlib import Path

import pytest
import trio

from neurogrid_node.container.errors import EngineUnavailable
from neurogrid_node.doctor.cluster import ClusterFacts, judge_cluster, judge_fleet
from neurogrid_node.doctor.findings import Finding
from neurogrid_node.doctor.reading.cluster import read_fleet
from neurogrid_node.kube.api import ClusterAccess, KubeClient


def codes(found: tuple[Finding, ...]) -> list[str]:
    return [each.code for each in found]


def test_a_cluster_that_answers_one_that_does_not_and_one_that_refuses() -> None:
    assert codes(judge_cluster(ClusterFacts("v1.33.0", machines=2))) == ["CLUSTER_OK"]
    assert codes(judge_cluster(ClusterFacts("", "away"))) == ["CLUSTER_UNREACHABLE"]
    assert codes(judge_cluster(ClusterFacts("", "no", refused=True))) == ["CLUSTER_REFUSES"]


def test_machines_and_the_image_that_tries_them() -> None:
    empty = judge_cluster(ClusterFacts("v1.33.0", closed=3, lacking="python:3"))
    assert codes(empty) == ["CLUSTER_NO_MACHINE", "CLUSTER_NO_IMAGE", "CLUSTER_OK"]
    assert "none of its 3 machines" in empty[0].saw


def test_what_the_node_has_found_of_the_machines(tmp_path: Path) -> None:
    assert codes(judge_fleet(*read_fleet(tmp_path))) == ["NOT_CHECKED"]
    (tmp_path / "fleet.json").write_text(json.dumps([{"is_offered": False}, {"is_offered": True}]))
    (fine,) = judge_fleet(*read_fleet(tmp_path))
    assert (fine.code, fine.saw) == ("CONTAINER_OK", "1 of 2 machines hold jobs as they should")
    (tmp_path / "fleet.json").write_text(json.dumps([{"is_offered": False}]))
    assert codes(judge_fleet(*read_fleet(tmp_path))) == ["CONTAINER_UNSAFE"]
    for damaged in ("", "[1]", "{}", '[{"name": 1}]'):
        (tmp_path / "fleet.json").write_text(damaged)
        assert read_fleet(tmp_path) == (0, 0)


async def test_a_node_without_the_client_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with trio.fail_after(60), pytest.raises(EngineUnavailable) as missing:
        await KubeClient.connect(ClusterAccess("", "", "neurogrid"))
    assert missing.value.code == "client_missing"
    assert "pip install 'neurogrid[kubernetes]'" in str(missing.value)
