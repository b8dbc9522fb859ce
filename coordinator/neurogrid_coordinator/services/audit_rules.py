"""What the audit log says of a request that changes something. Pure."""

from functools import lru_cache

from ..store.audit import Acting, AuditLevel, AuditType

# What paths begin with before they say what they are about: native ones, and the dialects'.
_BEGINNINGS = ("/api/v1/", "/api/", "/")
# What they say then, whose changes are about tasks.
_TASKS = frozenset({"task", "tasks", "workflows", "batches", "scheduled-tasks"})
# Those whose changes somebody who looks for an intruder wants to see first.
_GRAVE = frozenset({"api-keys", "account", "operator", "oauth", "wallet", "webhooks", "keys"})
_PATH_CHARS_MAX = 300
# Many requests are to the same few paths.
_PATHS_KEPT = 256


def acting_of(
    method: str, path: str, *, account_id: str, key_id: str, address: str, request_id: str
) -> Acting:
    """A request as the log has it: its query and body, where secrets may be, are left out."""
    kind, level = _kind_of(path[:_PATH_CHARS_MAX])
    return Acting(
        type=kind,
        level=level,
        account_id=account_id,
        message=f"{method} {path[:_PATH_CHARS_MAX]}",
        details={"key_id": key_id, "address": address, "request_id": request_id},
    )


@lru_cache(_PATHS_KEPT)
def _kind_of(path: str) -> tuple[AuditType, AuditLevel]:
    """What a change there is about, and how grave it is."""
    beginning = next((each for each in _BEGINNINGS if path.startswith(each)), "")
    subject = path.removeprefix(beginning).partition("/")[0]
    return "task" if subject in _TASKS else "api", "warning" if subject in _GRAVE else "info"
