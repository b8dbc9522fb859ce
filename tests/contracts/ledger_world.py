"""A ledger in this process, for tests: accounts with SOL, signed transfers, RPC calls."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from neurogrid_contracts.ledger import rpc
from neurogrid_contracts.ledger.backend import Backend
from neurogrid_contracts.ledger.config import LedgerConfig
from neurogrid_contracts.ledger.control import ControlKey
from neurogrid_contracts.ledger.errors import RpcError
from neurogrid_contracts.ledger.events import Event
from neurogrid_contracts.ledger.faucet import Faucet
from neurogrid_contracts.ledger.faults import FaultPlan, Faults
from neurogrid_contracts.ledger.ledger import Commitment, Ledger

SOL = 10**9
CONTROL_KEY = "of-the-tests-and-of-nobody-else-at-all"
NOW_S = 1_800_000_000


@dataclass
class World:
    """One ledger on ``data``. ``restart`` opens it again, as after kill -9: nothing is flushed."""

    data: Path
    finality_slots: int = 2
    confirmation_slots: int = 0
    now_s: float = NOW_S
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.data.mkdir(exist_ok=True)
        self._open()

    def _open(self) -> None:
        self.ledger = Ledger(
            LedgerConfig(
                data=self.data,
                confirmation_slots=self.confirmation_slots,
                finality_slots=self.finality_slots,
                fsync=False,  # the machine does not lose power in a test
                history_max=1000,
            ),
            publish=self.events.append,
            wall_clock_s=lambda: self.now_s,
        )
        self.faucet = Faucet(self.ledger)
        self.faults = Faults(FaultPlan())
        self.backend = Backend(
            self.ledger, self.faucet, {"pid": 1}, ControlKey(CONTROL_KEY), self.faults
        )

    def restart(self) -> None:
        self.ledger.close()
        self._open()

    def call(self, method: str, *params: Any) -> Any:
        """The result of an RPC call that must succeed."""
        answer = rpc.respond(self.backend, request(method, *params))
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def refused(self, method: str, *params: Any) -> dict[str, Any]:
        """The error of an RPC call that must fail."""
        answer = rpc.respond(self.backend, request(method, *params))
        assert "result" not in answer, answer["result"]
        error = answer["error"]
        assert isinstance(error, dict)
        return error

    def rich(self, lamports: int = 100 * SOL) -> Keypair:
        """A new account that holds ``lamports``."""
        keypair = Keypair()
        self.faucet.send_sol(keypair.pubkey(), lamports)
        return keypair

    def blockhash(self) -> Hash:
        return self.ledger.blockhash_at(Commitment.CONFIRMED)[0]

    def sign(
        self,
        instructions: Sequence[Instruction],
        *signers: Keypair,
        blockhash: Hash | None = None,
    ) -> bytes:
        """A signed transaction, paid by the first signer."""
        message = MessageV0.try_compile(
            signers[0].pubkey(), instructions, [], blockhash or self.blockhash()
        )
        return bytes(VersionedTransaction(message, signers))

    def payment(
        self, source: Keypair, to: Pubkey, lamports: int, *, blockhash: Hash | None = None
    ) -> bytes:
        return self.sign(
            [
                transfer(
                    TransferParams(from_pubkey=source.pubkey(), to_pubkey=to, lamports=lamports)
                )
            ],
            source,
            blockhash=blockhash,
        )

    def send(self, raw: bytes, *, skip_preflight: bool = False) -> None:
        self.ledger.send(
            raw, skip_preflight=skip_preflight, preflight_commitment=Commitment.CONFIRMED
        )

    def control(self, method: str, **settings: Any) -> Any:
        """The result of a method that needs the control key."""
        return self.call(method, {"key": CONTROL_KEY, **settings})

    def lamports(self, address: Pubkey, commitment: Commitment = Commitment.PROCESSED) -> int:
        account = self.ledger.account(address, commitment)
        return 0 if account is None else account.lamports

    def slots(self, count: int) -> None:
        for _ in range(count):
            self.ledger.tick()


def request(method: str, *params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}


def base64_text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def error_code(call: Callable[[], object]) -> Any:
    """The transaction error in the data of the refusal that ``call`` raises."""
    try:
        call()
    except RpcError as error:
        return (error.data or {}).get("err")
    raise AssertionError("not refused")
