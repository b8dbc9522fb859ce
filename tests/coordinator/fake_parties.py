"""Who takes part in the small market of the tests, and the clock they share."""

import hashlib

from solders.pubkey import Pubkey

from coordinator.records import NOW_MS
from neurogrid_contracts.deployment import Deployment
from neurogrid_marketplace.resources import Capacity
from neurogrid_wallet.keys import KeyPair

NETWORK = "ng-0123456789abcdef"
DOMAIN = 7
CAPACITY = Capacity(cpu_millis=64_000, memory_bytes=8 * 1024**3, disk_bytes=64 * 1024**3)
COORDINATOR = KeyPair(hashlib.sha256(b"coordinator").digest())
SESSION = KeyPair(hashlib.sha256(b"session").digest())
DEPLOYMENT = Deployment(
    *(Pubkey(hashlib.sha256(name).digest()) for name in (b"program", b"mint", b"admin"))
)


class Clock:
    """Unix milliseconds that a test moves."""

    def __init__(self) -> None:
        self.now = NOW_MS

    def __call__(self) -> int:
        return self.now
