"""The errors under the name that document 003 has for their module; see `errors`."""

from .errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    ConnectionFailed,
    InsufficientFundsError,
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

__all__ = [
    "ApiError",
    "AuthenticationError",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailed",
    "InsufficientFundsError",
    "InvalidRequestError",
    "NeuroGridError",
    "NotFoundError",
    "NotSettledError",
    "PermissionDeniedError",
    "ProviderUnavailableError",
    "RateLimitError",
    "ServerError",
    "TaskNotFoundError",
    "WaitTimeout",
]
