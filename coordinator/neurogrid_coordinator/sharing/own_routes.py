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
# What replicas answer where some are kept: the leader has them, and their connections. Models and files are in the database.
_BY_REPLICAS = re.compile(r"/v1/(?!(models|files)(/|$)).*")


def is_own(kind: str, path: str, *, keeps_replicas: bool = False) -> bool:
    """Whether a request is answered here.

    Args:
        kind: of its ASGI scope.
        keeps_replicas: whether the coordinator that leads keeps any.
    """
    if kind != "http" or _INTO_A_JOB.fullmatch(path):
        return False
    if keeps_replicas and _BY_REPLICAS.fullmatch(path):
        return False
    return bool(_OWN.fullmatch(path))
