"""The provider's wallet: what was asked for is read, signed here, handed in, and followed to its end."""

import base64
import logging
import threading
import time
import uuid
from pathlib import Path

from neurogrid_marketplace.messages import VoucherMessage
from neurogrid_marketplace.money import parse_usdc

from ..errors import ConfigurationError, ConflictError, NeuroGridError, WaitTimeout
from ..models.earnings import Transfer
from ..signed_transactions import NotSigned
from ..signing import sign_message
from ..transport import Transport
from .reviewing import Program, program_in, review

_ENDS = frozenset({"completed", "failed", "expired"})
# What the chain has confirmed is paid, but for a fork; what is final comes some seconds later.
_PAID = frozenset({"confirmed", "completed"})
_LOOK_S = 0.3
_PATIENCE_S = 120.0
_RETRY_FIRST_S = 1.0
_RETRY_MAX_S = 60.0
# No escrow pays for longer than the market's grace window after its job; a coordinator that is away is waited for.
_REDEEM_PATIENCE_S = 24 * 3600.0

_log = logging.getLogger(__name__)


class OwnWallet:
    """A wallet whose key is on this machine.

    Args:
        key_file: Solana's format.
        address: the wallet's.
        pinned: where the market's program is remembered, once it is known.
        program: the market's program and its config account; None: as it is remembered, or as the first transaction
            names it.

    Raises:
        ConfigurationError: what is remembered can't be read.
    """

    def __init__(
        self,
        transport: Transport,
        key_file: Path,
        address: str,
        pinned: Path,
        program: Program | None,
    ) -> None:
        self.address = address
        self._transport = transport
        self._key_file = key_file
        self._pinned = pinned
        self._program = program or _remembered(pinned)
        self._lock = threading.Lock()

    @property
    def program(self) -> Program | None:
        """The market's program, where it is known."""
        return self._program

    def ask(self, path: str, body: dict[str, str] | None, idempotency_key: str | None) -> Transfer:
        """Ask for a transaction; nothing moves yet.

        Raises:
            ApiError, ConnectionFailed: see `Transport.call`.
        """
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return self._transport.call(Transfer, "POST", path, json=body, headers=headers)

    def carry_out(
        self,
        transfer: Transfer,
        *,
        amount: str | None = None,
        recipient: str = "",
        redeems_micro: int | None = None,
    ) -> Transfer:
        """Sign what was asked for, if it is that, hand it in and wait until the chain has carried it out or never will.

        Args:
            amount: that was asked for; None where the chain decides.
            recipient: of a payout.
            redeems_micro: as in `reviewing.review`.

        Raises:
            ConfigurationError: it is another wallet's, or does anything else than was asked for; it was not signed.
            WaitTimeout: the chain has not said yet.
            ApiError, ConnectionFailed: see `Transport.call`.
        """
        if transfer.message is not None:
            message = base64.b64decode(transfer.message, validate=True)
            self._review(transfer, message, amount, recipient, redeems_micro)
            signature = sign_message(self._key_file, transfer.wallet, message)
            signed = base64.b64encode(b"\x01" + signature + message).decode("ascii")
            path = f"/wallet/transfers/{transfer.id}/submit"
            body = {"signed_transaction": signed}
            transfer = self._transport.call(Transfer, "POST", path, json=body)
        deadline_s = time.monotonic() + _PATIENCE_S
        while transfer.status not in _ENDS | _PAID:
            if time.monotonic() > deadline_s:
                raise WaitTimeout(f"transfer {transfer.id} is {transfer.status} still")
            time.sleep(_LOOK_S)
            transfer = self._transport.call(Transfer, "GET", f"/wallet/transfers/{transfer.id}")
        return transfer

    def redeem(
        self, lease_id: str, voucher: VoucherMessage | None, stopping: threading.Event
    ) -> str | None:
        """Redeem a lease's last voucher, or (None) give its escrow up: again until the escrow is closed.

        Returns: the transaction; "" where another one has closed it, or a day was not enough; None: it was stopped.
        """
        pause_s = _RETRY_FIRST_S
        given_up_s = time.monotonic() + _REDEEM_PATIENCE_S
        while not stopping.is_set():
            if time.monotonic() > given_up_s:
                _log.error(
                    "task %s could not be redeemed in a day: its escrow ends by itself", lease_id
                )
                return ""
            try:
                path = f"/provider/earnings/{lease_id}/claim"
                worth = voucher.cumulative_micro_usdc if voucher is not None else 0
                done = self.carry_out(self.ask(path, None, None), redeems_micro=worth)
                if done.status in _PAID and done.signature:
                    return done.signature
            except ConflictError as error:
                if error.details.get("settled"):
                    return ""
            except ConfigurationError:
                if voucher is None:
                    # Something is signed that is not to be redeemed: unclaimed, it goes back to the client.
                    return ""
                raise
            except NeuroGridError:
                pass  # the coordinator or the chain is away, and will be back
            stopping.wait(pause_s)
            pause_s = min(pause_s * 2, _RETRY_MAX_S)
        return None

    def _review(
        self,
        transfer: Transfer,
        message: bytes,
        amount: str | None,
        recipient: str,
        redeems_micro: int | None,
    ) -> None:
        try:
            with self._lock:
                program = self._program
                if program is None and transfer.kind != "payout":
                    program = program_in(message)
                review(
                    transfer.kind,
                    message,
                    wallet=self.address,
                    program=program,
                    amount_micro=None if amount is None else parse_usdc(amount),
                    recipient=recipient,
                    redeems_micro=redeems_micro,
                )
                if program is not None and self._program is None:
                    _remember(self._pinned, program)
                    self._program = program
        except NotSigned as error:
            raise ConfigurationError(
                f"transfer {transfer.id} ({transfer.kind}) was not signed: {error}. The coordinator is mistaken, or lies"
            ) from error


def _remembered(path: Path) -> Program | None:
    try:
        words = path.read_text().split()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} can't be read: {error}") from error
    if len(words) != 2:
        raise ConfigurationError(f"{path} is not what was written there: it has two addresses")
    return Program(*words)


def _remember(path: Path, program: Program) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(f"{program.program} {program.config}\n")
    part.replace(path)
