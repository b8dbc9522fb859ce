"""What a ledger is started with."""

from dataclasses import dataclass, field
from pathlib import Path

from solders.pubkey import Pubkey

from neurogrid_contracts.ledger.faults import FaultPlan

# Agave's MAX_PROCESSING_AGE: how many slots a blockhash stays usable.
BLOCKHASH_AGE_MAX_SLOTS = 150


@dataclass(frozen=True, slots=True)
class LedgerConfig:
    """Everything the command line decides.

    Args:
        data: directory of the ledger's files; created when missing.
        host: address to bind. Anyone who reaches it can mint test money.
        port: JSON-RPC and PubSub; ``port + 1`` serves the same. 0 picks a free pair.
        slot_ms: length of a slot, milliseconds. Mainnet's target is 400.
        confirmation_slots: how many slots until a transaction is ``confirmed``. Mainnet needs 1 or
            2; 0 makes it so at once.
        finality_slots: how many slots until a transaction is ``finalized``. Mainnet needs 32.
        programs: programs to install, or replace, at this start.
        load_program: install the NeuroGrid program when the ledger is created.
        upgrade_program: replace the installed NeuroGrid program by the packaged one.
        control_key_file: holds the key of the methods that bend the rules (``neurogrid_warp``,
            ``neurogrid_fork``, ``neurogrid_faults``). None: ``control.key`` in ``data``, made
            when there is none.
        faults: what goes wrong with requests from the start.
        fsync: make every commit survive a power cut, not only the death of the process.
        history_max: how many transactions to keep; older ones are forgotten.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8899
    slot_ms: int = 400
    confirmation_slots: int = 0
    finality_slots: int = 2
    programs: tuple[tuple[Pubkey, Path], ...] = ()
    load_program: bool = True
    upgrade_program: bool = False
    control_key_file: Path | None = None
    faults: FaultPlan = field(default_factory=FaultPlan)
    fsync: bool = True
    history_max: int = 1_000_000

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65535:
            raise ValueError("port: 0 to 65534, for the next one is used too")
        if not 1 <= self.slot_ms <= 60_000:
            raise ValueError("slot_ms: 1 to 60000")
        # Half a blockhash's life: a finalized blockhash must leave time to be used.
        if not 0 <= self.finality_slots <= BLOCKHASH_AGE_MAX_SLOTS // 2:
            raise ValueError(f"finality_slots: 0 to {BLOCKHASH_AGE_MAX_SLOTS // 2}")
        if not 0 <= self.confirmation_slots <= self.finality_slots:
            raise ValueError("confirmation_slots: 0 to finality_slots")
        if self.history_max < 1000:
            raise ValueError("history_max: at least 1000")

    @property
    def is_loopback(self) -> bool:
        return self.host in ("127.0.0.1", "::1", "localhost")
