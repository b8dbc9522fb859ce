"""What a wallet signs at a coordinator: a request, or the text that signs it in. docs/authentication.md explains.

Texts, so that any language makes them with what it has, and a wallet can show them to its owner.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from .errors import InvalidValue
from .identity import address_bytes

SIGNATURE_HEADER = "X-Wallet-Signature"
TIMESTAMP_HEADER = "X-Timestamp"
# So far a request's timestamp may be from the coordinator's clock.
SKEW_S = 120
# How long what is to be signed for signing in holds.
SIGN_IN_S = 300

_REQUEST_TAG = "neurogrid-request-v1"
_SHA256 = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
_NONCE = re.compile(r"[0-9a-f]{32}\Z", re.ASCII)
# Printable ASCII without spaces: what stands in a request line.
_WORD = re.compile(r"[\x21-\x7e]{1,8192}\Z", re.ASCII)
_SIGN_IN = re.compile(
    r"Sign in to NeuroGrid\n\n"
    r"Coordinator: (?P<coordinator>[\x21-\x7e]{1,300})\n"
    r"Network: (?P<network>[\x21-\x7e]{1,100})\n"
    r"Wallet: (?P<wallet>[1-9A-HJ-NP-Za-km-z]{32,44})\n"
    r"Issued at: (?P<issued_at>[0-9T:Z-]{20})\n"
    r"Nonce: (?P<nonce>[0-9a-f]{32})\Z",
    re.ASCII,
)


def request_text(
    *, network: str, method: str, target: str, timestamp_s: int, body_sha256: str
) -> str:
    """What the wallet signs of a request.

    Args:
        network: the market's tag, as `GET /api/v1/status` has it.
        method: as sent, in capitals.
        target: the path with ``?`` and the query where there is one, exactly as in the request line.
        timestamp_s: what `TIMESTAMP_HEADER` says: Unix seconds.
        body_sha256: of the body's bytes, in lower-case hex; of nothing where there is no body.

    Raises:
        InvalidValue: one of them can't be that.
    """
    for word in (network, method, target):
        if not _WORD.match(word):
            raise InvalidValue(f"{word[:80]!r} can't be part of a signed request")
    if not _SHA256.match(body_sha256) or timestamp_s < 0:
        raise InvalidValue("a signed request has a SHA-256 in hex and a timestamp")
    return "\n".join((_REQUEST_TAG, network, method, target, str(timestamp_s), body_sha256))


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who wants to sign in where.

    Attributes:
        coordinator: how clients reach it, so that no other can use what was signed for it.
        network: the market's tag.
        wallet: its address.
        issued_at_s: Unix time.
        nonce: 32 hex digits, drawn for this one.
    """

    coordinator: str
    network: str
    wallet: str
    issued_at_s: int
    nonce: str

    def __post_init__(self) -> None:
        address_bytes(self.wallet)
        if not _NONCE.match(self.nonce) or not _SIGN_IN.match(self.text()):
            raise InvalidValue("the sign-in has a field that it can't have")

    def text(self) -> str:
        """What the wallet signs."""
        issued_at = datetime.fromtimestamp(self.issued_at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            f"Sign in to NeuroGrid\n\nCoordinator: {self.coordinator}\nNetwork: {self.network}\n"
            f"Wallet: {self.wallet}\nIssued at: {issued_at}\nNonce: {self.nonce}"
        )


def read_sign_in(text: str) -> SignIn:
    """The sign-in that a text is.

    Raises:
        InvalidValue: it is none, to the byte.
    """
    found = _SIGN_IN.match(text)
    if found is None:
        raise InvalidValue("the text is not what a NeuroGrid sign-in looks like")
    try:
        moment = datetime.strptime(found["issued_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidValue("the sign-in names no moment") from error
    made = SignIn(
        found["coordinator"],
        found["network"],
        found["wallet"],
        int(moment.timestamp()),
        found["nonce"],
    )
    if made.text() != text:
        raise InvalidValue("the text is not what a NeuroGrid sign-in looks like")
    return made
