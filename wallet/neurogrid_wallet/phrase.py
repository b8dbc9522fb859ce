"""Recovery phrases: BIP-39 words, and the Solana key that every wallet derives from them.

The words encode the entropy; PBKDF2 makes a seed of them, and SLIP-10 a key of the seed, along a
path of hardened steps. Source: BIP-39, SLIP-0010, and Solana's m/44'/501'/account'/0'.
"""

import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from mnemonic import Mnemonic

from neurogrid_wallet.errors import PhraseInvalid
from neurogrid_wallet.keys import SEED_BYTES, KeyPair

WORDS_COUNTS = (12, 15, 18, 21, 24)
ENTROPY_BYTES = frozenset({16, 20, 24, 28, 32})

SOLANA_PATH = "m/44'/501'/0'/0'"
"""The first account of Phantom, Solflare, Ledger and of ``solana-keygen`` with a derivation path."""

SOLANA_KEYGEN = "solana-keygen"
"""What ``solana-keygen`` does without a derivation path: the seed's first half is the key."""

# "m", then hardened steps: ed25519 has no others. Ten are more than any wallet uses.
_PATH = re.compile(r"m(?:/[0-9]{1,10}'){1,10}", re.ASCII)
_HARDENED = 2**31
_ED25519_CURVE = b"ed25519 seed"


@dataclass(frozen=True, slots=True, repr=False)
class Phrase:
    """A recovery phrase and the path to its key. Its words never show in ``repr`` or in an error.

    Attributes:
        entropy: 16 to 32 bytes: whoever has them has the key.
        derivation: ``SOLANA_PATH``, ``SOLANA_KEYGEN`` or another path of hardened steps.

    Raises:
        PhraseInvalid: another number of bytes, or no such path.
    """

    entropy: bytes
    derivation: str = SOLANA_PATH

    def __post_init__(self) -> None:
        if len(self.entropy) not in ENTROPY_BYTES:
            raise PhraseInvalid(f"{len(self.entropy)} bytes make no phrase")
        _steps(self.derivation)

    @property
    def words(self) -> list[str]:
        """The words, in order."""
        return _english().to_mnemonic(self.entropy).split()

    def key(self, extra_passphrase: str = "") -> KeyPair:
        """The key pair.

        Args:
            extra_passphrase: BIP-39's passphrase, the "25th word"; another one, another key.
        """
        seed = Mnemonic.to_seed(" ".join(self.words), extra_passphrase)
        if self.derivation == SOLANA_KEYGEN:
            return KeyPair(seed[:SEED_BYTES])
        return KeyPair(derive_ed25519(seed, self.derivation))

    def __repr__(self) -> str:
        return f"Phrase({len(self.words)} words)"


def new_phrase(words_count: int = 24) -> Phrase:
    """A phrase from the operating system's randomness."""
    if words_count not in WORDS_COUNTS:
        raise PhraseInvalid(f"a phrase has {_counts()} words, not {words_count}")
    return Phrase(secrets.token_bytes(words_count * 4 // 3))


def parse_phrase(text: str, derivation: str = SOLANA_PATH) -> Phrase:
    """Read words separated by white space, in any case.

    Raises:
        PhraseInvalid: a word is not in the list, or they do not fit together; says which by its
            position, never the word itself.
    """
    words = text.lower().split()
    if len(words) not in WORDS_COUNTS:
        raise PhraseInvalid(f"a phrase has {_counts()} words, not {len(words)}")
    known = set(_english().wordlist)
    unknown = [str(number) for number, word in enumerate(words, 1) if word not in known]
    if unknown:
        raise PhraseInvalid(f"not in the list of English words: word {', '.join(unknown)}")
    try:
        entropy = bytes(_english().to_entropy(words))
    except ValueError:
        # Without the cause: its text may hold words.
        raise PhraseInvalid(
            "the words do not belong together: one is wrong, or they are in another order"
        ) from None
    return Phrase(entropy, derivation)


def derive_ed25519(seed: bytes, path: str) -> bytes:
    """SLIP-10's private key for ed25519: 32 bytes.

    Raises:
        PhraseInvalid: the path has a step that is not hardened, or is none.
    """
    node = hmac.digest(_ED25519_CURVE, seed, "sha512")
    for step in _steps(path):
        data = b"\0" + node[:32] + (_HARDENED + step).to_bytes(4, "big")
        node = hmac.digest(node[32:], data, "sha512")
    return node[:32]


def words_to_ask(words_count: int, asked_count: int) -> list[int]:
    """Positions, from 1 and rising, of the words that prove a phrase was written down."""
    chosen = secrets.SystemRandom().sample(range(1, words_count + 1), asked_count)
    return sorted(chosen)


def _steps(path: str) -> Sequence[int]:
    if path == SOLANA_KEYGEN:
        return ()
    if not _PATH.fullmatch(path):
        raise PhraseInvalid(f"{path!r} is no path of hardened steps such as {SOLANA_PATH}")
    steps = [int(step.rstrip("'")) for step in path.split("/")[1:]]
    if any(step >= _HARDENED for step in steps):
        raise PhraseInvalid(f"a step of {path!r} is above {_HARDENED - 1}")
    return steps


def _counts() -> str:
    return f"{', '.join(map(str, WORDS_COUNTS[:-1]))} or {WORDS_COUNTS[-1]}"


@cache
def _english() -> Mnemonic:
    return Mnemonic("english")
