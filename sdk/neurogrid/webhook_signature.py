"""For receivers of webhooks: whether a delivery is the coordinator's. Needs no network and no key."""

import hashlib
import hmac
import time
from collections.abc import Mapping

# Clocks differ, and a delivery takes its time.
TOLERANCE_S = 300


def verify_webhook(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance_s: float | None = TOLERANCE_S,
    payload_only: bool = False,
) -> bool:
    """Whether a delivery was signed with this secret, and not long ago.

        Remember ``X-Delivery-Id`` too: what is delivered may come again.

    >>> import hashlib, hmac
    >>> signature = hmac.new(b"secret", b"1700000000.{}", hashlib.sha256).hexdigest()
    >>> headers = {"X-Timestamp": "1700000000", "X-Signature": signature}
    >>> verify_webhook(b"{}", headers, "secret", tolerance_s=None)
    True
    >>> verify_webhook(b"{} ", headers, "secret", tolerance_s=None)
    False

        Args:
            body: as it came, before anything parsed it.
            headers: of the request, whatever the case of their names.
            secret: of the webhook.
            tolerance_s: how far ``X-Timestamp`` may be from this machine's clock; None for any time.
            payload_only: of a webhook made with ``signature="payload"``: its time is not signed, and is not
                looked at.
    """
    found = {name.lower(): value for name, value in headers.items()}
    signature, stamp = found.get("x-signature", ""), found.get("x-timestamp", "")
    data = body.encode() if isinstance(body, str) else body
    if not payload_only:
        if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12):
            return False
        if tolerance_s is not None and abs(time.time() - int(stamp)) > tolerance_s:
            return False
        data = stamp.encode() + b"." + data
    expected = hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())
