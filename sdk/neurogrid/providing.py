"""A provider's program: its machines speak with the market by HTTPS, and its keys sign what has to be signed.

    provider = neurogrid.Provider(wallet="wallet.json")      # NEUROGRID_API_URL and NEUROGRID_API_KEY
    resource = provider.resources.create(resource_type="cpu", pricing={"per_hour": "0.10"})
    for task in provider.tasks.offers():
        provider.tasks.accept(task.id, resource_id=resource.id)
        job = provider.tasks.wait_for_job(task.id)
        ...                                                  # run job.docker_image
        provider.tasks.start(task.id, container_id="...")
        provider.tasks.complete(task.id, outputs="outputs")

docs/providers.md has the whole of it.
"""

from dataclasses import replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from .errors import ConfigurationError
from .machine.escrows import Escrows
from .machine.keys import Key
from .machine.own_wallet import OwnWallet
from .machine.reviewing import Program
from .models import Account
from .models.earnings import Transfer
from .profile import WALLET_KEY_VARIABLE, find_profile
from .provider import Move, ProviderEarnings, ProviderPayouts, ProviderStaking
from .provider_resources import RunningResources
from .provider_tasks import RunningTasks
from .transport import Transport

_STATE = "~/.local/state/neurogrid/provider"


class Provider:
    """An account with the role ``provider``, the key of its wallet, and the machines that this program runs.

    Close it, or use it in a ``with`` block. What its machines have accepted is kept on disk: a program that was killed makes the
    same resources again, and finds its tasks in ``tasks.held()``.

    What moves money (``staking``, ``payouts``, ``earnings.claim``) is asked for, read (`machine.reviewing`), signed, and waited
    for until the chain has carried it out.

    Args:
        api_key: begins with ``ng_``; default NEUROGRID_API_KEY.
        wallet: the wallet's key file, in Solana's format; default NEUROGRID_WALLET_KEY.
        base_url: of the coordinator; default NEUROGRID_API_URL.
        network: a devnet's network.json, in place of address and key; default NEUROGRID_NETWORK.
        state_directory: where what is accepted is kept; default ~/.local/state/neurogrid/provider.
        program: addresses of the market's program and of its config account, which transactions may call. Left out, those
            of the first transaction are remembered in the state directory.
        rpc_url: of a Solana endpoint, by which each task's escrow and vouchers are looked at; None: the coordinator is
            believed in that.
        timeout_s, retries_max, transport: as of `Client`.

    Attributes:
        wallet: its address.
        profile, move: for what is built upon it.

    Raises:
        ConfigurationError: there is no address, no API key or no wallet.
    """

    def __init__(
        self,
        api_key: str | None = None,
        wallet: str | PathLike[str] | None = None,
        base_url: str | None = None,
        *,
        network: str | PathLike[str] | None = None,
        state_directory: str | PathLike[str] | None = None,
        program: tuple[str, str] | None = None,
        rpc_url: str | None = None,
        timeout_s: float = 30.0,
        retries_max: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        profile = find_profile(
            base_url=base_url,
            api_key=api_key,
            network=None if network is None else Path(network),
        )
        file = Path(wallet) if wallet is not None else profile.wallet_key
        if file is None:
            raise ConfigurationError(
                f"no wallet is given: its machines sign what they say; name its key file, or set {WALLET_KEY_VARIABLE}"
            )
        self._key = Key.of_wallet(file)
        self.wallet = self._key.address
        state = Path(state_directory) if state_directory is not None else Path(_STATE).expanduser()
        directory = state / self.wallet
        self.profile = replace(profile, wallet_key=file)
        self._transport = Transport(
            self.profile,
            timeout_s=timeout_s,
            retries_max=retries_max,
            http=transport,
        )
        own = OwnWallet(
            self._transport,
            file,
            self.wallet,
            directory / "program",
            None if program is None else Program(*program),
        )
        escrows = None if rpc_url is None else Escrows(rpc_url, self.wallet)
        # Also of the asynchronous provider.
        self.move = move = _carried_out_by(own)
        self.resources = RunningResources(self._transport, self._key, own, directory, escrows)
        self.tasks = RunningTasks(self._transport, self.resources)
        self.earnings = ProviderEarnings(self._transport, move)
        self.payouts = ProviderPayouts(self._transport, move)
        self.staking = ProviderStaking(self._transport, move)

    def account(self) -> Account:
        """Who the key belongs to."""
        return self._transport.call(Account, "GET", "/account")

    def get_transfer(self, transfer_id: str) -> Transfer:
        """What became of something that moved money.

        Raises:
            NotFoundError: the account has no such transfer.
        """
        return self._transport.call(Transfer, "GET", f"/wallet/transfers/{transfer_id}")

    def close(self) -> None:
        """Have every machine leave. Tasks that run go on to be this program's when it makes its resources again."""
        self.resources.close()
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _carried_out_by(own: OwnWallet) -> Move:
    """To have the wallet's transactions made, read, signed and carried out."""

    def move(path: str, body: dict[str, str] | None, idempotency_key: str | None) -> Transfer:
        asked = own.ask(path, body, idempotency_key)
        wanted = body or {}
        return own.carry_out(
            asked, amount=wanted.get("amount"), recipient=wanted.get("wallet_address", "")
        )

    return move
