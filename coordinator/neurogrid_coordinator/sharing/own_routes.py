"""Which requests a coordinator that does not lead answers itself: those that need nothing but the database. Pure.

The leader alone knows what nodes say of themselves, and has the connections to them. A route that is not named here
is passed on to it, so a new one is right from the beginning, and shared once somebody has looked at what it needs.
"""

import re

# Below /api/v1.
_API = (
    *("account", "api-keys", "artifacts", "audit", "auth", "batches", "billing", "constraints"),
    *("errors", "events", "oauth", "operations", "operator", "scheduled-tasks", "tasks"),
    *("wallet", "webhook-events", "webhooks", "workflows"),
)
_OWN = re.compile(
    rf"/api/v1/({'|'.join(_API)})(/.*)?|/oauth/.*|/\.well-known/.*|/docs|/openapi\.json|/tasks(/.*)?|/v1/.*"
)
# Into a job that runs: over its node's connection.
_INTO_A_JOB = re.compile(r"/api/v1/tasks/[^/]*/(exec|port)/?")


def is_own(kind: str, path: str) -> bool:
    """Whether a request is answered here.

    Args:
        kind: of its ASGI scope.
    """
    return kind == "http" and bool(_OWN.fullmatch(path)) and not _INTO_A_JOB.fullmatch(path)
