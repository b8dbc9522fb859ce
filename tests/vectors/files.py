"""Files that travel: sealed ones, and checkpoints."""

import hashlib
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.checkpoint_manifest import Manifest
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.sealed_file import CHUNK_BYTES, FileSealer

from .lease_story import LEASE_ID, MANIFEST, TAKEN
from .parties import WINNER

# HPKE draws a key for each wrapping, so this one was made once; the test of the vectors opens it.
_WRAPPED_KEY = (
    "8ea640624018a8dc9d1a38f6c05405f7b27cdacbbd696d8f1e342b21a82198128344e75d02ca8a61"
    "a65086ff46feb660998528d979097a7f0530f348becdd40b1dc89d4dcd801bd7ff4f84e25df911b7"
)


def sealed() -> Json:
    content_key = hashlib.sha256(b"content key").digest()
    private_key = hashlib.sha256(b"sealing key").digest()
    public_key = X25519PrivateKey.from_private_bytes(private_key).public_key()
    # Empty, short, and of two chunks.
    texts = (("", 1), ("grüße, 世界\n", 1), ("x", CHUNK_BYTES + 1))
    files: list[Json] = []
    for number, (text, times) in enumerate(texts):
        plain = text.encode() * times
        sealer = FileSealer(content_key, hashlib.sha256(f"salt {number}".encode()).digest())
        sealed = sealer.header
        for at in range(0, len(plain) or 1, CHUNK_BYTES):
            is_last = at + CHUNK_BYTES >= len(plain)
            sealed += sealer.seal(plain[at : at + CHUNK_BYTES], is_last=is_last)
        files.append({"plain_text": text, "times": times, "sealed_hex": sealed.hex()})
    return {
        "content_key_hex": content_key.hex(),
        "files": files,
        "key": {
            "private_key_hex": private_key.hex(),
            "sealing_key": public_key.public_bytes_raw().hex(),
            "lease_id": LEASE_ID,
            "node_id": WINNER.peer_id,
            # Of no job in particular: jobs get more fields, and the key stays.
            "job_hash": hashlib.sha256(b"job").hexdigest(),
            "wrapped_key": _WRAPPED_KEY,
        },
    }


def checkpoints() -> Json:
    """A checkpoint's manifest and its name; and what is none."""
    manifest, (first, second) = MANIFEST, MANIFEST.files
    refused = {
        "not sorted": Manifest((second, first)),
        "a path twice": Manifest((first, first)),
        "a file where a folder is": Manifest((replace(second, path="größen"), first)),
    }
    return {
        "files": plain(manifest)["files"],
        "manifest": manifest.encoded().decode(),
        "checkpoint": plain(TAKEN),
        "refused": [
            {"why": why, "manifest": each.encoded().decode()} for why, each in refused.items()
        ],
    }
