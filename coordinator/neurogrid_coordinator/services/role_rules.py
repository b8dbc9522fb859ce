"""What each role may do, in one place. Pure.

client      tasks, workflows, files and their money; ways into jobs
provider    what its own nodes offer, earn and stake
operator    the whole coordinator: what belongs to no account, or to all

What is everybody's, as the market's nodes and prices are, and what is one's own, as account and keys,
is open to each role. A key acts as those of its roles that its account still has.
"""

from collections.abc import Sequence
from functools import lru_cache

from ..store.accounts import CLIENT_ROLE, OPERATOR_ROLE, PROVIDER_ROLE, ROLES, Account, ApiKey
from .errors import Forbidden

# What a route asks for: one of these.
CLIENTS = frozenset({CLIENT_ROLE})
PROVIDERS = frozenset({PROVIDER_ROLE})
OPERATORS = frozenset({OPERATOR_ROLE})
ANY_ROLE = frozenset(ROLES)

# Few sets of roles are in use.
_COMMON_KEPT = 256


def roles_of(account: Account, key: ApiKey) -> frozenset[str]:
    """What this key acts as now: no more than its account does."""
    return _common(key.roles, account.roles)


@lru_cache(_COMMON_KEPT)
def _common(of_key: tuple[str, ...], of_account: tuple[str, ...]) -> frozenset[str]:
    return frozenset(of_key) & frozenset(of_account)


def require_role(account: Account, key: ApiKey, wanted: frozenset[str]) -> None:
    """Refuse a key that acts as none of these.

    Raises:
        Forbidden: it does not; ``details`` name the roles that may.
    """
    if roles_of(account, key) & wanted:
        return
    words = [role for role in ROLES if role in wanted]
    lacking = "account" if not frozenset(account.roles) & wanted else "key"
    raise Forbidden(
        f"this is for the role {' or '.join(words)}, which your {lacking} does not have"
        + (". Ask the operator" if lacking == "account" else ". Use another key of the account"),
        {"roles": list(words)},
    )


def require_roles_within(asking: ApiKey, roles: Sequence[str]) -> None:
    """Refuse a key that acts as more than the one that asks for it.

    Raises:
        Forbidden: it does; ``details`` say as what.
    """
    beyond = [role for role in roles if role not in asking.roles]
    if beyond:
        raise Forbidden(
            f"a key can't make one that acts as more than itself: yours is no {' and no '.join(beyond)}. "
            "Leave that out, or use a key that is",
            {"roles": list(beyond)},
        )


def usual_roles(asking: ApiKey) -> tuple[str, ...]:
    """What a new key acts as where nothing is said: as the one that asks, but never as operator."""
    return tuple(role for role in asking.roles if role != OPERATOR_ROLE) or asking.roles
