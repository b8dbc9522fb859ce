"""What a swarm says, as recorded from Docker 20.10, and what is made of it."""

from typing import Any

import pytest

from neurogrid_marketplace.faults import Outcome
from neurogrid_node.container.errors import EngineRefused, ImageNotFound
from neurogrid_node.container.outcome import classify
from neurogrid_node.container.views import ContainerState
from neurogrid_node.swarm.service import LABEL_ENDED, LABEL_STARTED, LABEL_STOPPED
from neurogrid_node.swarm.views import Member, job_view, start_problem

UP, DOWN = Member(False, 7, "oak"), Member(True, 7, "oak")
AT = "2026-11-29T12:19:06.890893841Z"
AT_NS = 1795954746_890893841


def service(replicas: int = 1, **labels: str) -> dict[str, Any]:
    named = {
        "started": LABEL_STARTED,
        "stopped": LABEL_STOPPED,
        "ended": LABEL_ENDED,
    }
    spec = {
        "Labels": {named[name]: value for name, value in labels.items()},
        "Mode": {"Replicated": {"Replicas": replicas}},
    }
    return {"ID": "s1", "Spec": spec}


def task(state: str, err: str = "", code: int = 0) -> dict[str, Any]:
    status = {"State": state, "Timestamp": AT, "ContainerStatus": {"ExitCode": code}}
    return {"ID": "t1", "Status": status | ({"Err": err} if err else {})}


def outcome(view: Any) -> tuple[int, Outcome]:
    return view.ended.code, classify(view.ended).outcome


def test_a_task_that_runs_or_will() -> None:
    assert job_view(service(0), None, None).state is ContainerState.CREATED
    for state in ("pending", "preparing", "starting"):
        assert job_view(service(), task(state), UP).state is ContainerState.CREATED
    running = job_view(service(started="5"), task("running"), UP)
    assert (running.state, running.ended, running.pid) == (ContainerState.RUNNING, None, 0)


def test_a_job_that_ended_by_itself_ended_as_it_did_also_where_its_machine_is_lost_then() -> None:
    for machine in (UP, DOWN):
        failed = job_view(
            service(started="5"), task("failed", "task: non-zero exit (3)", 3), machine
        )
        assert outcome(failed) == (3, Outcome.EXIT_NONZERO)
        assert failed.ended is not None
        assert (failed.ended.started_at_ns, failed.ended.finished_at_ns) == (5, AT_NS)
        assert outcome(job_view(service(), task("complete"), machine)) == (0, Outcome.COMPLETED)


def test_what_nobody_saw_run_has_run_for_no_time() -> None:
    ended = job_view(service(), task("complete"), UP).ended
    assert ended is not None
    assert ended.ran_ns == 0


@pytest.mark.parametrize(
    ("seen", "machine"),
    [
        (task("running"), DOWN),  # kill -9 of its engine, or its power
        (task("failed", "No such container: j4.1.jx6cs3n8s4oa"), UP),  # its engine was restarted
        (task("shutdown", code=143), UP),  # docker node update --availability drain
        (task("orphaned"), DOWN),
        (task("rejected", "out of cheese"), UP),
    ],
)
def test_what_its_machine_or_the_swarm_did_is_not_the_jobs_doing(
    seen: dict[str, Any], machine: Member
) -> None:
    assert outcome(job_view(service(started="5"), seen, machine)) == (-1, Outcome.ENGINE_LOST)


def test_a_machine_that_left_the_swarm_took_its_job_along() -> None:
    assert outcome(job_view(service(started="5"), None, None)) == (-1, Outcome.ENGINE_LOST)


def test_one_that_we_ended_is_known_by_its_service_alone() -> None:
    stopping = job_view(service(0, started="5", stopped="9"), task("running"), UP)
    assert stopping.state is ContainerState.RUNNING
    told = job_view(service(0, started="5", stopped="9"), task("shutdown", code=9), UP)
    assert outcome(told) == (9, Outcome.EXIT_NONZERO)
    kept = job_view(service(0, started="5", stopped="9", ended=f"9:{AT_NS}"), None, None)
    assert kept == told
    unseen = job_view(service(0, started="5", stopped="9"), None, None)
    assert outcome(unseen) == (-1, Outcome.EXIT_NONZERO)


def test_why_a_task_did_not_come_to_run() -> None:
    assert start_problem(task("running")) is None
    assert start_problem(task("failed", "task: non-zero exit (127)", 127)) is None
    assert isinstance(start_problem(task("rejected", "No such image: sha256:1111")), ImageNotFound)
    missing = start_problem(
        task(
            "rejected", 'invalid mount config for type "bind": bind source path does not exist: /x'
        )
    )
    assert isinstance(missing, EngineRefused)
    assert missing.code == "workspace_not_visible"
