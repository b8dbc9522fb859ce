"""Replicas and leases for their use: who is bid for, at which prices, and what is awarded."""

from dataclasses import replace

import pytest

from neurogrid_marketplace.bid import Bid, DeclineCode
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.execution import agreement
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.messages import Award
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.serving import Serves, ServingTerms, Use
from neurogrid_marketplace.units import UnitPrices
from neurogrid_node.market.bidder import LEASES_MAX
from neurogrid_node.market.model_terms import ModelTerms
from neurogrid_node.market.terms import read_own
from neurogrid_node.settings.models import ModelPriceConfig, ModelsConfig
from node.market import LEASE, OFFER, POLICY, TOTAL, award, demand
from node.seller import PUBLIC_KEY, Seller, code_of

MOST = UnitPrices(input_tokens=200_000, output_tokens=600_000)
SERVES = demand(serves=Serves("m", MOST), max_price_micro_usdc_per_hour=20_000)
TERMS = ModelTerms(ServingTerms(5_000), share_permille=500, max_unpaid_micro_usdc=77)
ASKED = UnitPrices(input_tokens=100_000, output_tokens=300_000)


@pytest.fixture
def models(seller: Seller) -> Seller:
    return with_terms(seller, TERMS)


def with_terms(seller: Seller, terms: ModelTerms | None, **policy: object) -> Seller:
    seller.policy = replace(POLICY, models=terms, **policy)  # type: ignore[arg-type]  # fields of a policy
    seller.provider = seller.make(seller.journal)
    seller.provider.accepting = True
    offered = terms.offered if terms is not None else None
    seller.provider.offer = replace(OFFER, serving=offered)
    return seller


async def bid_on(seller: Seller, asked: Demand) -> Bid:
    (reply,) = await seller.say(asked)
    assert isinstance(reply, Bid), reply
    return reply


async def won(seller: Seller, asked: Demand, lease_id: str = LEASE, **changes: object) -> Award:
    bid = await bid_on(seller, asked)
    made = award(seller.link.envelopes[-1].hash(), asked, unit_prices=bid.unit_prices)
    return replace(made, lease_id=lease_id, **changes)  # type: ignore[arg-type]  # fields of an award


async def with_replica(seller: Seller, phase: LeasePhase = LeasePhase.RUNNING) -> None:
    """A replica that runs."""
    taken = await won(seller, SERVES)
    assert await seller.say(taken) == [agreement(taken, PUBLIC_KEY)]
    (runner,) = seller.runners
    assert runner.lease.serves == "m"
    runner.lease = replace(runner.lease, phase=phase)


def use_of(**changes: object) -> Demand:
    use = replace(Use(LEASE, "m", ASKED, 1_000), **changes)  # type: ignore[arg-type]  # fields of a use
    return demand(
        demand_id="demand_" + "2" * 32,
        max_price_micro_usdc_per_hour=0,
        job_hash=Job("neurogrid/job:1", uses=LEASE).hash(),
        use=use,
    )


async def test_a_replica_is_bid_on_at_the_retainer_and_the_owners_prices(models: Seller) -> None:
    bid = await bid_on(models, SERVES)
    assert bid.price_micro_usdc_per_hour == 5_000
    assert bid.unit_prices == ASKED


async def test_a_models_own_prices_hold_where_they_are_offered(models: Seller) -> None:
    own = UnitPrices(output_tokens=599_999)
    with_terms(models, replace(TERMS, prices={"m": own}))
    assert (await bid_on(models, SERVES)).unit_prices == own
    with_terms(models, replace(TERMS, prices={"m": UnitPrices(output_tokens=600_001)}))
    assert code_of(await models.say(SERVES)) is DeclineCode.PRICE_TOO_LOW


async def test_a_model_that_is_not_let_in_is_declined(models: Seller) -> None:
    with_terms(models, replace(TERMS, offered=ServingTerms(5_000, ("other",))))
    assert code_of(await models.say(SERVES)) is DeclineCode.NO_MODELS
    with_terms(models, None)
    assert code_of(await models.say(SERVES)) is DeclineCode.NO_MODELS


async def test_an_award_at_other_prices_than_were_bid_is_denied(models: Seller) -> None:
    taken = await won(models, SERVES, unit_prices=MOST)
    assert code_of(await models.say(taken)) is DeclineCode.TERMS_CHANGED
    taken = await won(models, SERVES, unit_prices=None)
    assert code_of(await models.say(taken)) is DeclineCode.TERMS_CHANGED


async def test_the_use_of_a_replica_is_bid_on_and_takes_nothing_of_the_machine(
    models: Seller,
) -> None:
    await with_replica(models)
    free = models.book.free(models.now_ms)
    bid = await bid_on(models, use_of())
    assert (bid.price_micro_usdc_per_hour, bid.unit_prices) == (0, ASKED)
    taken = await won(models, use_of(), "lease_" + "2" * 32)
    assert taken.max_cost_micro_usdc == 1_000
    assert await models.say(taken) == [agreement(taken, PUBLIC_KEY)]
    lease = models.runners[-1].lease
    assert lease.use == use_of().use
    assert lease.max_unpaid_micro_usdc == 77
    assert models.book.free(models.now_ms) == free != TOTAL
    assert len(models.journal.inline.load()) == 2


@pytest.mark.parametrize(
    "asked",
    [
        use_of(replica="lease_" + "3" * 32),
        use_of(model="n"),
        use_of(prices=replace(ASKED, output_tokens=1)),
    ],
)
async def test_what_is_no_replica_here_is_not_used(models: Seller, asked: Demand) -> None:
    await with_replica(models)
    assert code_of(await models.say(asked)) is DeclineCode.NO_REPLICA


@pytest.mark.parametrize("phase", [LeasePhase.PREPARING, LeasePhase.PAUSED, LeasePhase.STOPPING])
async def test_a_replica_that_does_not_run_is_not_used(models: Seller, phase: LeasePhase) -> None:
    await with_replica(models, phase)
    assert code_of(await models.say(use_of())) is DeclineCode.NO_REPLICA


async def test_another_coordinators_replica_is_not_used(models: Seller) -> None:
    await with_replica(models)
    assert code_of(await models.say(use_of(), models.other)) is DeclineCode.NO_REPLICA


async def test_an_owner_who_serves_no_models_any_more_takes_no_use_of_those_that_run(
    models: Seller,
) -> None:
    await with_replica(models)
    runners = models.provider.runners
    with_terms(models, None)
    models.provider.runners.update(runners)
    assert code_of(await models.say(use_of())) is DeclineCode.NO_MODELS


async def test_an_ordinary_lease_is_no_replica(models: Seller) -> None:
    await models.take()
    models.runners[0].lease = replace(models.runners[0].lease, phase=LeasePhase.RUNNING)
    assert code_of(await models.say(use_of())) is DeclineCode.NO_REPLICA


async def test_a_node_that_rests_or_is_full_takes_no_use(models: Seller) -> None:
    await with_replica(models)
    models.provider.accepting = False
    assert code_of(await models.say(use_of())) is DeclineCode.NOT_ACCEPTING
    models.provider.accepting = True
    for number in range(LEASES_MAX):
        models.provider.runners[f"other {number}"] = models.provider.runners[LEASE]
    assert code_of(await models.say(use_of())) is DeclineCode.BUSY


async def test_the_owners_conditions_on_clients_hold_for_use_and_those_on_jobs_do_not(
    models: Seller,
) -> None:
    await with_replica(models)
    runners = models.provider.runners
    with_terms(models, TERMS, conditions=read_own("task.price.hour >= 0.01USDC"))
    models.provider.runners.update(runners)
    await bid_on(models, use_of())
    with_terms(models, TERMS, conditions=read_own(f"client.wallet = {OFFER.wallet}"))
    models.provider.runners.update(runners)
    assert code_of(await models.say(use_of())) is DeclineCode.CONDITION_UNMET


def test_a_configuration_says_prices_as_people_do() -> None:
    own = ModelPriceConfig("0.15", "0.075", "0.6", "0.04", "0.0001", "0.001")
    terms = ModelsConfig(serve=True, retainer="0.02", prices={"m": own}).terms()
    assert terms is not None
    assert terms.offered == ServingTerms(20_000)
    assert terms.prices["m"] == UnitPrices(
        input_tokens=150_000,
        cached_input_tokens=75_000,
        output_tokens=600_000,
        images=40_000_000_000,
        audio_ms=100_000,
        requests=1_000_000_000,
    )
    assert ModelsConfig().terms() is None
    with pytest.raises(InvalidValue, match="escrow"):
        ModelsConfig(serve=True, retainer="0.00").terms()
