"""When a job's service is ready, and when it is given up."""

import pytest

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.fields import decode
from neurogrid_marketplace.service import Service
from neurogrid_node.lease.service_health import GIVEN_UP_AFTER_S, Health

CHECKED = Service(8080, "/health", start_s=300)


def test_one_that_never_becomes_ready_is_ended_when_its_time_is_over() -> None:
    health = Health(0.0).unwell(CHECKED, "it answers 500", 299.0)
    assert (health.is_ready, health.ending) == (False, "")
    ended = health.unwell(CHECKED, "it answers 500", 300.0)
    assert ended.ending == (
        "its service did not become ready for 300 s: GET /health: it answers 500"
    )


def test_one_that_was_ready_is_ended_when_it_has_not_been_well_for_a_minute() -> None:
    health = Health(0.0).well(100.0)
    assert (health.is_ready, health.next_look_s) == (True, 5.0)
    health = health.unwell(CHECKED, "no answer", 100.0 + GIVEN_UP_AFTER_S - 1)
    assert (health.is_ready, health.ending) == (False, "")
    assert health.well(160.0).unwell(CHECKED, "no answer", 200.0).ending == ""
    assert "was not well for 60 s" in health.unwell(CHECKED, "x", 100.0 + GIVEN_UP_AFTER_S).ending


def test_time_in_which_a_job_stood_still_does_not_count() -> None:
    health = Health(0.0).well(0.0).stood_still(1_000.0)
    assert health.unwell(CHECKED, "no answer", 1_000.0 + GIVEN_UP_AFTER_S - 1).ending == ""


def test_one_without_a_health_path_is_never_ended_for_its_health() -> None:
    health = Health(0.0).unwell(Service(8080), "nothing listens", 10.0**6)
    assert (health.is_ready, health.ending) == (False, "")


@pytest.mark.parametrize("path", ["health", "/a b", "/a\r\nHost: x", "/ä", "/" + "a" * 256])
def test_what_is_no_health_path(path: str) -> None:
    with pytest.raises(MalformedMessage):
        decode(Service, {"port": 8080, "health": path})
