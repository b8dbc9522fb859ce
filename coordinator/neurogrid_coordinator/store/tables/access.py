"""Accounts, their limits and keys, the applications they let in, and what their wallets have signed."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text

from .base import metadata, where

# Accounts and keys from before there were roles could do all that these can.
_USUAL_ROLES = '["client","provider"]'

# Whoever submits tasks. One account per wallet: what the wallet has on the chain is its budget.
accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("wallet", Text, nullable=False, unique=True),
    Column("created_at_ms", BigInteger, nullable=False),
    # What its keys may act as at most (`accounts.ROLES`).
    Column("roles_json", Text, nullable=False, server_default=_USUAL_ROLES),
    # 1: whatever it changes has to be signed by its wallet, not only what moves money.
    Column("signs_writes", Integer, nullable=False, server_default="0"),
)

# What an account may ask and spend, where that is not the operator's default. None: no limit.
account_limits = Table(
    "account_limits",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("tier", Text, nullable=False),
    Column("monthly_budget_micro_usdc", BigInteger),
    Column("monthly_tasks", BigInteger),
    Column("task_budget_micro_usdc", BigInteger),
)

# The key itself is never stored. `hint` is its first characters, for people with several.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("key_sha256", Text, nullable=False, unique=True),
    Column("scopes_json", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger),
    Column("revoked_at_ms", BigInteger),
    Column("last_used_at_ms", BigInteger),
    Column("roles_json", Text, nullable=False, server_default=_USUAL_ROLES),
    # `accounts.KeyKind`: a key, or what somebody got who signed in.
    Column("kind", Text, nullable=False, server_default="key"),
    # Of an application's token: whose it is, and what was allowed, if not by itself. They may be gone.
    Column("client_id", Text),
    Column("grant_id", Text),
)
Index("api_keys_account", api_keys.c.account_id)
Index("api_keys_of_client", api_keys.c.client_id, **where(api_keys.c.client_id.is_not(None)))
Index("api_keys_of_grant", api_keys.c.grant_id, **where(api_keys.c.grant_id.is_not(None)))

# Applications that speak OAuth. `secret_sha256`: of who can keep one; the one before is good for a while.
oauth_clients = Table(
    "oauth_clients",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_sha256", Text),
    Column("old_secret_sha256", Text),
    Column("old_secret_until_ms", BigInteger),
    Column("redirect_uris_json", Text, nullable=False),
    Column("scopes_json", Text, nullable=False),
    Column("roles_json", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger),
)
Index("oauth_clients_of_account", oauth_clients.c.account_id, oauth_clients.c.id)

# What owners have allowed them, each with the code that was given for it, and its newest refresh token. The
# first part of those stays (`family_sha256`), so that one of before is known when it comes again.
oauth_grants = Table(
    "oauth_grants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("client_id", Text, ForeignKey("oauth_clients.id"), nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("scopes_json", Text, nullable=False),
    Column("roles_json", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("code_sha256", Text, nullable=False, unique=True),
    Column("code_challenge", Text, nullable=False),
    Column("code_until_ms", BigInteger, nullable=False),
    Column("code_used_at_ms", BigInteger),
    Column("family_sha256", Text, unique=True),
    Column("refresh_sha256", Text),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("revoked_at_ms", BigInteger),
)
Index("oauth_grants_of_account", oauth_grants.c.account_id, oauth_grants.c.id)
Index("oauth_grants_of_client", oauth_grants.c.client_id)

# What wallets have signed and was carried out, as long as it would still be taken.
used_signatures = Table(
    "used_signatures",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("text_sha256", Text, primary_key=True),
    Column("until_ms", BigInteger, nullable=False),
)
Index("used_signatures_by_end", used_signatures.c.until_ms)
