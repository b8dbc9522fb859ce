"""Pods and machines as an API server would tell of them: each held to the published models before it is read."""

import json
from typing import Any

from kubernetes.client import models

from neurogrid_node.kube.objects import Node, Pod, read
from neurogrid_node.kube.pod import LABEL_STOPPED

DIGEST = "sha256:" + "1" * 64


def pod(
    phase: str = "Running",
    state: dict[str, Any] | None = None,
    *,
    meta: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    stopped: bool = False,
    **status: Any,
) -> Pod:
    """A job's; ``state``: of its container."""
    labels = {"io.neurogrid.lease": "l"} | ({LABEL_STOPPED: "5000000000"} if stopped else {})
    found = {
        "metadata": {
            "name": "neurogrid-l",
            "resourceVersion": "7",
            "labels": labels,
            "annotations": {"io.neurogrid.image": DIGEST},
            **(meta or {}),
        },
        "spec": {"containers": [{"name": "job"}], "nodeName": "ash", **(spec or {})},
        "status": {"phase": phase, **status},
    }
    if state is not None:
        found["status"]["containerStatuses"] = [
            {
                "name": "job",
                "image": "i",
                "imageID": "i",
                "ready": False,
                "restartCount": 0,
                "state": state,
            }
        ]
    models.V1Pod.model_validate(found)
    return read(Pod, json.dumps(found).encode())


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    """A container's state, twelve seconds after it began."""
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason,
            **({"message": message} if message else {}),
            "startedAt": "2026-11-29T10:00:00Z",
            "finishedAt": "2026-11-29T10:00:12Z",
        }
    }


def node(name: str = "ash", **parts: Any) -> Node:
    """A machine of 8 cores and 16 GiB; ``parts``: of its spec and status, in place of the usual ones."""
    spec = parts.pop("spec", {})
    info = {
        "machineID": "m",
        "systemUUID": "s",
        "bootID": parts.pop("boot", "b-1"),
        "kernelVersion": "6.1",
        "osImage": "Debian",
        "containerRuntimeVersion": "containerd://2.0",
        "kubeletVersion": "v1.33.0",
        "kubeProxyVersion": "v1.33.0",
        "operatingSystem": parts.pop("system", "linux"),
        "architecture": parts.pop("architecture", "amd64"),
    }
    status = {
        "allocatable": {"cpu": "7910m", "memory": "16Gi"},
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "10.0.0.5"}],
        "nodeInfo": info,
        **parts,
    }
    found = {"metadata": {"name": name, "uid": f"u-{name}"}, "spec": spec, "status": status}
    models.V1Node.model_validate(found)
    return read(Node, json.dumps(found).encode())
