"""What the audit log says of a request that changes something. Pure."""

from ..store.audit import Acting

# What paths begin with before they say what they are about: native ones, and the dialects'.
_BEGINNINGS = ("/api/v1/", "/api/", "/")
# What they say then, whose changes are about tasks.
_TASKS = frozenset({"task", "tasks", "workflows", "batches", "scheduled-tasks"})
# Those whose changes somebody who looks for an intruder wants to see first.
_GRAVE = frozenset({"api-keys", "account", "operator", "oauth", "wallet", "webhooks", "keys"})
_PATH_CHARS_MAX = 300


def acting_of(
    method: str, path: str, *, account_id: str, key_id: str, address: str, request_id: str
) -> Acting:
    """A request as the log has it: its query and body, where secrets may be, are left out."""
    beginning = next((each for each in _BEGINNINGS if path.startswith(each)), "")
    subject = path.removeprefix(beginning).partition("/")[0]
    return Acting(
        type="task" if subject in _TASKS else "api",
        level="warning" if subject in _GRAVE else "info",
        account_id=account_id,
        message=f"{method} {path[:_PATH_CHARS_MAX]}",
        details={"key_id": key_id, "address": address, "request_id": request_id},
    )
