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
    from neurogrid_marketplace.errors import KeysMissing

    from .aio.client import AsyncClient
    from .aio.providing import AsyncProvider
    from .client import Client
    from .errors import (
        ApiError,
        AuthenticationError,
        CommandLost,
        ConfigurationError,
        ConflictError,
        ConnectionFailed,
        InsufficientFundsError,
        IntegrityError,
        InvalidRequestError,
        NeuroGridError,
        NotFoundError,
        NotSettledError,
        OperationFailed,
        PermissionDeniedError,
        PinError,
        ProviderUnavailableError,
        RateLimitError,
        RemoteError,
        ServerError,
        TaskFailedError,
        TaskNotFoundError,
        WaitTimeout,
    )
    from .functions import remote
    from .models import TaskOutput
    from .pinning import pin_image
    from .providing import Provider
    from .webhook_signature import verify_webhook

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncProvider",
    "AuthenticationError",
    "Client",
    "CommandLost",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailed",
    "InsufficientFundsError",
    "IntegrityError",
    "InvalidRequestError",
    "KeysMissing",
    "NeuroGridError",
    "NotFoundError",
    "NotSettledError",
    "OperationFailed",
    "PermissionDeniedError",
    "PinError",
    "Provider",
    "ProviderUnavailableError",
    "RateLimitError",
    "RemoteError",
    "ServerError",
    "TaskFailedError",
    "TaskNotFoundError",
    "TaskOutput",
    "WaitTimeout",
    "pin_image",
    "remote",
    "verify_webhook",
]

_ELSEWHERE = {
    "AsyncClient": ".aio.client",
    "AsyncProvider": ".aio.providing",
    "Client": ".client",
    "KeysMissing": "neurogrid_marketplace.errors",
    "Provider": ".providing",
    "TaskOutput": ".models",
    "pin_image": ".pinning",
    "remote": ".functions",
    "verify_webhook": ".webhook_signature",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_ELSEWHERE.get(name, ".errors"), __name__)
    return getattr(module, name)
