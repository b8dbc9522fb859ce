"""Inputs that the coordinator can't read: whose key they are sealed to, and how that is known.

The client seals each input file with a content key of its own (`sealed_file`) and uploads what comes
out. Once a node has accepted, the client learns its sealing key *with the node's signature* (`seal_of`),
wraps the content key to it by HPKE (RFC 9180, base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305), bound
to lease, node and job, and the coordinator passes it on. The job's hash covers the hashes of the inputs,
so a wrapped key opens nothing else.
"""

from dataclasses import dataclass
from functools import cache

from . import primitives
from .canonical import canonical_bytes
from .envelope import Envelope, check_envelope
from .errors import BadSignature, SealBroken
from .fields import decode
from .messages import Accept, Award
from .sealed_file import KEY_BYTES

# What a node that has a sealing key says in `Offer.privacy`, and a sealed task asks for.
SEALED_INPUTS = "sealed_inputs"
_DOMAIN = b"neurogrid:sealed-key:v1\0"


@dataclass(frozen=True, slots=True)
class SealTarget:
    """Whom a content key is wrapped to.

    Attributes:
        sealing_key: of the node, as it has signed it; 64 hex digits.
    """

    lease_id: str
    node_id: str
    job_hash: str
    sealing_key: str


def seal_of(award: Envelope, accept: Envelope, job_hash: str) -> SealTarget:
    """Whom to wrap a key to, from what coordinator and node have signed.

    Args:
        job_hash: of the job as the client knows it, computed by the client itself.

    Raises:
        BadSignature: somebody else's signature, another job, or no key: nothing may be wrapped.
        MalformedMessage: not an award and its accept.
    """
    if award.network != accept.network or (award.type, accept.type) != ("award", "accept"):
        raise BadSignature("not an award and its accept, of one network")
    for envelope in (award, accept):
        check_envelope(envelope, envelope.network)
    terms, accepted = decode(Award, award.body), decode(Accept, accept.body)
    if (accept.sender, accept.recipient) != (award.recipient, award.sender):
        raise BadSignature("the award was accepted by another node than it was offered to")
    if accepted.lease_id != terms.lease_id or accepted.award_hash != terms.hash():
        raise BadSignature("what the node accepted is not this award")
    if terms.job_hash != job_hash:
        raise BadSignature("the award is for another job than the one that was submitted")
    if not accepted.sealing_key:
        raise BadSignature("the node named no key to seal to")
    return SealTarget(terms.lease_id, accept.sender, terms.job_hash, accepted.sealing_key)


def wrap_key(content_key: bytes, target: SealTarget) -> str:
    """The content key for this node, lease and job alone, in hex. Another text each time.

    Raises:
        SealBroken: the node's key is none: with a point of small order anybody could open it.
    """
    public_key = primitives.X25519PublicKey.from_public_bytes(bytes.fromhex(target.sealing_key))
    try:
        return _suite().encrypt(content_key, public_key, _info(target)).hex()
    except ValueError as error:
        raise SealBroken(f"{target.node_id} named a sealing key that is none") from error


def unwrap_key(
    wrapped_key: str, private_key: "primitives.X25519PrivateKey", target: SealTarget
) -> bytes:
    """The content key that was wrapped to us.

    Raises:
        SealBroken: it was wrapped to another key, or for another lease, node or job.
    """
    try:
        content_key = _suite().decrypt(bytes.fromhex(wrapped_key), private_key, _info(target))
    except (primitives.InvalidTag, ValueError) as error:
        raise SealBroken(
            "the key to the sealed inputs is for another lease, node or job"
        ) from error
    if len(content_key) != KEY_BYTES:
        raise SealBroken(f"a content key has {KEY_BYTES} bytes")
    return content_key


@cache
def _suite() -> "primitives.Suite":
    return primitives.Suite(
        primitives.KEM.X25519, primitives.KDF.HKDF_SHA256, primitives.AEAD.CHACHA20_POLY1305
    )


def _info(target: SealTarget) -> bytes:
    return _DOMAIN + canonical_bytes(
        {
            "lease_id": target.lease_id,
            "node_id": target.node_id,
            "job_hash": target.job_hash,
        }
    )
