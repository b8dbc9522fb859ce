"""A Kubernetes cluster of a test's own: an API server, a scheduler, and machines that run pods on Docker engines.

It is set up by the manifest that docs/fleet.md has owners apply, and by nothing else. docs/fleet.md says what of
it is held to the published API, and what is not.
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from engine.bench import PYTHON_IMAGE
from engine.kube_api import TOKEN, KubeApi, delete_pod, now
from engine.kube_machine import KubeMachine, image_digest
from engine.kube_rules import quantity
from engine.kube_store import Expired, Json, Missing, Store
from engine.own_dockerd import OwnDockerd, own_dockerd
from neurogrid_node.container.probe import PROBE_IMAGE
from neurogrid_node.container.seccomp import seccomp_json
from neurogrid_node.kube.api import ClusterAccess
from neurogrid_node.kube.engine import KubeEngine, connect_cluster
from neurogrid_node.kube.pod import SECCOMP_FILE, PodPlace

MANIFEST = Path(__file__).parents[2] / "configs" / "kubernetes" / "neurogrid.yaml"
NAMESPACE = "neurogrid"
CLAIM = "neurogrid"
# Images of the tests that any machine of the cluster may be asked to run.
IMAGES = (PYTHON_IMAGE, "neurogrid/true:1", PROBE_IMAGE)


class OwnCluster:
    """See the module; made by `own_cluster`.

    Attributes:
        shared: where the machines' common volume lies, for the node as for them.
        kubeconfig: a file for the node.
    """

    def __init__(self, folder: Path, images: tuple[str, ...]) -> None:
        self.folder = folder
        self._image_names = images
        self.store = Store()
        certificate = folder / "server.pem"
        self._authority = _write_certificate(certificate)
        self.api = KubeApi(self.store, [], self._read_log, certificate)
        # A bare folder of the shared volume; the machines' runtimes mount parts of it.
        self.shared = folder / "shared"
        self.shared.mkdir()
        self.kubeconfig = folder / "kubeconfig"
        self.machines: dict[str, KubeMachine] = {}
        self._claims: dict[str, Path] = {}
        self._is_over = threading.Event()
        self._scheduler = threading.Thread(target=self._schedule, name="kube scheduler")

    def start(self) -> None:
        for document in yaml.safe_load_all(MANIFEST.read_text()):
            self._apply(document)
        self.api.start()
        self.kubeconfig.write_text(json.dumps(_kubeconfig(self.api.url, self._authority)))
        self._scheduler.start()

    def stop(self) -> None:
        self._is_over.set()
        self._scheduler.join()
        self.api.stop()
        for machine in self.machines.values():
            machine.stop()

    def _apply(self, document: Json) -> None:
        kind = document["kind"]
        if kind in ("Role", "ClusterRole"):
            self.api.roles.append(document)
        elif kind == "PersistentVolumeClaim":
            self._claims[document["metadata"]["name"]] = self.shared
        elif kind in ("Namespace", "NetworkPolicy"):
            plural = {"Namespace": "namespaces", "NetworkPolicy": "networkpolicies"}[kind]
            self.store.create(plural, document)

    def access(self) -> ClusterAccess:
        return ClusterAccess(str(self.kubeconfig), "", NAMESPACE)

    def place(self, **changes: Any) -> PodPlace:
        settings: dict[str, Any] = {
            "claim": CLAIM,
            "shared": self.shared,
            "runtime_class": "",
            "has_user_namespaces": False,
            "longest_s": 3600,
        }
        return PodPlace(**settings | changes)

    def connect(self, node_id: str) -> AbstractAsyncContextManager[KubeEngine]:
        """A node's engine."""
        return connect_cluster(node_id, self.access(), self.place(), grace_s=5)

    def add_machine(self, name: str, dockerd: OwnDockerd, **options: Any) -> KubeMachine:
        """One more, with the filter of system calls that docs/fleet.md has owners lay there."""
        seccomp = self.folder / f"seccomp-{name}"
        seccomp.mkdir()
        if options.pop("has_filter", True):
            (seccomp / SECCOMP_FILE).write_text(seccomp_json())
        images = {}
        for reference in self._image_names:
            image_id = dockerd.docker("image", "inspect", "--format", "{{.Id}}", reference).strip()
            repository = f"docker.io/{reference.partition(':')[0]}"
            images[f"docker.io/{reference}"] = image_id
            images[f"{repository}@{image_digest(image_id)}"] = image_id
        machine = KubeMachine(
            name,
            self.store,
            dockerd.url,
            images=images,
            claims=self._claims,
            seccomp=seccomp,
            **options,
        )
        self.machines[name] = machine
        machine.start()
        return machine

    def take_away(self, machine: KubeMachine) -> None:
        """A machine that leaves the cluster, when nothing of ours runs there."""
        machine.stop()
        del self.machines[machine.name]
        self.store.remove("nodes", "", machine.name)

    def _read_log(self, pod: Json, follows: bool, since_s: int | None) -> Iterator[bytes]:
        return self.machines[pod["spec"]["nodeName"]].read_log(pod, follows, since_s)

    def delete(self, pod: str, grace_s: int | None = None) -> None:
        """As somebody with kubectl would."""
        delete_pod(self.store, NAMESPACE, pod, grace_s)

    def say_of(self, pod: str, **status: Any) -> None:
        """As a controller or a kubelet would."""

        def change(found: Json) -> None:
            found["status"] |= status

        self.store.change("pods", NAMESPACE, pod, change)

    def change_machine(self, name: str, change: Any) -> None:
        self.store.change("nodes", "", name, change)

    # The scheduler

    def _schedule(self) -> None:
        while not self._is_over.is_set():
            try:
                version = self.store.version
                for pod in self.store.list("pods"):
                    self._place(pod)
                for change in self.store.follow(version, self._is_over.is_set):
                    if change is not None and change.key[0] in ("pods", "nodes"):
                        break
            except Expired:
                continue

    def _place(self, pod: Json) -> None:
        spec, meta = pod["spec"], pod["metadata"]
        if spec.get("nodeName") or spec.get("schedulingGates") or "deletionTimestamp" in meta:
            return
        wanted = _wanted(spec)
        why = "node(s) didn't match Pod's node affinity/selector"
        condition: Json = {"type": "PodScheduled", "lastTransitionTime": now()}
        for node in self.store.list("nodes"):
            name = node["metadata"]["name"]
            if wanted is not None and name not in wanted:
                continue
            why = self._obstacle(node, spec)
            if not why:
                bound = condition | {"status": "True"}
                self._bind(meta, name, bound)
                return
        words = f"0/{len(self.machines)} nodes are available: 1 {why}."
        missing = {"status": "False", "reason": "Unschedulable", "message": words}
        before: Json = next(iter(pod["status"].get("conditions") or ()), {})
        if before.get("message") != words:
            self._bind(meta, "", condition | missing)

    def _bind(self, meta: Json, machine: str, condition: Json) -> None:
        def change(pod: Json) -> None:
            if machine:
                pod["spec"]["nodeName"] = machine
            pod["status"]["conditions"] = [condition]

        try:
            self.store.change("pods", meta["namespace"], meta["name"], change)
        except Missing:
            return

    def _obstacle(self, node: Json, spec: Json) -> str:
        if node["status"]["conditions"][0]["status"] != "True":
            return "node(s) had untolerated taint {node.kubernetes.io/unreachable: }"
        if node["spec"].get("unschedulable"):
            return "node(s) were unschedulable"
        for resource in ("cpu", "memory"):
            taken = sum(
                _asked(pod["spec"], resource)
                for pod in self.store.list("pods")
                if pod["spec"].get("nodeName") == node["metadata"]["name"]
                and pod["status"].get("phase") not in ("Succeeded", "Failed")
            )
            if taken + _asked(spec, resource) > quantity(node["status"]["allocatable"][resource]):
                return f"Insufficient {resource}"
        return ""


def _wanted(spec: Json) -> list[str] | None:
    node = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return None
    (term,) = required["nodeSelectorTerms"]
    (field,) = term["matchFields"]
    assert (field["key"], field["operator"]) == ("metadata.name", "In"), field
    values: list[str] = field["values"]
    return values


def _asked(spec: Json, resource: str) -> float:
    return sum(
        quantity((container.get("resources") or {}).get("requests", {}).get(resource, "0"))
        for container in spec["containers"]
    )


def _write_certificate(path: Path) -> bytes:
    """Of a server on this machine, which signs for itself, with its key; the certificate alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own cluster")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + pem)
    return pem


def _kubeconfig(url: str, authority: bytes) -> Json:
    server = {
        "server": url,
        "certificate-authority-data": base64.b64encode(authority).decode(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "node"}}],
        "clusters": [{"name": "test", "cluster": server}],
        "users": [{"name": "node", "user": {"token": TOKEN}}],
    }


@contextmanager
def own_cluster(folder: Path, *images: str) -> Iterator[OwnCluster]:
    """A cluster of one machine, "ash", for the length of the block; ``images``: that it has, too."""
    folder.mkdir(parents=True)
    with own_dockerd(folder / "a") as dockerd:
        dockerd.take_images(*IMAGES, *images)
        cluster = OwnCluster(folder, (*IMAGES, *images))
        cluster.start()
        try:
            cluster.add_machine("ash", dockerd)
            yield cluster
        finally:
            cluster.stop()
