"""A machine of a test's cluster: what a kubelet does with a pod, done on a real Docker engine.

The container has exactly what the pod asks for: what is left out is Docker's default, as it would be the
runtime's. What a machine does by itself (its limit of processes, whether it obeys network policies, its folder
of system call filters) is given to it. Times are whole seconds, as the API has them.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests

from engine.kube_api import now
from engine.kube_rules import quantity
from engine.kube_store import Expired, Json, Missing, Store
from neurogrid_node.container.logs import split_records
from neurogrid_node.container.probe import PROBE_IMAGE

_LOOK_S = 0.05
_TIMED = re.compile(rb"(\S+) (.*)\Z", re.DOTALL)


class KubeMachine:
    """See the module.

    Args:
        url: of its Docker engine.
        images: by the name that pods give, the engine's own id.
        claims: where the volume of each PersistentVolumeClaim lies.
        seccomp: the kubelet's folder of profiles.
        pids: the kubelet's podPidsLimit.
        obeys_policies: whether its network plug-in enforces them.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        url: str,
        *,
        images: dict[str, str],
        claims: dict[str, Path],
        seccomp: Path,
        pids: int = 256,
        obeys_policies: bool = True,
        cpu: str = "8",
        memory: str = "16Gi",
    ) -> None:
        self.name = name
        self.images = images
        self.obeys_policies = obeys_policies
        self.pids = pids
        self._store = store
        self._api = docker.APIClient(base_url=url, timeout=120, max_pool_size=64)
        self._claims = claims
        self._seccomp = seccomp
        self._allocatable = {
            "cpu": cpu,
            "memory": memory,
            "pods": "110",
            "ephemeral-storage": "50Gi",
        }
        self._boot = f"boot-{time.time_ns()}"
        self._is_over = threading.Event()
        self._workers: dict[str, threading.Thread] = {}
        self._follower = threading.Thread(target=self._follow, name=f"kubelet {name}")

    def start(self) -> None:
        """Join the cluster."""
        self._store.create("nodes", self._node(is_ready=True))
        self._follower.start()

    def stop(self) -> None:
        """The kubelet is gone, with the machine: nothing is told any more. What ran is its engine's affair."""
        self._is_over.set()
        self._follower.join()
        for worker in self._workers.values():
            worker.join()
        self._api.close()

    def _node(self, *, is_ready: bool) -> Json:
        return {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {
                "name": self.name,
                "uid": f"uid-of-{self.name}",
                "labels": {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux"},
            },
            "spec": {},
            "status": {
                "allocatable": self._allocatable,
                "capacity": self._allocatable,
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "True" if is_ready else "Unknown",
                        "reason": "Kubelet",
                    }
                ],
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "images": [
                    {"names": names, "sizeBytes": 1 << 20} for names in _names_by_id(self.images)
                ],
                "nodeInfo": {
                    "machineID": "m",
                    "systemUUID": "s",
                    "bootID": self._boot,
                    "kernelVersion": "6.1",
                    "osImage": "Debian",
                    "containerRuntimeVersion": "docker://20.10",
                    "kubeletVersion": "v1.33.0",
                    "kubeProxyVersion": "",
                    "operatingSystem": "linux",
                    "architecture": "amd64",
                },
            },
        }

    # Pods that are this machine's

    def _follow(self) -> None:
        version = 0
        while not self._is_over.is_set():
            for pod in self._store.list("pods"):
                self._look_at(pod)
            version = self._store.version
            try:
                for change in self._store.follow(version, self._is_over.is_set):
                    if change is not None and change.key[0] == "pods" and change.type != "DELETED":
                        self._look_at(change.object)
            except Expired:
                continue

    def _look_at(self, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        if pod["spec"].get("nodeName") != self.name or uid in self._workers:
            return
        worker = threading.Thread(target=self._work, args=(pod,), name=f"pod {uid}")
        self._workers[uid] = worker
        worker.start()

    def _work(self, pod: Json) -> None:
        try:
            _Work(self, pod).run()
        except Missing:
            # Somebody has forced it out of the store.
            self.clean(pod["metadata"]["uid"])
        except (docker.errors.DockerException, requests.RequestException, OSError):
            # Its engine was killed with the machine.
            if not self._is_over.is_set():
                raise

    def is_over(self) -> bool:
        return self._is_over.is_set()

    def isolates(self, pod: Json) -> bool:
        """Whether policies keep the pod from sending anything, and the plug-in enforces them."""
        namespace = pod["metadata"]["namespace"]
        return self.obeys_policies and any(
            policy["spec"]["podSelector"] == {}
            and "Egress" in policy["spec"].get("policyTypes", ())
            and not policy["spec"].get("egress")
            for policy in self._store.list("networkpolicies", namespace)
        )

    def clean(self, uid: str) -> None:
        for kind in ("job", "pause"):
            with suppress(docker.errors.NotFound):
                self._api.remove_container(f"k8s-{uid}-{kind}", force=True)

    def read_log(self, pod: Json, follows: bool, since_s: int | None) -> Iterator[bytes]:
        """As a kubelet reads its file: both outputs merged, a line's time once in front."""
        uid = pod["metadata"]["uid"]
        query = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follows)}
        if since_s is not None:
            query["since"] = int(time.time()) - since_s
        url = f"{self._api.base_url}/v{self._api.api_version}/containers/k8s-{uid}-job/logs"
        # Short, to see now and then whether anybody still listens.
        with self._api.request(
            "GET", url, params=query, stream=True, timeout=(10, 600)
        ) as response:
            is_mid_line = False
            for _, data in split_records(response.iter_content(None)):
                timed = _TIMED.match(data)
                text = timed[2] if is_mid_line and timed is not None else data
                is_mid_line = not data.endswith(b"\n")
                yield text


def _names_by_id(images: dict[str, str]) -> list[list[str]]:
    by_id: dict[str, list[str]] = {}
    for name, image_id in images.items():
        by_id.setdefault(image_id, []).append(name)
    return list(by_id.values())


class _Work:
    """One pod on its machine, from when it has been given to it until it is forgotten."""

    def __init__(self, machine: KubeMachine, pod: Json) -> None:
        self._machine = machine
        self._store = machine._store
        self._api = machine._api
        self._uid = pod["metadata"]["uid"]
        self._where = ("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
        self._job = f"k8s-{self._uid}-job"
        self._pause = f"k8s-{self._uid}-pause"
        self._begun_s = time.monotonic()

    def run(self) -> None:
        pod = self._pod()
        terminated = ((pod["status"].get("containerStatuses") or [{}])[0].get("state") or {}).get(
            "terminated"
        )
        if terminated is None:
            self._say(startTime=now())
            self._state({"waiting": {"reason": "ContainerCreating"}})
            if self._made(pod) and self._started():
                self._follow_to_end()
        self._until_deleted()

    def _made(self, pod: Json) -> bool:
        """Whether its container could be created; else it waits, with the reason, until it is told to end."""
        while True:
            try:
                self._create(pod)
                return True
            except _Waits as waits:
                self._state({"waiting": {"reason": waits.reason, "message": str(waits)}})
            if self._is_told(self._pod()):
                self._state({"waiting": {"reason": "ContainerCreating"}}, phase="Failed")
                return False
            self._sleep()

    def _create(self, pod: Json) -> None:
        spec, container = pod["spec"], pod["spec"]["containers"][0]
        self._machine.clean(self._uid)
        image_id = self._machine.images.get(container["image"])
        if image_id is None:
            raise _Waits(
                "ErrImagePull",
                "rpc error: code = NotFound desc = failed to pull and unpack image "
                f'"{container["image"]}": not found',
            )
        network = "none" if self._machine.isolates(pod) else "host"
        self._api.create_container(
            PROBE_IMAGE,
            ["wait"],
            name=self._pause,
            user="65535:65535",
            hostname=spec.get("hostname"),
            host_config=self._api.create_host_config(
                init=True, network_mode=network, ipc_mode="shareable"
            ),
        )
        self._api.start(self._pause)
        arguments = {
            "Image": image_id,
            "Env": [f"{name}={value}" for name, value in _environment(container, network).items()],
            "HostConfig": self._host(spec, container),
        }
        variables = _environment(container, network)
        if container.get("command"):
            arguments["Entrypoint"] = [_expanded(each, variables) for each in container["command"]]
        if container.get("args"):
            arguments["Cmd"] = [_expanded(each, variables) for each in container["args"]]
        whole, own = spec.get("securityContext") or {}, container.get("securityContext") or {}
        user = own.get("runAsUser", whole.get("runAsUser"))
        group = own.get("runAsGroup", whole.get("runAsGroup", 0))
        if user is not None:
            arguments["User"] = f"{user}:{group}"
        try:
            # Untyped in docker-py's stubs; its typed ways cannot say everything.
            self._api.create_container_from_config(arguments, self._job)  # type: ignore[no-untyped-call]  # docker-py
        except docker.errors.APIError as error:
            raise _Waits("CreateContainerError", str(error.explanation)) from error

    def _host(self, spec: Json, container: Json) -> Json:
        own = container.get("securityContext") or {}
        limits = (container.get("resources") or {}).get("limits") or {}
        capabilities = own.get("capabilities") or {}
        options = [*self._filter(spec, own)]
        if own.get("allowPrivilegeEscalation") is False:
            options.append("no-new-privileges:true")
        memory = int(quantity(limits["memory"])) if "memory" in limits else 0
        binds, tmpfs = self._mounts(spec, container)
        return {
            "CapDrop": capabilities.get("drop"),
            "CapAdd": capabilities.get("add"),
            "SecurityOpt": options,
            "Privileged": own.get("privileged", False),
            "ReadonlyRootfs": own.get("readOnlyRootFilesystem", False),
            "Memory": memory,
            # A kubelet gives pods no swap.
            "MemorySwap": memory,
            "NanoCpus": int(quantity(limits["cpu"]) * 10**9) if "cpu" in limits else 0,
            # A kubelet's is the pod's whole control group's; here it is the container's.
            "PidsLimit": self._machine.pids,
            "NetworkMode": f"container:{self._pause}",
            "IpcMode": f"container:{self._pause}",
            "PidMode": f"container:{self._pause}" if spec.get("shareProcessNamespace") else "",
            "CgroupnsMode": "private",
            "Mounts": binds,
            "Tmpfs": tmpfs,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}},
        }

    def _filter(self, spec: Json, own: Json) -> Iterator[str]:
        profile = own.get("seccompProfile") or (spec.get("securityContext") or {}).get(
            "seccompProfile", {"type": "Unconfined"}
        )
        if profile["type"] == "Localhost":
            path = self._machine._seccomp / profile["localhostProfile"]
            if not path.is_file():
                raise _Waits(
                    "CreateContainerError",
                    f'cannot load seccomp profile "{path}": open {path}: no such file or directory',
                )
            yield f"seccomp={path.read_text()}"
        elif profile["type"] == "Unconfined":
            yield "seccomp=unconfined"

    def _mounts(self, spec: Json, container: Json) -> tuple[list[Json], dict[str, str]]:
        volumes = {volume["name"]: volume for volume in spec.get("volumes") or ()}
        binds: list[Json] = []
        tmpfs = {}
        for mount in container.get("volumeMounts") or ():
            volume = volumes[mount["name"]]
            if "persistentVolumeClaim" in volume:
                root = self._machine._claims.get(volume["persistentVolumeClaim"]["claimName"])
                if root is None:
                    raise _Waits("CreateContainerConfigError", "persistentvolumeclaim not found")
                source = root / mount.get("subPath", "")
                source.mkdir(parents=True, exist_ok=True)
                binds.append(
                    {
                        "Type": "bind",
                        "Source": str(source),
                        "Target": mount["mountPath"],
                        "ReadOnly": mount.get("readOnly", False),
                    }
                )
            else:
                size = int(quantity(volume["emptyDir"]["sizeLimit"]))
                tmpfs[mount["mountPath"]] = f"rw,exec,mode=1777,size={size}"
        return binds, tmpfs

    def _started(self) -> bool:
        try:
            self._api.start(self._job)
        except docker.errors.APIError as error:
            # As containerd and runc say it, through the kubelet.
            self._state(
                {
                    "terminated": {
                        "exitCode": 128,
                        "reason": "StartError",
                        "message": str(error.explanation),
                        "startedAt": "1970-01-01T00:00:00Z",
                        "finishedAt": now(),
                    }
                },
                phase="Failed",
            )
            return False
        state = self._api.inspect_container(self._job)["State"]
        self._state({"running": {"startedAt": _seconds(state["StartedAt"])}}, phase="Running")
        return True

    def _follow_to_end(self) -> None:
        is_late = False
        while True:
            state = self._api.inspect_container(self._job)["State"]
            if not state["Running"]:
                break
            pod = self._pod()
            is_late = is_late or self._is_late(pod)
            if self._is_told(pod):
                grace_s = pod["metadata"].get(
                    "deletionGracePeriodSeconds", pod["spec"]["terminationGracePeriodSeconds"]
                )
                self._api.stop(self._job, timeout=grace_s)
                continue
            self._sleep()
        code = state["ExitCode"]
        reason = "OOMKilled" if state["OOMKilled"] else "Completed" if code == 0 else "Error"
        ended = {
            "terminated": {
                "exitCode": code,
                "reason": reason,
                "startedAt": _seconds(state["StartedAt"]),
                "finishedAt": _seconds(state["FinishedAt"]),
            }
        }
        if is_late:
            self._say(
                reason="DeadlineExceeded",
                message="Pod was active on the node longer than the specified deadline",
            )
        self._state(ended, phase="Failed" if code or is_late else "Succeeded")

    def _until_deleted(self) -> None:
        while not self._pod()["metadata"].get("deletionTimestamp"):
            self._sleep()
        self._machine.clean(self._uid)
        self._store.remove(*self._where)

    # What it says, and what it is told

    def _pod(self) -> Json:
        if self._machine.is_over():
            raise SystemExit
        pod = self._store.get(*self._where)
        if pod["metadata"]["uid"] != self._uid:
            raise Missing
        return pod

    def _is_late(self, pod: Json) -> bool:
        limit_s = pod["spec"].get("activeDeadlineSeconds")
        return limit_s is not None and time.monotonic() - self._begun_s >= limit_s

    def _is_told(self, pod: Json) -> bool:
        return "deletionTimestamp" in pod["metadata"] or self._is_late(pod)

    def _sleep(self) -> None:
        self._machine._is_over.wait(_LOOK_S)

    def _say(self, **fields: Any) -> None:
        def change(pod: Json) -> None:
            pod["status"] |= fields

        self._pod()
        self._store.change(*self._where, change)

    def _state(self, state: Json, phase: str = "Pending") -> None:
        is_up = "running" in state

        def change(pod: Json) -> None:
            container = pod["spec"]["containers"][0]
            pod["status"]["phase"] = phase
            pod["status"]["containerStatuses"] = [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": container["image"],
                    "ready": is_up,
                    "started": is_up,
                    "restartCount": 0,
                    "state": state,
                    "lastState": {},
                }
            ]

        self._pod()
        self._store.change(*self._where, change)


class _Waits(Exception):
    """A container that cannot be created now, with the kubelet's word for why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _seconds(text: str) -> str:
    """The engine's time, as the API has it."""
    at = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


_REFERENCE = re.compile(r"\$(\$|\([A-Za-z_][A-Za-z0-9_.-]*\))")


def _expanded(text: str, variables: dict[str, str]) -> str:
    """Kubernetes' own expansion (third_party/forked/golang/expansion): ``$(NAME)``, and ``$$`` for a dollar."""

    def value(match: "re.Match[str]") -> str:
        found = match[1]
        return "$" if found == "$" else variables.get(found[1:-1], match[0])

    return _REFERENCE.sub(value, text)


def _environment(container: Json, network: str) -> dict[str, str]:
    variables = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "10250"}
    for each in container.get("env") or ():
        variables[each["name"]] = _expanded(each.get("value", ""), variables)
    return variables


def image_digest(image_id: str) -> str:
    """A stand-in for the digest of an image's manifest, which an engine that never saw a registry lacks."""
    import hashlib

    return f"sha256:{hashlib.sha256(json.dumps({'config': image_id}).encode()).hexdigest()}"
