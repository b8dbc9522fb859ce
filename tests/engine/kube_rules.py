"""What an API server of a test's cluster lets through: authorization, the published shapes, admission. Pure.

Shapes are those of the official client's models, which are made from Kubernetes' OpenAPI document and know no
field that is not in it; the rules beside them are those of the server that the document does not have
(pkg/apis/core/validation, the Pod Security admission), as far as this project meets them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from kubernetes.client import models
from pydantic import ValidationError

Json = dict[str, Any]

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z")
_QUALIFIED = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")


class Refused(Exception):
    """With what becomes the answer's Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


def status(refused: Refused) -> Json:
    """As apimachinery's `metav1.Status`."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": str(refused),
        "reason": refused.reason,
        "code": refused.code,
    }


def shaped(kind: str, found: Any) -> Any:
    """As it is, when it is what the published API says.

    Raises:
        Refused: an unknown field, a wrong type, a field that has to be there and is not.
    """
    try:
        getattr(models, kind).model_validate(found)
    except ValidationError as error:
        words = "; ".join(
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}"
            for each in error.errors()
        )
        raise Refused(400, "BadRequest", f"strict decoding error: {kind}: {words}") from error
    return found


# Authorization (RBAC)


def permits(
    roles: Iterable[Mapping[str, Any]], verb: str, resource: str, namespace: str
) -> Json | None:
    """The rule that lets a request through.

    Args:
        roles: Roles and ClusterRoles that are bound to who asks.
        resource: with its subresource: ``pods/log``.
        namespace: "" for what has none.
    """
    for role in roles:
        if role["kind"] == "Role" and role["metadata"]["namespace"] != namespace:
            continue
        for rule in role["rules"]:
            if "" in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]:
                return dict(rule)
    return None


def forbidden(verb: str, resource: str, namespace: str) -> Refused:
    where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
    return Refused(
        403,
        "Forbidden",
        f'{resource} is forbidden: User "node" cannot {verb} resource "{resource}" in API group ""{where}',
    )


# Pods


def check_new_pod(pod: Json, level: str) -> None:
    """
    Args:
        level: of the Pod Security Standards, by the namespace's label.

    Raises:
        Refused: the pod is invalid, or not secure enough.
    """
    shaped("V1Pod", pod)
    wrong = list(_invalid(pod))
    if wrong:
        raise _invalid_answer(pod, wrong)
    if level == "restricted" and (violations := list(_insecure(pod["spec"]))):
        raise Refused(
            403,
            "Forbidden",
            f'pods "{pod["metadata"]["name"]}" is forbidden: violates PodSecurity "restricted:latest": '
            + ", ".join(violations),
        )


def _invalid_answer(pod: Json, wrong: list[str]) -> Refused:
    return Refused(
        422, "Invalid", f'Pod "{pod["metadata"]["name"]}" is invalid: {"; ".join(wrong)}'
    )


def _invalid(pod: Json) -> Iterable[str]:
    meta, spec = pod["metadata"], pod["spec"]
    if not _SUBDOMAIN.match(meta["name"]) or len(meta["name"]) > 253:
        yield f"metadata.name: Invalid value: {meta['name']!r}"
    for key, value in (meta.get("labels") or {}).items():
        if not _QUALIFIED.match(key) or not _LABEL_VALUE.match(value):
            yield f"metadata.labels: Invalid value: {key}={value!r}"
    if sum(len(k) + len(v) for k, v in (meta.get("annotations") or {}).items()) > 256 << 10:
        yield "metadata.annotations: Too long"
    if spec.get("schedulingGates") and spec.get("nodeName"):
        yield "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"
    if spec.get("dnsPolicy") == "None" and not (spec.get("dnsConfig") or {}).get("nameservers"):
        yield "spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver"
    if spec.get("activeDeadlineSeconds") is not None and spec["activeDeadlineSeconds"] < 1:
        yield "spec.activeDeadlineSeconds: Invalid value: must be between 1 and 2147483647"
    if spec.get("hostname") and not _DNS_LABEL.match(spec["hostname"]):
        yield f"spec.hostname: Invalid value: {spec['hostname']!r}"
    volumes = [volume["name"] for volume in spec.get("volumes") or ()]
    if len(set(volumes)) != len(volumes):
        yield "spec.volumes: Duplicate value"
    if not spec.get("containers"):
        yield "spec.containers: Required value"
    for container in spec.get("containers") or ():
        yield from _invalid_container(container, volumes)


def _invalid_container(container: Json, volumes: list[str]) -> Iterable[str]:
    if not container.get("image"):
        yield "spec.containers[0].image: Required value"
    for variable in container.get("env") or ():
        if not variable["name"] or "=" in variable["name"]:
            yield f"spec.containers[0].env: Invalid value: {variable['name']!r}"
    places = set()
    for mount in container.get("volumeMounts") or ():
        if mount["name"] not in volumes:
            yield f"spec.containers[0].volumeMounts: Not found: {mount['name']!r}"
        if mount["mountPath"] in places:
            yield f"spec.containers[0].volumeMounts: Invalid value: {mount['mountPath']!r}: must be unique"
        places.add(mount["mountPath"])
        sub = mount.get("subPath", "")
        if sub.startswith("/") or ".." in sub.split("/"):
            yield f"spec.containers[0].volumeMounts.subPath: Invalid value: {sub!r}"
    asked = container.get("resources") or {}
    for name, amount in (asked.get("requests") or {}).items():
        limit = (asked.get("limits") or {}).get(name)
        if limit is not None and quantity(amount) > quantity(limit):
            yield f"spec.containers[0].resources.requests: must be less than or equal to {name} limit"


def quantity(text: str) -> float:
    """Of the few forms that are met here."""
    for suffix, factor in (("m", 1e-3), ("Ki", 2**10), ("Mi", 2**20), ("Gi", 2**30)):
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)


_VOLUMES_ALLOWED = {
    *("name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"),
    *("persistentVolumeClaim", "projected", "secret"),
}


def _insecure(spec: Json) -> Iterable[str]:
    """Pod Security Standards 1.30, "baseline" and "restricted", for Linux."""
    for flag in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(flag):
            yield f"host namespaces ({flag})"
    for volume in spec.get("volumes") or ():
        if set(volume) - _VOLUMES_ALLOWED:
            yield f'restricted volume types (volume "{volume["name"]}")'
    whole = spec.get("securityContext") or {}
    everybody = (*(spec.get("initContainers") or ()), *spec["containers"])
    for container in everybody:
        own = container.get("securityContext") or {}
        named = f'container "{container["name"]}"'
        if own.get("privileged"):
            yield f"privileged ({named})"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"allowPrivilegeEscalation != false ({named})"
        capabilities = own.get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or ()):
            yield f"unrestricted capabilities ({named})"
        if set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
            yield f"capabilities.add ({named})"
        if own.get("runAsNonRoot", whole.get("runAsNonRoot")) is not True:
            yield f"runAsNonRoot != true ({named})"
        if own.get("runAsUser", whole.get("runAsUser")) == 0:
            yield f"runAsUser=0 ({named})"
        profile = own.get("seccompProfile") or whole.get("seccompProfile") or {}
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"seccompProfile ({named})"
        if own.get("procMount", "Default") != "Default":
            yield f"procMount ({named})"


def check_changed_pod(before: Json, after: Json) -> None:
    """
    Raises:
        Refused: something else than a pod's few changeable fields was changed.
    """
    shaped("V1Pod", after)
    wrong = []
    old, new = before["spec"], after["spec"]
    deadlines = old.get("activeDeadlineSeconds"), new.get("activeDeadlineSeconds")
    if deadlines[1] is not None and deadlines[1] < 1:
        wrong.append("spec.activeDeadlineSeconds: Invalid value")
    if deadlines[0] is not None and (deadlines[1] is None or deadlines[1] > deadlines[0]):
        wrong.append(
            "spec.activeDeadlineSeconds: Invalid value: must be less than or equal to previous value"
        )
    gates = [{gate["name"] for gate in spec.get("schedulingGates") or ()} for spec in (old, new)]
    if gates[1] - gates[0]:
        wrong.append("spec.schedulingGates: Forbidden: only deletion is allowed")
    free = ("activeDeadlineSeconds", "schedulingGates")
    if _without(old, free) != _without(new, free):
        wrong.append(
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
            "existing tolerations),`spec.terminationGracePeriodSeconds`"
        )
    for name in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"):
        if before["metadata"].get(name) != after["metadata"].get(name):
            wrong.append(f"metadata.{name}: Invalid value: field is immutable")
    for key, value in (after["metadata"].get("labels") or {}).items():
        if not _LABEL_VALUE.match(value):
            wrong.append(f"metadata.labels: Invalid value: {key}={value!r}")
    if wrong:
        raise _invalid_answer(before, wrong)


def _without(spec: Json, names: Iterable[str]) -> Json:
    return {name: value for name, value in spec.items() if name not in names}


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def selects(selector: str, labels: Mapping[str, str]) -> bool:
    """Of the selectors, the equalities."""
    for clause in filter(None, selector.split(",")):
        key, is_equal, value = clause.partition("=")
        if not is_equal or labels.get(key) != value.removeprefix("="):
            return False
    return True
