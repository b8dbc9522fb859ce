"""A receipt as a file: its one byte form, its hash chain, and the coordinator's signature over it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .canonical import Json, canonical_bytes, sha256_hex
from .errors import BadSignature, ReceiptInvalid
from .identity import check_signature, public_key_of

VERSION = 2
# The most that a receipt holds: 65 bids, a manifest of 1,000 files, 512 meters with their vouchers.
MAX_RECEIPT_BYTES = 4 * 1024 * 1024
_DOMAIN = f"neurogrid:receipt:v{VERSION}\0".encode()
_TOP = {"coordinator", "lease_id", "links", "network", "signature", "task_id", "version"}
_LINK = {"content", "hash", "kind", "previous"}
_NO_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class ReceiptFile:
    """A receipt whose bytes, hashes and outer signature hold; ``links`` are kinds and contents."""

    network: str
    coordinator: str
    task_id: str
    lease_id: str
    links: Sequence[tuple[str, Json]]


def write(file: ReceiptFile, sign: Callable[[bytes], bytes]) -> bytes:
    """The file's bytes; ``sign`` signs with the coordinator's identity key."""
    links: list[Json] = []
    previous = _NO_HASH
    for kind, content in file.links:
        body: dict[str, Json] = {"kind": kind, "content": content, "previous": previous}
        previous = sha256_hex(body)
        links.append({**body, "hash": previous})
    unsigned: dict[str, Json] = {
        "version": VERSION,
        "network": file.network,
        "coordinator": file.coordinator,
        "task_id": file.task_id,
        "lease_id": file.lease_id,
        "links": links,
    }
    signature = sign(_DOMAIN + canonical_bytes(unsigned)).hex()
    return byte_form({**unsigned, "signature": signature})


def read(data: bytes) -> ReceiptFile:
    """Read a file and check all that does not depend on what its links are.

    Raises:
        ReceiptInvalid: what does not hold, in words.
        InvalidValue: the coordinator is no peer id.
    """
    document = _parse(data)
    coordinator = _text(document, "coordinator")
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    signature = signature_bytes(_text(document, "signature"))
    try:
        check_signature(public_key_of(coordinator), _DOMAIN + canonical_bytes(unsigned), signature)
    except BadSignature as error:
        raise ReceiptInvalid("the coordinator's signature over the receipt fails") from error
    return ReceiptFile(
        network=_text(document, "network"),
        coordinator=coordinator,
        task_id=_text(document, "task_id"),
        lease_id=_text(document, "lease_id"),
        links=_links(document["links"]),
    )


def _links(value: Json) -> list[tuple[str, Json]]:
    if not isinstance(value, list):
        raise ReceiptInvalid("links is not a list")
    previous = _NO_HASH
    links: list[tuple[str, Json]] = []
    for number, item in enumerate(value):
        if not isinstance(item, dict) or set(item) != _LINK or not isinstance(item["kind"], str):
            raise ReceiptInvalid(f"link {number} has not exactly the fields {sorted(_LINK)}")
        body: dict[str, Json] = {name: item[name] for name in ("kind", "content", "previous")}
        if item["previous"] != previous or item["hash"] != sha256_hex(body):
            raise ReceiptInvalid(f"link {number} ({item['kind']}) breaks the hash chain")
        previous = item["hash"]
        links.append((item["kind"], item["content"]))
    return links


def _parse(data: bytes) -> dict[str, Json]:
    if len(data) > MAX_RECEIPT_BYTES:
        raise ReceiptInvalid(f"larger than {MAX_RECEIPT_BYTES} bytes")
    try:
        document = json.loads(data.decode())
        if not isinstance(document, dict) or set(document) != _TOP:
            raise ReceiptInvalid(f"a receipt has exactly the fields {sorted(_TOP)}")
        canonical = byte_form(document)
    except (ValueError, RecursionError) as error:
        raise ReceiptInvalid(f"not the JSON of a receipt: {error}") from error
    version = document["version"]
    if version != VERSION or isinstance(version, bool):
        raise ReceiptInvalid(
            f"a receipt of version {version}; this program knows {VERSION}: "
            "verify it with the release that wrote it"
        )
    if canonical != data:
        place = next(
            (i for i, (a, b) in enumerate(zip(canonical, data, strict=False)) if a != b),
            min(len(canonical), len(data)),
        )
        raise ReceiptInvalid(f"not in the one valid byte form, from byte {place} on")
    return document


def byte_form(document: dict[str, Json]) -> bytes:
    """Sorted keys, two spaces, one newline at the end."""
    canonical_bytes(document)  # refuses floats and whatever else has no canonical form
    return (json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def _text(document: dict[str, Json], name: str) -> str:
    value = document[name]
    if not isinstance(value, str):
        raise ReceiptInvalid(f"{name} is not a string")
    return value


def signature_bytes(text: str) -> bytes:
    """Lower-case hex only, so that a signature has one spelling."""
    try:
        raw = bytes.fromhex(text)
    except ValueError as error:
        raise ReceiptInvalid("a signature is not hex") from error
    if raw.hex() != text:
        raise ReceiptInvalid("a signature is not lower-case hex")
    return raw
