"""An API server of a test's own cluster: the part of Kubernetes' REST API that the node's engine uses, over HTTP.

It holds both sides to the published API: a request that its models do not know is refused, and so is an answer
of its own (with 500, and in `mistakes`). Who asks may only what the manifest of configs/kubernetes lets the
node do; what was used of it is in `used`.
"""

import json
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from engine.kube_rules import (
    Refused,
    check_changed_pod,
    check_new_pod,
    forbidden,
    merge,
    permits,
    selects,
    shaped,
    status,
)
from engine.kube_store import Exists, Expired, Json, Missing, Store

TOKEN = "a-node's-token"
_MERGE = "application/merge-patch+json"
_OPTIONS = {
    *("labelSelector", "fieldSelector", "limit", "continue", "watch", "resourceVersion"),
    *("allowWatchBookmarks", "timeoutSeconds", "gracePeriodSeconds", "fieldValidation"),
    *("container", "timestamps", "follow", "sinceSeconds"),
}
# From one bookmark of a watch to the next, in empty looks of the store; a server's takes a minute.
_BOOKMARK_LOOKS = 10

ReadLog = Callable[[Json, bool, int | None], Iterator[bytes]]
"""Reads a pod's log: whether it follows, and from how many seconds ago."""


def now(later_s: float = 0) -> str:
    """As the API writes times: whole seconds."""
    at = datetime.now(UTC) + timedelta(seconds=later_s)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class KubeApi:
    """See the module."""

    def __init__(
        self, store: Store, roles: list[Json], read_log: ReadLog, certificate: Path
    ) -> None:
        """
        Args:
            certificate: a file with the server's, and its key.
        """
        self.store = store
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)
        self.roles = roles
        self.read_log = read_log
        self.used: set[tuple[str, str]] = set()
        self.mistakes: list[str] = []
        # For tests: what a webhook of the cluster would do to new pods.
        self.webhook: Callable[[Json], None] = lambda pod: None
        self.is_closing = False
        self.connections: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        api = self
        self.is_closing = False

        class Handler(_Handler):
            kube = api

        self._server = _Server(("127.0.0.1", self._port), Handler)
        # Whoever connects says hello in a thread of its own.
        self._server.socket = self._tls.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="kube api").start()

    def stop(self) -> None:
        """Answer nobody any more; watches and logs break off."""
        if self._server is None:
            return
        self.is_closing = True
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        for connection in list(self.connections):
            with suppress(OSError):
                # Below TLS, which its own thread is in the middle of.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes in the middle of something is no news."""


class _Handler(BaseHTTPRequestHandler):
    kube: KubeApi
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.kube.connections.add(self.request)

    def finish(self) -> None:
        self.kube.connections.discard(self.request)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_PATCH(self) -> None:
        self._answer(self._patch)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def _answer(self, serve: Callable[[], None]) -> None:
        parts = urlsplit(self.path)
        self.options = dict(parse_qsl(parts.query))
        self.words = parts.path.strip("/").split("/")
        try:
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Refused(401, "Unauthorized", "Unauthorized")
            if unknown := set(self.options) - _OPTIONS:
                raise Refused(400, "BadRequest", f"unknown options {sorted(unknown)}")
            serve()
        except Missing:
            name = self.words[-1]
            self._send(
                404, status(Refused(404, "NotFound", f'pods "{name}" not found')), "V1Status"
            )
        except Refused as refused:
            self._send(refused.code, status(refused), "V1Status")
        except OSError:
            self.close_connection = True

    def _may(self, verb: str, resource: str, namespace: str = "") -> None:
        if permits(self.kube.roles, verb, resource, namespace) is None:
            raise forbidden(verb, resource, namespace)
        self.kube.used.add((verb, resource))

    def _pod_path(self) -> tuple[str, str, str]:
        """Namespace, name, subresource; "" where there is none."""
        match self.words:
            case ["api", "v1", "namespaces", namespace, "pods", *rest] if len(rest) <= 2:
                name, sub = (*rest, "", "")[:2]
                return namespace, name, sub
        raise Refused(404, "NotFound", "the server could not find the requested resource")

    def _get(self) -> None:
        if self.words == ["version"]:
            self._send(200, _VERSION, "VersionInfo")
            return
        if self.words == ["api", "v1", "nodes"]:
            self._may("list", "nodes")
            self._list("Node", self.kube.store.list("nodes"))
            return
        namespace, name, sub = self._pod_path()
        if sub == "log":
            self._may("get", "pods/log", namespace)
            self._log(self.kube.store.get("pods", namespace, name))
        elif sub:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        elif name:
            self._may("get", "pods", namespace)
            self._send(200, self.kube.store.get("pods", namespace, name), "V1Pod")
        elif self.options.get("watch") in ("true", "True", "1"):
            self._may("watch", "pods", namespace)
            self._watch(namespace)
        else:
            self._may("list", "pods", namespace)
            self._list("Pod", self.kube.store.list("pods", namespace))

    def _list(self, kind: str, found: list[Json]) -> None:
        version = str(self.kube.store.version)
        selector = self.options.get("labelSelector", "")
        found = [each for each in found if selects(selector, each["metadata"].get("labels") or {})]
        at, limit = int(self.options.get("continue", 0)), int(self.options.get("limit", 500))
        meta = {"resourceVersion": version}
        if len(found) > at + limit:
            meta["continue"] = str(at + limit)
            meta["remainingItemCount"] = len(found) - at - limit  # type: ignore[assignment]  # of JSON
        items = [_bare(each) for each in found[at : at + limit]]
        self._send(
            200,
            {"kind": f"{kind}List", "apiVersion": "v1", "metadata": meta, "items": items},
            f"V1{kind}List",
        )

    def _watch(self, namespace: str) -> None:
        selector = self.options.get("labelSelector", "")
        version = int(self.options.get("resourceVersion") or self.kube.store.version)
        end = datetime.now(UTC) + timedelta(seconds=int(self.options.get("timeoutSeconds", 1800)))

        def is_over() -> bool:
            return self.kube.is_closing or datetime.now(UTC) > end

        self._begin("application/json")
        quiet = 0
        try:
            for change in self.kube.store.follow(version, is_over):
                if change is None:
                    quiet += 1
                    if quiet % _BOOKMARK_LOOKS == 0 and "allowWatchBookmarks" in self.options:
                        self._event("BOOKMARK", _bookmark(self.kube.store.version))
                    continue
                kind, where, _ = change.key
                labels = change.object["metadata"].get("labels") or {}
                if (kind, where) == ("pods", namespace) and selects(selector, labels):
                    self._event(change.type, change.object)
        except Expired:
            expired = Refused(410, "Expired", f"too old resource version: {version}")
            self._event("ERROR", status(expired))
        if self.kube.is_closing:
            self.close_connection = True
        else:
            self._end()

    def _event(self, kind: str, found: Json) -> None:
        shape = "V1Status" if kind == "ERROR" else "V1Pod"
        event = {"type": kind, "object": self._checked(found, shape)}
        self._chunk(json.dumps(self._checked(event, "V1WatchEvent")).encode() + b"\n")

    def _log(self, pod: Json) -> None:
        state = _container_state(pod)
        if not pod["spec"].get("nodeName") or not ({"running", "terminated"} & set(state)):
            why = (state.get("waiting") or {}).get("reason", "PodInitializing")
            raise Refused(
                400,
                "BadRequest",
                f'container "job" in pod "{pod["metadata"]["name"]}" is waiting to start: {why}',
            )
        if self.options.get("timestamps") not in ("true", "True"):
            raise Refused(400, "BadRequest", "this server gives no log without times")
        since = self.options.get("sinceSeconds")
        if since is not None and int(since) < 1:
            raise Refused(422, "Invalid", "sinceSeconds: Invalid value: must be greater than 0")
        follows = self.options.get("follow") in ("true", "True")
        pieces = self.kube.read_log(pod, follows, int(since) if since else None)
        self._begin("text/plain")
        for piece in pieces:
            if self.kube.is_closing:
                self.close_connection = True
                return
            if piece:
                self._chunk(piece)
        self._end()

    def _post(self) -> None:
        namespace, name, _ = self._pod_path()
        self._may("create", "pods", namespace)
        if name or self.options.get("fieldValidation") != "Strict":
            raise Refused(405, "MethodNotAllowed", "pods are made strictly here")
        try:
            space = self.kube.store.get("namespaces", "", namespace)
        except Missing:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found') from None
        pod = shaped("V1Pod", self._json())
        level = space["metadata"]["labels"].get("pod-security.kubernetes.io/enforce", "privileged")
        self.kube.webhook(pod)
        check_new_pod(pod, level)
        made = _with_defaults(pod, namespace)
        try:
            self._send(201, self.kube.store.create("pods", made), "V1Pod")
        except Exists:
            raise Refused(
                409, "AlreadyExists", f'pods "{pod["metadata"]["name"]}" already exists'
            ) from None

    def _patch(self) -> None:
        namespace, name, sub = self._pod_path()
        self._may("patch", "pods", namespace)
        if sub or self.headers.get("Content-Type") != _MERGE:
            raise Refused(415, "UnsupportedMediaType", f"patches are {_MERGE} here")
        patch = self._json()

        def change(pod: Json) -> None:
            after = merge(pod, patch)
            check_changed_pod(pod, after)
            pod.clear()
            pod.update(after)

        self._send(200, self.kube.store.change("pods", namespace, name, change), "V1Pod")

    def _delete(self) -> None:
        namespace, name, _ = self._pod_path()
        self._may("delete", "pods", namespace)
        asked = json.loads(self.body) if self.body else {}
        shaped("V1DeleteOptions", asked)
        text = self.options.get("gracePeriodSeconds", asked.get("gracePeriodSeconds"))
        self._send(
            200, self.kube_delete(namespace, name, None if text is None else int(text)), "V1Pod"
        )

    def kube_delete(self, namespace: str, name: str, grace_s: int | None) -> Json:
        return delete_pod(self.kube.store, namespace, name, grace_s)

    def _json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Refused(400, "BadRequest", f"not JSON: {error}") from error

    # Answers

    def _checked(self, found: Json, shape: str) -> Json:
        try:
            if shape != "V1WatchEvent":
                shaped(shape, found)
        except Refused as error:
            self.kube.mistakes.append(str(error))
            raise
        return found

    def _send(self, code: int, found: Json, shape: str) -> None:
        try:
            self._checked(found, shape)
        except Refused as error:
            code, found = 500, status(Refused(500, "InternalError", str(error)))
        data = json.dumps(found).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _begin(self, media_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")


_VERSION = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.0",
    "gitCommit": "0" * 40,
    "gitTreeState": "clean",
    "buildDate": "2025-04-23T00:00:00Z",
    "goVersion": "go1.24",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def delete_pod(store: Store, namespace: str, name: str, grace_s: int | None = None) -> Json:
    """As the server does it: at once where no machine has it, else with a time that its kubelet keeps."""
    pod = store.get("pods", namespace, name)
    own = pod["spec"].get("terminationGracePeriodSeconds", 30)
    grace_s = own if grace_s is None else grace_s
    if not pod["spec"].get("nodeName") or grace_s == 0:
        return store.remove("pods", namespace, name)

    def change(pod: Json) -> None:
        meta = pod["metadata"]
        before = meta.get("deletionGracePeriodSeconds")
        # It may be shortened, never made longer.
        if before is None or grace_s < before:
            meta["deletionTimestamp"] = now(grace_s)
            meta["deletionGracePeriodSeconds"] = grace_s

    return store.change("pods", namespace, name, change)


def _bookmark(version: int) -> Json:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": str(version)},
        "spec": {"containers": []},
        "status": {},
    }


def _bare(found: Json) -> Json:
    """In a list, objects do not say their kind."""
    return {name: value for name, value in found.items() if name not in ("kind", "apiVersion")}


def _container_state(pod: Json) -> Json:
    statuses = pod["status"].get("containerStatuses") or [{}]
    state: Json = statuses[0].get("state") or {}
    return state


def _with_defaults(pod: Json, namespace: str) -> Json:
    """What a server fills in (pkg/apis/core/v1/defaults.go, the ServiceAccount admission)."""
    meta, spec = dict(pod["metadata"]), dict(pod["spec"])
    meta |= {
        "namespace": namespace,
        "uid": str(uuid.uuid4()),
        "creationTimestamp": now(),
        "generation": 1,
    }
    spec = {
        "schedulerName": "default-scheduler",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0,
    } | spec
    spec["containers"] = [_container_with_defaults(each) for each in spec["containers"]]
    condition = {"type": "PodScheduled", "status": "False", "lastTransitionTime": now()}
    gated = {
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    }
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": meta,
        "spec": spec,
        "status": {
            "phase": "Pending",
            "qosClass": "Guaranteed",
            **({"conditions": [condition | gated]} if spec.get("schedulingGates") else {}),
        },
    }


def _container_with_defaults(container: Json) -> Json:
    def canonical(amounts: Json) -> Json:
        # As `resource.Quantity` writes them back: 2000m is 2.
        return {
            name: str(int(text[:-1]) // 1000) if text.endswith("000m") else text
            for name, text in amounts.items()
        }

    def without(entries: list[Json], name: str, empty: Any) -> list[Json]:
        # Go's `omitempty` of core/v1: what is empty is not written.
        return [{k: v for k, v in each.items() if (k, v) != (name, empty)} for each in entries]

    asked = container.get("resources") or {}
    return {
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        **container,
        "env": without(container.get("env") or [], "value", ""),
        "volumeMounts": without(container.get("volumeMounts") or [], "readOnly", False),
        "resources": {name: canonical(amounts) for name, amounts in asked.items()},
    }
