"""What a webhook's receiver gets: the body, and the headers by which it knows who sent it. Pure."""

import hashlib
import hmac

import msgspec

from ..store.webhooks import Signature, WebhookRow

# Larger than any event of ours; where one is, its receiver is told so in place of its data.
BODY_BYTES_MAX = 64 * 1024


def body_of(
    *, delivery_id: str, webhook_id: str, kind: str, created_at: str, data: object, is_test: bool
) -> str:
    """The body, which is the same bytes at each attempt.

    Args:
        created_at: when it happened, ISO 8601.
        data: what happened; anything msgspec can encode.
    """
    message = {
        "id": delivery_id,
        "type": kind,
        "created_at": created_at,
        "webhook_id": webhook_id,
        "test": is_test,
        "data": data,
    }
    encoded = msgspec.json.encode(message)
    if len(encoded) > BODY_BYTES_MAX:
        encoded = msgspec.json.encode({**message, "data": {"truncated": True}})
    return encoded.decode()


def headers_of(
    webhook: WebhookRow, *, delivery_id: str, kind: str, attempt: int, body: str, sent_at_s: int
) -> dict[str, str]:
    """The headers of one attempt."""
    return {
        "Content-Type": "application/json",
        "X-Delivery-Id": delivery_id,
        "X-Event": kind,
        "X-Attempt": str(attempt),
        "X-Timestamp": str(sent_at_s),
        "X-Signature": signature(webhook.secret, webhook.signature, sent_at_s, body),
    }


def signature(secret: str, form: Signature, sent_at_s: int, body: str) -> str:
    """HMAC-SHA256 in hex, as document 000 compares it: over ``timestamp.body``, or over the body alone."""
    signed = body if form is Signature.PAYLOAD else f"{sent_at_s}.{body}"
    return hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
