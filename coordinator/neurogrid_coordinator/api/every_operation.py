"""What OpenAPI says of many operations in the same words: keys, what any route may refuse, parameters by their names.

Each follows from what an operation says of itself, so no route repeats it and none can forget it.
"""

from typing import Any

from neurogrid_marketplace.request_signing import SIGNATURE_HEADER

from ..store.accounts import KEYS_SCOPE, READ_SCOPE, SCOPES, WRITE_SCOPE
from .error_answers import by_status, codes_of, described
from .idempotency import IDEMPOTENCY_KEY
from .paths import API

Operation = dict[str, Any]

_METHODS = ("get", "put", "post", "patch", "delete", "head")
_READING = ("get", "head")
# Below these a key needs the scope `keys`, whatever the method, and so does what else is listed.
_ABOUT_KEYS = (f"{API}/api-keys", f"{API}/oauth/", "/api/keys/")
_CHANGES_SIGNING = ("patch", f"{API}/account")
# Nobody has a key there yet: who signs in is told by a signature.
_SIGN_IN = f"{API}/auth/"
_APPLICATIONS = ("/oauth/token", "/oauth/revoke", "/oauth/introspect")
# A node's, with the token of its lease.
_OF_A_LEASE = f"{API}/artifacts/{{sha256}}/checkpoint"
_FASTAPIS = "HTTPValidationError"
_OF_SIGNATURES = ("SIGNATURE_REQUIRED", "SIGNATURE_INVALID", "SIGNATURE_EXPIRED")

SECURITY_SCHEMES: dict[str, Any] = {
    "api_key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "ng_...",
        "description": "A key of the account's (docs/api-keys.md), or the token of a sign-in.",
    },
    "oauth": {
        "type": "oauth2",
        "description": "A token of an application's (docs/oauth.md).",
        "flows": {
            "authorizationCode": {
                "authorizationUrl": "/oauth/authorize",
                "tokenUrl": "/oauth/token",
                "refreshUrl": "/oauth/token",
                "scopes": {
                    READ_SCOPE: "See what is the account's.",
                    WRITE_SCOPE: "Change it, and spend.",
                    KEYS_SCOPE: "Make, rotate and revoke keys.",
                },
            },
            "clientCredentials": {
                "tokenUrl": "/oauth/token",
                "scopes": dict.fromkeys(SCOPES, "Of the account that registered it."),
            },
        },
    },
    "lease_token": {
        "type": "http",
        "scheme": "bearer",
        "description": "What a node was handed with its lease.",
    },
    "application": {
        "type": "http",
        "scheme": "basic",
        "description": "`client_id` and `client_secret` of an application.",
    },
}

# What a parameter means wherever it has this name, unless its operation says more.
_PARAMETERS = {
    "limit": "At most so many.",
    "offset": "Leave out so many from the list's beginning.",
    "page": "Pages count from 1.",
    "order": "`desc`: the newest first.",
    "count": "So many of them.",
    "task_id": "The task's id.",
    "workflow_id": "The workflow's id.",
    "batch_id": "The batch's id, or your own for it.",
    "file_id": "The file's id.",
    "openai_batch_id": "The batch's id.",
    "own_id": "The id that the task was submitted with.",
    "schedule_id": "The schedule's id.",
    "run_id": "The run's id.",
    "webhook_id": "The webhook's id.",
    "delivery_id": "The delivery's id.",
    "mailbox_id": "What opening the mailbox answered.",
    "node_id": "The node's peer id.",
    "resource_id": "The machine's peer id.",
    "provider_id": "The provider's wallet.",
    "challenge_id": "The challenge's id.",
    "lease_id": "The lease's id.",
    "client_id": "The application's id.",
    "grant_id": "The grant's id.",
    "key_id": "The key's id; `current` is the one that asks.",
    "transfer_id": "The transfer's id.",
    "invoice_id": "The invoice's id.",
    "error_id": "The entry's id.",
    "model_id": "The model's id, or an alias of it.",
    "account_id": "Only this account's.",
    "sha256": "SHA-256 of the file, in lower-case hex.",
    "path": "The file's path in the job's folder.",
    "service": "Which part of the coordinator.",
    "state": "Only those in this state.",
    "status": "Only those with this status.",
    "type": "Only those of this type.",
    "level": "Only those of this level.",
    "severity": "Only those of this severity.",
    "timeframe": "Only those of the last minutes, hours or days.",
    "resolved": "Only those with a resolution, or only those without.",
    "period": "The last hour, day, week or month.",
    "metric": "This figure alone.",
    "event": "Only those of this event.",
    "region": "Only those in this region.",
    "start_time": "The first moment that counts (RFC 3339).",
    "end_time": "The first moment that does not count any more (RFC 3339).",
    "cpu_cores_min": "The machine has at least so many cores.",
    "ram_gb_min": "And so much memory, 10^9 bytes each.",
    "storage_gb_min": "And so much disk, 10^9 bytes each.",
    "sort": "The field to sort by.",
    "batchId": "Only this batch's.",
    "createdAfter": "Only those created after this moment.",
    "createdBefore": "Only those created before this moment.",
    "isActive": "Only those that run at their times, or only those that do not.",
    "startTime": "The first moment that counts.",
    "endTime": "The first moment that does not count any more.",
    "taskId": "Only this task's.",
    "response_type": "`code`.",
    "redirect_uri": "One of the application's, to the byte.",
    "scope": "What the application wants, with spaces between; all that it may have, if left out.",
    "code_challenge": "SHA-256 of the verifier, in base64url without padding.",
    "code_challenge_method": "`S256`.",
}


def complete(document: dict[str, Any]) -> None:
    """Say of each operation of the document what follows from what it says itself."""
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    for name in (_FASTAPIS, "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method not in _METHODS:
                continue
            operation["security"] = _security(method, path, operation)
            _forget_fastapis(path, operation)
            if path.startswith(f"{API}/"):
                _refuse(method, operation)
            for parameter in operation.get("parameters", []):
                described = parameter.get("description") or parameter["schema"].get("description")
                if not described and parameter["name"] in _PARAMETERS:
                    parameter["description"] = _PARAMETERS[parameter["name"]]


def _wants_key(operation: Operation) -> bool:
    """Whether it is for holders of keys: only those hear that theirs opens nothing."""
    refused = operation["responses"].get("401", {})
    # Dialects say it in words.
    return "UNAUTHORIZED" in codes_of(refused) or "No key" in refused.get("description", "")


def _security(method: str, path: str, operation: Operation) -> list[dict[str, list[str]]]:
    if path in _APPLICATIONS:
        return [{"application": []}, {}]
    if path.startswith(_SIGN_IN) or not _wants_key(operation):
        return []
    if path == _OF_A_LEASE:
        return [{"lease_token": []}]
    scope = READ_SCOPE if method in _READING else WRITE_SCOPE
    if path.startswith(_ABOUT_KEYS) or (method, path) == _CHANGES_SIGNING:
        scope = KEYS_SCOPE
    return [{"api_key": []}, {"oauth": [scope]}]


def _forget_fastapis(path: str, operation: Operation) -> None:
    """FastAPI tells of refusals in its own form for each route with a parameter; here they have the path's."""
    refused = operation["responses"].get("422", {})
    if _FASTAPIS in str(refused):
        del operation["responses"]["422"]
        if path.startswith(f"{API}/"):
            _add(operation, "INVALID_REQUEST")


def _refuse(method: str, operation: Operation) -> None:
    """What the door, the gate and a database with too much to do may answer at any route."""
    _add(operation, "RATE_LIMITED", "UNAVAILABLE")
    if any(one["name"] == IDEMPOTENCY_KEY["name"] for one in operation.get("parameters", [])):
        _add(operation, "CONFLICT", "IDEMPOTENCY_MISMATCH", "INVALID_REQUEST")
    if operation["security"]:
        _add(operation, "UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN")
        is_signed = any(one["name"] == SIGNATURE_HEADER for one in operation.get("parameters", []))
        if is_signed:
            _add(operation, *_OF_SIGNATURES, "SIGNATURE_REPLAYED")
        elif method not in _READING:
            # Of accounts that have all that they change be signed.
            _add(operation, *_OF_SIGNATURES)
    if "application/json" in operation.get("requestBody", {}).get("content", {}):
        _add(operation, "INVALID_REQUEST", "PAYLOAD_TOO_LARGE")
        # No JSON at all; what is wrong in it is 422.
        operation["responses"].setdefault("400", described(["INVALID_REQUEST"]))


def _add(operation: Operation, *codes: str) -> None:
    """Add these codes to the error answers, beside those that it has for the same status."""
    responses = operation["responses"]
    for number, named in by_status(codes).items():
        status = str(number)
        there = codes_of(responses.get(status, {}))
        if there or status not in responses:
            responses[status] = described([*there, *named])
