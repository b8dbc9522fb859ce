"""What the command's exit code says. Part of the interface: scripts depend on it."""

OK = 0
FAILED = 1
USAGE = 2
AUTHENTICATION = 3
NOT_FOUND = 4
FUNDS = 5
NO_NODE = 6
UNREACHABLE = 7
CONFLICT = 8
INTERRUPTED = 130
# Nobody reads its output any more, as behind `| head`: what a shell says of a program that SIGPIPE ended.
UNREAD = 141

EPILOG = """\b
Exit codes:
  0  done; a job that was waited for has completed
  1  the job or model failed or was cancelled, the receipt is not valid, a file is not what it should be, or a package
     is not installed, which the message names
  2  wrong usage, or a request that breaks a rule
  3  the API key is missing, unknown, expired, or may not do this
  4  no such task, node or file
  5  the account's balance does not cover it
  6  no node can serve it
  7  the coordinator or chain can't be reached, has failed, or allows no more requests now
  8  not possible in the present state, such as a receipt that is not settled yet
  130  interrupted with Ctrl-C; what it followed goes on, unless it says otherwise
  141  nobody reads what it prints any more, as after `| head`
`exec` and `shell` exit as their command did, once it ran.
"""

# By class name, so that asking costs no import. A subclass counts as its nearest listed ancestor.
_OF_CLASS = {
    "ConfigurationError": AUTHENTICATION,
    "AuthenticationError": AUTHENTICATION,
    "PermissionDeniedError": AUTHENTICATION,
    "NotFoundError": NOT_FOUND,
    "InsufficientFundsError": FUNDS,
    "ProviderUnavailableError": NO_NODE,
    "RateLimitError": UNREACHABLE,
    "TaskFailedError": FAILED,
    "ServerError": UNREACHABLE,
    "ConnectionFailed": UNREACHABLE,
    "CommandLost": UNREACHABLE,
    "WaitTimeout": CONFLICT,
    "ConflictError": CONFLICT,
    "InvalidRequestError": USAGE,
    "NeuroGridError": FAILED,
    "ReceiptInvalid": FAILED,
    "KeysMissing": FAILED,
    "OSError": FAILED,
}


def exit_code_of(error: Exception) -> int | None:
    """The exit code for an error; None for one that is our own bug."""
    for kind in type(error).__mro__:
        if kind.__name__ in _OF_CLASS:
            return _OF_CLASS[kind.__name__]
    return None
