"""The evidence of a challenge: one signed file that anybody can check without the coordinator.

It holds what both sides signed about the run (award, accept, events), the challenge, the node's answer,
the coordinator's times and its mark. `verify_evidence` works the same mark out again, and says item by
item what is proven and what is only claimed: times are the coordinator's word.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from msgspec import Meta

from .canonical import Json, canonical_bytes
from .challenge import Challenge
from .challenge_answer import Judged, Mark, answer_bytes_max, answer_file_of, judge_answer
from .envelope import Envelope
from .errors import BadSignature, EvidenceInvalid, InvalidValue, MalformedMessage, ReceiptInvalid
from .fields import Id, ImageRef, Millis, PeerId, Sha256, Text, decode, plain
from .identity import check_signature, public_key_of
from .messages import Accept, Award, Event, Result
from .receipt_checks import check_agreement, check_identities, check_run, result_of
from .receipt_file import byte_form, signature_bytes
from .receipt_items import COORDINATOR, NODE, Item, claimed, proven
from .receipt_kinds import KINDS, Parts, contents_of, read_links

VERSION: Final = 1
# Half a million ends of walks, with what both sides signed.
MAX_EVIDENCE_BYTES: Final = 8 * 1024 * 1024
_DOMAIN: Final = f"neurogrid:challenge evidence:v{VERSION}\0".encode()
_KINDS: Final = tuple(kind for kind in KINDS if kind.message in (Award, Accept, Event))

Lot = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


@dataclass(frozen=True, slots=True)
class Statement:
    """What the coordinator says of a challenge.

    Attributes:
        image: that the job was run with.
        sent_at_ms: when the node could first know the job, by the coordinator's clock.
        answered_at_ms: when its result was here.
        lot: see `judge_answer`.
        answer: the file that the node left, a character for each byte; None where there is none.
    """

    network: Text
    coordinator: PeerId
    task_id: Id
    lease_id: Id
    challenge: Challenge
    image: ImageRef
    sent_at_ms: Millis
    answered_at_ms: Millis
    lot: Lot
    mark: Mark
    reason: Text
    answer: str | None = None

    @property
    def elapsed_ms(self) -> int:
        """How long the node took, everything included."""
        return self.answered_at_ms - self.sent_at_ms

    @property
    def answer_bytes(self) -> bytes | None:
        """The file that the node left."""
        try:
            return None if self.answer is None else self.answer.encode("latin-1")
        except UnicodeEncodeError as error:
            raise EvidenceInvalid("the answer has characters that are no bytes") from error

    def judge(self, result: Result, lot: str | None = None) -> Judged:
        """The mark that follows from what is here."""
        return judge_answer(
            self.challenge,
            result,
            self.answer_bytes,
            elapsed_ms=self.elapsed_ms,
            lot=lot or self.lot,
        )


@dataclass(frozen=True, slots=True)
class CheckedEvidence:
    """Evidence that holds.

    Attributes:
        items: each thing it says, with what that is worth.
        digest: SHA-256 of the file.
    """

    statement: Statement
    result: Result
    items: tuple[Item, ...]
    digest: Sha256


def build_evidence(
    sign: Callable[[bytes], bytes], statement: Statement, envelopes: Sequence[Envelope]
) -> bytes:
    """The file; ``sign`` signs with the coordinator's identity key.

    Args:
        envelopes: award, accept and events of the lease, as they travelled; others are left out.
    """
    links = contents_of(
        {kind.name: [item for item in envelopes if item.type == kind.name] for kind in _KINDS},
        _KINDS,
    )
    unsigned: dict[str, Json] = {
        "version": VERSION,
        "statement": plain(statement),
        "links": [{"kind": kind, "content": content} for kind, content in links],
    }
    signature = sign(_DOMAIN + canonical_bytes(unsigned)).hex()
    return byte_form({**unsigned, "signature": signature})


def verify_evidence(data: bytes, lot: str | None = None) -> CheckedEvidence:
    """Check a file of evidence.

    Args:
        lot: another draw of the walks that are worked out again; None: the coordinator's.

    Raises:
        EvidenceInvalid: the first thing that does not hold, in words.
    """
    try:
        statement, parts = _read(data)
        items = (
            *check_identities(parts),
            *check_agreement(parts),
            *check_run(parts),
            *_check_job(statement, parts),
            *_check_answer(statement, result_of(parts)),
            *_check_mark(statement, result_of(parts), lot),
        )
    except (MalformedMessage, BadSignature, InvalidValue, ReceiptInvalid) as error:
        raise EvidenceInvalid(str(error)) from error
    whole = proven(
        "evidence",
        COORDINATOR,
        f"unchanged since the coordinator signed it for {statement.network}",
    )
    digest = hashlib.sha256(data).hexdigest()
    return CheckedEvidence(statement, result_of(parts), (whole, *items), digest)


def _read(data: bytes) -> tuple[Statement, Parts]:
    document = _parse(data)
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    statement = decode(Statement, document["statement"])
    # Fields that nobody reads could say anything.
    if plain(statement) != document["statement"]:
        raise EvidenceInvalid("the statement has not exactly its fields")
    signature = document["signature"]
    if not isinstance(signature, str):
        raise EvidenceInvalid("the signature is not a string")
    try:
        check_signature(
            public_key_of(statement.coordinator),
            _DOMAIN + canonical_bytes(unsigned),
            signature_bytes(signature),
        )
    except BadSignature as error:
        raise EvidenceInvalid("the coordinator's signature over the evidence fails") from error
    parts = read_links(
        _links(document["links"]),
        network=statement.network,
        coordinator=statement.coordinator,
        task_id=statement.task_id,
        lease_id=statement.lease_id,
        kinds=_KINDS,
    )
    return statement, parts


def _parse(data: bytes) -> dict[str, Json]:
    if len(data) > MAX_EVIDENCE_BYTES:
        raise EvidenceInvalid(f"larger than {MAX_EVIDENCE_BYTES} bytes")
    fields = ["links", "signature", "statement", "version"]
    try:
        document = json.loads(data.decode())
        if not isinstance(document, dict) or sorted(document) != fields:
            raise EvidenceInvalid(f"evidence has exactly the fields {fields}")
        canonical = byte_form(document)
    except (ValueError, RecursionError) as error:
        raise EvidenceInvalid(f"not the JSON of evidence: {error}"[:200]) from error
    if document["version"] != VERSION or isinstance(document["version"], bool):
        raise EvidenceInvalid(
            f"evidence of version {document['version']}; this program knows {VERSION}"
        )
    if canonical != data:
        raise EvidenceInvalid("not in the one valid byte form")
    return document


def _links(value: Json) -> list[tuple[str, Json]]:
    if not isinstance(value, list):
        raise EvidenceInvalid("links is not a list")
    links: list[tuple[str, Json]] = []
    for item in value:
        if not isinstance(item, dict) or set(item) != {"kind", "content"}:
            raise EvidenceInvalid("a link has a kind and a content, and nothing else")
        if not isinstance(item["kind"], str):
            raise EvidenceInvalid("a link's kind is not a string")
        links.append((item["kind"], item["content"]))
    return links


def _check_job(statement: Statement, parts: Parts) -> tuple[Item, ...]:
    """The job that both sides agreed on is this challenge's."""
    challenge = statement.challenge
    if challenge.node_id != parts.node_id:
        raise EvidenceInvalid("the challenge is for another node than the one that accepted")
    if parts.agreed.job_hash != challenge.job(statement.image).hash():
        raise EvidenceInvalid("the job that was awarded is not this challenge's")
    fill = sum(device.fill_bytes for device in challenge.devices)
    return (
        proven(
            "challenge",
            "coordinator, node",
            f"{len(challenge.devices)} devices had to fill {fill} bytes and make "
            f"{sum(map(challenge.multiplications, range(len(challenge.devices))))} multiplications",
        ),
    )


def _check_answer(statement: Statement, result: Result) -> tuple[Item, ...]:
    """The answer is the file that the node's signed result names."""
    named = answer_file_of(result)
    data = statement.answer_bytes
    if data is None:
        if named is not None and named[1] <= answer_bytes_max(statement.challenge):
            raise EvidenceInvalid("the node named an answer, which is not here")
        return ()
    if named != (hashlib.sha256(data).hexdigest(), len(data)):
        raise EvidenceInvalid("the answer is not the file that the node named")
    return (
        proven("answer", NODE, f"{len(data)} bytes, whose SHA-256 is in the node's signed result"),
    )


def _check_mark(statement: Statement, result: Result, lot: str | None) -> tuple[Item, ...]:
    """The coordinator's mark is the one that follows."""
    judged = statement.judge(result)
    if (judged.mark, judged.reason) != (statement.mark, statement.reason):
        raise EvidenceInvalid(
            f"the coordinator says {statement.mark.value} ({statement.reason}); what is here makes "
            f"it {judged.mark.value} ({judged.reason})"
        )
    if lot is not None:
        own = statement.judge(result, lot)
        if own.mark is not judged.mark:
            raise EvidenceInvalid(f"by your own draw it is {own.mark.value}: {own.reason}")
        judged = replace(own, walks_checked=judged.walks_checked + own.walks_checked)
    return (
        claimed(
            "times",
            COORDINATOR,
            f"that the node took {statement.elapsed_ms} ms from when it was sent the job",
        ),
        proven(
            "mark",
            COORDINATOR,
            f"{judged.mark.value}: {judged.reason}; {judged.walks_checked} walks worked out again",
        ),
    )
