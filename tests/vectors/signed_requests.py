"""What wallets sign at a coordinator: requests, and signing in."""

import base64
import hashlib

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.request_signing import SignIn, request_text

from .lease_story import NETWORK
from .parties import party

_WALLET = party("a client's wallet")
_AT_S = 1_764_460_800
_REQUESTS = (
    ("POST", "/api/v1/wallet/deposits", b'{"amount":"100.00","currency":"USDC"}'),
    ("DELETE", "/api/v1/tasks/task_01a228e59e267a8f8812f7c19fc71b60", b""),
    ("PATCH", "/api/v1/account?dry%20run=1&a=%C3%BC", '{"signs_writes": true, "n": "ü"}'.encode()),
)


def signed_requests() -> Json:
    requests: list[Json] = []
    for number, (method, target, body) in enumerate(_REQUESTS):
        digest = hashlib.sha256(body).hexdigest()
        text = request_text(
            network=NETWORK,
            method=method,
            target=target,
            timestamp_s=_AT_S + number,
            body_sha256=digest,
        )
        requests.append(
            {
                "method": method,
                "target": target,
                "body": body.decode(),
                "timestamp": _AT_S + number,
                "signed_text": text,
                "signature": _signature(text),
            }
        )
    sign_in = SignIn(
        "https://grid.example",
        NETWORK,
        _WALLET.address,
        _AT_S,
        hashlib.sha256(b"n").hexdigest()[:32],
    ).text()
    return {
        "wallet": {
            "name": _WALLET.name,
            "seed_hex": _WALLET.seed.hex(),
            "address": _WALLET.address,
        },
        "network": NETWORK,
        "requests": requests,
        "sign_in": {"message": sign_in, "signature": _signature(sign_in)},
    }


def _signature(text: str) -> str:
    return base64.b64encode(_WALLET.sign(text.encode())).decode()
