"""Takes readings of a running daemon, when somebody asks."""

from collections.abc import Callable, Collection

from neurogrid_marketplace import __version__

from ..journal import Journal, JournalThread
from ..machine.monitor import Monitor
from ..market.provider import Provider
from ..market.reservations import Reservations
from ..money.earnings_check import EarningsCheck
from ..money.staking import Staking
from ..settings.network import MetricsConfig
from .catalogue import CATALOGUE
from .reading import Reading, samples
from .server import serve_metrics


class Watched:
    """The parts of a daemon that have numbers.

    Args:
        listed: peer ids of the coordinators in node.toml.
    """

    def __init__(
        self,
        provider: Provider,
        reservations: Reservations,
        staking: Staking,
        journal: JournalThread,
        monitor: Monitor,
        earnings_check: EarningsCheck,
        listed: Collection[str],
        now_ms: Callable[[], int],
    ) -> None:
        self._provider = provider
        self._reservations = reservations
        self._staking = staking
        self._journal = journal
        self._monitor = monitor
        self._earnings_check = earnings_check
        self._listed = listed
        self._now_ms = now_ms

    async def read(self) -> Reading:
        """Now.

        Raises:
            JournalError: what was earned cannot be read.
        """
        provider, staking = self._provider, self._staking
        earned = await self._journal.call(Journal.earnings)
        leases = [runner.lease for runner in provider.runners.values()]
        up = {link.coordinator: link.is_connected() for link in provider.links.values()}
        others = [connected for peer_id, connected in up.items() if peer_id not in self._listed]
        return Reading(
            node_id=provider.offer.node_id,
            version=__version__,
            accepting=provider.accepting,
            tally=provider.tally,
            phases=tuple(lease.phase for lease in leases),
            earned=earned,
            unredeemed_micro_usdc=sum(lease.unredeemed_micro_usdc for lease in leases),
            staked_micro_usdc=staking.staked_micro_usdc,
            stake_problem=staking.problem,
            chain_answers=staking.chain_answers,
            total=self._reservations.total,
            free=self._reservations.free(self._now_ms()),
            inventory=self._monitor.inventory,
            host=self._monitor.host,
            listed={peer_id: up.get(peer_id, False) for peer_id in self._listed},
            others_up=sum(others),
            others_away=len(others) - sum(others),
            earnings_differ=len(self._earnings_check.problems),
        )


async def show_metrics(config: MetricsConfig, watched: Watched) -> None:
    """Serve them as the owner says; at once over where none are wanted."""
    if not config.listen:
        return
    from neurogrid_telemetry.exposition import Exposition

    exposition = Exposition(CATALOGUE)

    async def render(accept: str) -> tuple[bytes, str]:
        return exposition.render(samples(await watched.read()), accept)

    await serve_metrics(config.host, config.port, render)
