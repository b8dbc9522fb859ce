"""A Kubernetes cluster and its machines: facts in, findings out. Pure."""

from dataclasses import dataclass

from .findings import Finding


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What is known of the cluster.

    Attributes:
        version: of its API server; "": it cannot be used.
        problem: why it cannot; refused: because we lack a right there.
        machines: that take jobs; closed: that do not.
        lacking: the image that machines are tried with, where none of them is known to have it.
    """

    version: str
    problem: str = ""
    refused: bool = False
    machines: int = 0
    closed: int = 0
    lacking: str = ""


def judge_cluster(facts: ClusterFacts) -> tuple[Finding, ...]:
    """Whether it can run jobs."""
    if facts.refused:
        fix = "kubectl apply -f configs/kubernetes/neurogrid.yaml (docs/fleet.md)"
        return (Finding("CLUSTER_REFUSES", facts.problem, fix),)
    if not facts.version:
        fix = (
            "look at [engine] kubeconfig and context, and whether kubectl get --raw /readyz answers"
        )
        return (Finding("CLUSTER_UNREACHABLE", facts.problem, fix),)
    found = []
    if not facts.machines:
        saw = f"none of its {facts.closed} machines is ready, open to pods and like most of them"
        found.append(Finding("CLUSTER_NO_MACHINE", saw, "kubectl get nodes; kubectl uncordon"))
    if facts.lacking:
        found.append(
            Finding(
                "CLUSTER_NO_IMAGE",
                f"{facts.lacking}, which tries machines, is known to none of them",
                "name it by its digest in [engine] trial_image: each machine pulls it then",
            )
        )
    saw = f"Kubernetes {facts.version}, {facts.machines} machines that take pods"
    return (*found, Finding("CLUSTER_OK", saw))


def judge_fleet(offered: int, seen: int) -> tuple[Finding, ...]:
    """What the node has found when it tried the machines last.

    Args:
        offered, seen: machines; none seen: no node has looked yet.
    """
    if not seen:
        saw = "container: each machine is tried by the node when it runs"
        return (Finding("NOT_CHECKED", saw, "start the node, then: neurogrid-node fleet"),)
    saw = f"{offered} of {seen} machines hold jobs as they should"
    if not offered:
        return (Finding("CONTAINER_UNSAFE", saw, "neurogrid-node fleet says what each lacks"),)
    return (Finding("CONTAINER_OK", saw),)
