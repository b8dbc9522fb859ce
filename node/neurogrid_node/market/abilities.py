"""What this node can offer beside cores and GPUs, how each is proved, and how coordinators hear of it."""

from collections.abc import Awaitable, Callable

from ..config import Config
from ..container.job_engine import JobEngine
from ..container.ports import no_part_in_another
from ..egress.jobs import JobNetworks
from ..gang.gangs import Gangs
from ..machine.proofs import CHECKPOINTS, CONTAINER, EGRESS, GANGS, Disproof
from ..machine.prover import Ability
from ..machine.trials import Trials
from .provider import Provider


def abilities(
    engine: JobEngine,
    trials: Trials,
    config: Config,
    provider: Provider,
    gangs: Gangs,
    networks: JobNetworks,
    addresses: Callable[[], tuple[str, ...]],
    tell_container: Callable[[bool], Awaitable[None]] | None,
) -> tuple[Ability, ...]:
    """What its owner and its engine let this node offer.

    Args:
        addresses: at which others may dial us about gangs.
        tell_container: whether any job may run here; None where a fleet says it.
    """
    can = engine.abilities

    def apart() -> str:
        return no_part_in_another(engine.info.job_runtimes)

    async def prove_gangs() -> Disproof | None:
        problem = apart() or await gangs.obstacle()
        return Disproof("GANGS_UNPROVED", problem) if problem else None

    async def tell_gangs(is_proved: bool) -> None:
        await provider.found_gangs(addresses() if is_proved else None)

    async def prove_egress() -> Disproof | None:
        problem = apart() or await networks.obstacle()
        return Disproof("EGRESS_UNPROVED", problem) if problem else None

    async def tell_egress(is_proved: bool) -> None:
        await provider.found_network(config.egress.terms() if is_proved else None)

    found = []
    if tell_container is not None:
        found.append(Ability(CONTAINER, trials.container, tell_container))
    if can.freeze:
        found.append(Ability(CHECKPOINTS, trials.freezing, provider.found_checkpoints))
    if can.links and config.gang.serve:
        found.append(Ability(GANGS, prove_gangs, tell_gangs))
    if can.links and config.egress.serve:
        found.append(Ability(EGRESS, prove_egress, tell_egress))
    return tuple(found)
