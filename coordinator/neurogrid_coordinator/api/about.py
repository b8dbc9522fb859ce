"""What OpenAPI says of the whole, and what pages of other origins may do."""

from typing import Any

from .dialects import bolt, openruntime, runner
from .openai.models import NAME as OPENAI

DESCRIPTION = """
A marketplace for GPU compute: submit a container job, nodes bid for it, the winner runs it and is paid
in USDC on Solana for the time it ran.

Send `Authorization: Bearer ng_...` with every request. Answers are
`{"success": true, "data": ..., "timestamp": ...}`, errors
`{"success": false, "error": {"code", "message", "type", "details"}}`. Money is USDC in decimal strings.
Times are UTC. Any POST or PATCH may carry an `Idempotency-Key`: sent again with it, a request is not carried out
again, and another one is refused with 409 `IDEMPOTENCY_MISMATCH`. `X-RateLimit-*` headers say how many requests are left in this minute.
"""
TAGS = [
    {"name": "Tasks", "description": "Submit, watch and end container jobs."},
    {"name": "Models", "description": "Ask a model by its name."},
    {"name": OPENAI, "description": "The same as OpenAI's clients do."},
    {"name": "Workflows", "description": "Tasks that depend on each other."},
    {"name": "Batches", "description": "Many tasks, a few of them at a time."},
    {"name": "Scheduled tasks", "description": "What runs again and again, by cron."},
    {"name": "Results", "description": "What a job prints, leaves and proves."},
    {"name": "Artifacts", "description": "Files by their SHA-256: a job's inputs."},
    {"name": "Nodes", "description": "Who offers what, and how a request would meet it."},
    {"name": "Providers", "description": "Whose machines they are, what they earn and stake."},
    {"name": "Events", "description": "What happens to your account, as it happens."},
    {"name": "Webhooks", "description": "Be told of what happens."},
    {"name": "Account", "description": "Who you are here."},
    {"name": "Sign-in", "description": "A token for who signs with the account's wallet."},
    {"name": "OAuth", "description": "What applications may do in your name."},
    {"name": "Wallet", "description": "Your money on the chain; your wallet signs what moves it."},
    {"name": "Billing", "description": "What your tasks cost."},
    {"name": "API keys", "description": "Who may act for your account, and until when."},
    {"name": "Operator", "description": "The whole coordinator, for who runs it."},
    {"name": "Analytics", "description": "What has happened, in numbers."},
    {"name": "Audit", "description": "Who changed what, and what failed."},
    {"name": "Status", "description": "How the coordinator is; public."},
    bolt.TAG,
    openruntime.TAG,
    runner.TAG,
]

_STAINLESS = (
    *("Arch", "Lang", "OS", "Package-Version", "Runtime", "Runtime-Version"),
    *("Custom-Poll-Interval", "Helper-Method", "Poll-Helper", "Retry-Count", "Timeout"),
)
# Keys travel in a header that a page's script has to set, so no browser sends them by itself, and no cookie is allowed to.
CORS: dict[str, Any] = {
    "allow_credentials": False,
    "allow_methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": [
        *("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID"),
        *("Range", "Traceparent", "X-Request-Id", "X-Timestamp", "X-Wallet-Signature"),
        # OpenAI's client says of itself what it is, also in a browser.
        *(f"X-Stainless-{what}" for what in _STAINLESS),
    ],
    "expose_headers": [
        *("Content-Disposition", "Content-Range", "ETag", "Idempotent-Replayed", "Location"),
        *("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
        *("X-RateLimit-Retry-After", "X-Request-Id"),
    ],
    # Browsers keep a preflight's answer no longer than two hours.
    "max_age": 7200,
}
