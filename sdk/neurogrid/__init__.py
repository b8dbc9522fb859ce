"""The NeuroGrid client SDK and the `neurogrid` command.

    import neurogrid

    client = neurogrid.Client()          # NEUROGRID_API_URL and NEUROGRID_API_KEY
    task = client.tasks.create(
        name="hello", type="cpu", docker_image="neurogrid/job:1",
        command=["echo", "hello"], max_price_per_hour="1.00", timeout_seconds=60,
    )
    task = client.tasks.wait(task.id)
    print(client.tasks.get_logs(task.id))

The names below are imported when they are first used, so that ``import neurogrid`` and
``neurogrid --help`` do not wait for an HTTP stack.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client
    from .errors import (
        ApiError,
        AuthenticationError,
        ConfigurationError,
        ConflictError,
        ConnectionFailed,
        InsufficientFundsError,
        IntegrityError,
        InvalidRequestError,
        NeuroGridError,
        NotFoundError,
        NotSettledError,
        PermissionDeniedError,
        ProviderUnavailableError,
        RateLimitError,
        ServerError,
        TaskNotFoundError,
        WaitTimeout,
    )
    from .models import TaskOutput

__all__ = [
    "ApiError",
    "AuthenticationError",
    "Client",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailed",
    "InsufficientFundsError",
    "IntegrityError",
    "InvalidRequestError",
    "NeuroGridError",
    "NotFoundError",
    "NotSettledError",
    "PermissionDeniedError",
    "ProviderUnavailableError",
    "RateLimitError",
    "ServerError",
    "TaskNotFoundError",
    "TaskOutput",
    "WaitTimeout",
]

_ELSEWHERE = {"Client": ".client", "TaskOutput": ".models"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_ELSEWHERE.get(name, ".errors"), __name__)
    return getattr(module, name)
