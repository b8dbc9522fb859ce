"""Any sequence of instructions, sensible or not, of two clients, two providers and an arbiter.

After each step, successful or refused: every vault equals its ledger, locked money equals the open
escrows and bonds, the counters are right, no USDC was made or lost (:meth:`World.audit`), and nobody
has more or less than what was signed in that step (:meth:`Crowd.step`). At the end everybody leaves:
whatever happened, all money can be taken out and every account closed.
"""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from solders.instruction import Instruction
from solders.keypair import Keypair

from contracts.program_crowd import JOBS, Crowd
from contracts.program_parties import DAY_S, JOB, USDC
from neurogrid_contracts.accounts import BPS_ONE, DisputeOpener, EscrowAccount, EscrowState
from neurogrid_contracts.instructions import Tag

BOTH = st.sampled_from([0, 1])
JOB_IDS = st.sampled_from(JOBS)
YES_OR_NO = st.booleans()
# Of what there is: of a balance, a stake, what an escrow still holds.
PARTS = st.sampled_from(["half", "dust", "all", "nothing", "too much"])
# Micro-USDC, around what matters: an escrow, a limit, a fee that rounds down to nothing.
AMOUNTS = st.sampled_from([60 * USDC, USDC, 41, 39, 500 * USDC, 2_000 * USDC])
# Seconds: within a window, past a deadline, past an arbitration, past an unbonding.
WAITS = st.sampled_from([60, 600, 600, 3_601, DAY_S, 8 * DAY_S])
LASTS = st.sampled_from([3_601, 60, DAY_S, 3 * DAY_S, 0])
# Which of the escrows that are in the state which a rule needs.
WHICH = st.integers(0, 5)
VOUCHERS_MAX = 20
OPEN, DISPUTED, OFFERED = EscrowState.OPEN, EscrowState.DISPUTED, EscrowState.OFFERED
ANY = (OPEN, DISPUTED, OFFERED)


def part(name: str, whole: int) -> int:
    """A part of ``whole``, in micro-USDC."""
    return {
        "nothing": 0,
        "dust": min(41, whole),
        "half": whole // 2,
        "all": whole,
        "too much": whole + 1,
    }[name]


def given_an_escrow(
    *states: EscrowState,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The rule is for when there is an escrow in one of these states."""
    return precondition(lambda market: bool(market.crowd.places(*states)))


class Market(RuleBasedStateMachine):
    """Each rule is one or two instructions; ``crowd.step`` is where the promises are checked."""

    def __init__(self) -> None:
        super().__init__()
        self.crowd = Crowd()
        # Everything that a session key ever signed, to be shown again at any time: the proof, whose
        # escrow, its sequence, and the total.
        self.vouchers: list[tuple[Instruction, int, bytes, int, int]] = []

    def teardown(self) -> None:
        self.crowd.everybody_leaves()

    @initialize(amount=AMOUNTS, lasts=LASTS, offered=YES_OR_NO, bonds=st.integers(0, 2))
    def begin(self, amount: int, lasts: int, offered: bool, bonds: int) -> None:
        """Most of what can happen needs an escrow."""
        self.set_operator(client=0, limit=500 * USDC, lasts=8 * DAY_S)
        self.open(0, 1, JOBS[0], amount, DAY_S, by_operator=True, offered=False)
        self.open(0, 0, JOBS[1], amount, 3 * DAY_S, by_operator=False, offered=offered)
        self.open(1, 0, JOBS[0], amount, lasts, by_operator=False, offered=False)
        self.open(1, 1, JOBS[1], amount, 3_601, by_operator=False, offered=True)
        for which in range(len(self.crowd.places(*ANY))):
            self.sign_voucher(which=which, some="half")
        disputed = self.crowd.places(OPEN)[:bonds]
        for which in range(len(disputed)):
            self.dispute(which=0, who=("client", "provider")[which])

    @rule(seconds=WAITS)
    def wait(self, seconds: int) -> None:
        self.crowd.set_time(self.crowd.now + seconds)

    # --- deposits and stakes ---

    @rule(client=BOTH, amount=AMOUNTS)
    def deposit(self, client: int, amount: int) -> None:
        self.crowd.choose(client, 0)
        self.crowd.step(self.crowd.deposit(amount))

    @rule(client=BOTH, some=PARTS)
    def withdraw(self, client: int, some: str) -> None:
        self.crowd.choose(client, 0)
        if self.crowd.has_client():
            amount = part(some, self.crowd.client_account().available_micro_usdc)
            withdraw = self.crowd.withdraw(amount)
            self.crowd.step(withdraw, refused=some in ("nothing", "too much"))

    @rule(client=BOTH, limit=AMOUNTS, lasts=LASTS)
    def set_operator(self, client: int, limit: int, lasts: int) -> None:
        self.crowd.choose(client, 0)
        self.crowd.step(self.crowd.set_operator(limit, self.crowd.now + lasts))

    @rule(client=BOTH, amount=AMOUNTS, ends_all=YES_OR_NO)
    def leave_and_come_back(self, client: int, amount: int, ends_all: bool) -> None:
        """And with ``ends_all``, whatever is still open; then open the first job again."""
        crowd = self.crowd
        while ends_all and any(at == client for at, _ in crowd.places(*ANY)):
            self.refund([at for at, _ in crowd.places(*ANY)].index(client), waits=True)
        crowd.choose(client, 0)
        if crowd.has_client():
            balance = crowd.client_account().balance_micro_usdc
            crowd.step(*([crowd.withdraw(balance)] if balance else []), crowd.close_client())
        crowd.step(crowd.open_client())
        crowd.step(crowd.deposit(amount))
        self.open(client, 0, JOBS[0], amount, DAY_S, by_operator=False, offered=False)

    @rule(provider=BOTH, amount=AMOUNTS)
    def stake(self, provider: int, amount: int) -> None:
        self.crowd.choose(0, provider)
        self.crowd.step(self.crowd.stake(amount))

    @rule(provider=BOTH, some=PARTS)
    def request_unstake(self, provider: int, some: str) -> None:
        self.crowd.choose(0, provider)
        if self.crowd.has_provider():
            amount = part(some, self.crowd.provider_account().free_stake_micro_usdc)
            request = self.crowd.request_unstake(amount)
            self.crowd.step(request, refused=some in ("nothing", "too much"))

    @rule(provider=BOTH, some=PARTS)
    def rebond(self, provider: int, some: str) -> None:
        self.crowd.choose(0, provider)
        if self.crowd.has_provider():
            amount = part(some, self.crowd.provider_account().unbonding_micro_usdc)
            rebond = self.crowd.rebond(amount)
            self.crowd.step(rebond, refused=some in ("nothing", "too much"))

    @rule(provider=BOTH, waits=YES_OR_NO, closes=YES_OR_NO)
    def withdraw_stake(self, provider: int, waits: bool, closes: bool) -> None:
        """And with ``closes``, if nothing is left, give the account up and register anew."""
        crowd = self.crowd
        crowd.choose(0, provider)
        if waits and crowd.has_provider():
            crowd.set_time(max(crowd.now, crowd.provider_account().unbonding_until_unix_s))
        crowd.step(crowd.withdraw_stake())
        if closes:
            crowd.step(crowd.close_provider())
            crowd.step(crowd.register_provider())

    # --- escrows ---

    @rule(
        client=BOTH,
        provider=BOTH,
        job=JOB_IDS,
        amount=AMOUNTS,
        lasts=LASTS,
        by_operator=YES_OR_NO,
        offered=YES_OR_NO,
    )
    def open(
        self,
        client: int,
        provider: int,
        job: bytes,
        amount: int,
        lasts: int,
        by_operator: bool,
        offered: bool,
    ) -> None:
        crowd = self.crowd
        crowd.choose(client, provider)
        deadline = crowd.now + lasts
        by = self.side(by_operator)
        crowd.step(crowd.open(amount, job=job, by=by, deadline=deadline, offered=offered))

    @given_an_escrow(OFFERED)
    @rule(which=WHICH)
    def accept(self, which: int) -> None:
        job, _ = self.crowd.choose_escrow(which, OFFERED)
        self.crowd.step(self.crowd.accept(job=job))

    @given_an_escrow(OFFERED, OPEN)
    @rule(which=WHICH, by_operator=YES_OR_NO)
    def cancel(self, which: int, by_operator: bool) -> None:
        job, escrow = self.crowd.choose_escrow(which, OFFERED, OPEN)
        by, payer = self.side(by_operator), self.rent_payer(escrow)
        cancel = self.crowd.cancel(job=job, by=by, rent_payer=payer)
        self.crowd.step(cancel, refused=escrow.state is not OFFERED)

    @given_an_escrow(*ANY)
    @rule(which=WHICH, some=PARTS, by_operator=YES_OR_NO)
    def top_up(self, which: int, some: str, by_operator: bool) -> None:
        job, _ = self.crowd.choose_escrow(which, *ANY)
        amount = part(some, self.crowd.client_account().available_micro_usdc)
        top_up = self.crowd.top_up(amount, job=job, by=self.side(by_operator))
        self.crowd.step(top_up, refused=some in ("nothing", "too much"))

    @given_an_escrow(*ANY)
    @rule(which=WHICH, longer_s=LASTS, by_operator=YES_OR_NO)
    def extend(self, which: int, longer_s: int, by_operator: bool) -> None:
        job, escrow = self.crowd.choose_escrow(which, *ANY)
        deadline = escrow.deadline_unix_s + longer_s
        extend = self.crowd.extend(deadline, job=job, by=self.side(by_operator))
        self.crowd.step(extend, refused=longer_s == 0 or escrow.state is DISPUTED)

    @given_an_escrow(*ANY)
    @rule(which=WHICH, some=PARTS, final=YES_OR_NO, close=YES_OR_NO, by_operator=YES_OR_NO)
    def release(self, which: int, some: str, final: bool, close: bool, by_operator: bool) -> None:
        job, escrow = self.crowd.choose_escrow(which, *ANY)
        amount = part(some, escrow.remaining_micro_usdc)
        release = self.crowd.release(
            amount,
            job=job,
            by=self.side(by_operator),
            released=escrow.released_micro_usdc,
            final=final or close,
            close_to=self.rent_payer(escrow) if close else None,
        )
        refused = escrow.state is not OPEN or some == "too much"
        self.crowd.step(release, pays=self.crowd.payment(escrow, amount), refused=refused)
        # Signed again as it was: it can be done twice only if it paid nothing.
        self.crowd.step(release, refused=amount > 0)

    @given_an_escrow(*ANY)
    @rule(which=WHICH, some=PARTS)
    def sign_voucher(self, which: int, some: str) -> None:
        if len(self.vouchers) < VOUCHERS_MAX:
            job, escrow = self.crowd.choose_escrow(which, *ANY)
            total = escrow.released_micro_usdc + part(some, escrow.remaining_micro_usdc)
            client = self.crowd.clients.index(self.crowd.client)
            proof = self.crowd.proof(total, job=job)
            self.vouchers.append((proof, client, job, escrow.sequence, total))

    @precondition(lambda market: bool(market.vouchers))
    @rule(index=st.integers(0, VOUCHERS_MAX - 1), close=YES_OR_NO, cosigned=YES_OR_NO)
    def redeem(self, index: int, close: bool, cosigned: bool) -> None:
        """Any voucher ever signed, of whatever escrow had that address then."""
        proof, client, job, sequence, total = self.vouchers[index % len(self.vouchers)]
        crowd = self.crowd
        crowd.choose(client, 0)
        if crowd.is_closed(job):
            crowd.step(proof, crowd.claim(total, job=job), refused=True)
            return
        escrow = crowd.see_escrow(job)
        payer = self.rent_payer(escrow) if close else None
        claim = crowd.claim(total, job=job, close_to=payer, client_cosigns=close and cosigned)
        new = total - escrow.released_micro_usdc
        pays = crowd.payment(escrow, new) if new > 0 else ()
        refused = escrow.sequence != sequence or escrow.state is OFFERED
        crowd.step(proof, claim, pays=pays, refused=refused)

    @given_an_escrow(*ANY)
    @rule(which=WHICH, waits=YES_OR_NO)
    def refund(self, which: int, waits: bool) -> None:
        job, escrow = self.crowd.choose_escrow(which, *ANY)
        if waits:
            self.crowd.set_time(max(self.crowd.now, escrow.refund_after_unix_s + 1))
        early = self.crowd.now <= escrow.refund_after_unix_s
        payer = self.rent_payer(escrow)
        self.crowd.step(self.crowd.refund(job=job, rent_payer=payer), refused=early)

    @given_an_escrow(*ANY)
    @rule(which=WHICH, cosigned=YES_OR_NO)
    def relinquish(self, which: int, cosigned: bool) -> None:
        job, escrow = self.crowd.choose_escrow(which, *ANY)
        relinquish = self.crowd.relinquish(
            job=job, rent_payer=self.rent_payer(escrow), client_cosigns=cosigned
        )
        self.crowd.step(relinquish, refused=escrow.state is DISPUTED and not cosigned)

    # --- quarrels ---

    @given_an_escrow(OPEN, DISPUTED)
    @rule(which=WHICH, who=st.sampled_from(["client", "operator", "provider"]))
    def dispute(self, which: int, who: str) -> None:
        job, escrow = self.crowd.choose_escrow(which, OPEN, DISPUTED)
        dispute = self.crowd.dispute(job=job, by=getattr(self.crowd, who))
        again = escrow.state is DISPUTED and (who == "provider" or escrow.client_complains)
        self.crowd.step(dispute, refused=again)

    @given_an_escrow(DISPUTED)
    @rule(which=WHICH, some=PARTS)
    def slash(self, which: int, some: str) -> None:
        crowd = self.crowd
        job, escrow = crowd.choose_escrow(which, DISPUTED)
        provider = crowd.provider_account()
        stake = provider.staked_micro_usdc + provider.unbonding_micro_usdc
        amount = part(some, stake * escrow.slash_bps // BPS_ONE)
        innocent = not escrow.client_complains or escrow.slashed_micro_usdc > 0
        pays = [(crowd.provider_name(), crowd.client_name(), amount)]
        refused = innocent or some in ("nothing", "too much")
        crowd.step(crowd.slash(amount, job=job), pays=pays, refused=refused)

    @given_an_escrow(DISPUTED)
    @rule(which=WHICH, some=PARTS, was_right=YES_OR_NO)
    def resolve(self, which: int, some: str, was_right: bool) -> None:
        crowd = self.crowd
        job, escrow = crowd.choose_escrow(which, DISPUTED)
        amount = part(some, escrow.remaining_micro_usdc)
        pays = [*crowd.payment(escrow, amount), *([] if was_right else [self.lost_bond(escrow)])]
        payer = self.rent_payer(escrow)
        resolve = crowd.resolve(amount, job=job, rent_payer=payer, opener_was_right=was_right)
        crowd.step(resolve, pays=pays, refused=some == "too much")

    # --- the market ---

    @rule(
        what=st.sampled_from(["propose", "apply", "cancel", "pause", "resume", "offer", "accept"]),
        fee_bps=st.sampled_from([0, 250, 2_000]),
        bond=st.sampled_from([0, USDC, 400 * USDC]),
        longer_s=st.sampled_from([-1, 0, DAY_S]),
    )
    def govern(self, what: str, fee_bps: int = 0, bond: int = 0, longer_s: int = 0) -> None:
        """One rule, or most of what happens would be politics."""
        crowd, admin = self.crowd, self.admin()
        config = crowd.config_account()
        if what == "propose":
            terms = replace(
                crowd.terms,
                fee_bps=fee_bps,
                dispute_bond_micro_usdc=bond,
                unbonding_window_s=config.unbonding_window_s + longer_s,
            )
            crowd.step(crowd.propose_terms(terms, by=admin), refused=longer_s < 0)
        elif what == "apply":
            if longer_s > 0:
                crowd.set_time(max(crowd.now, config.terms_from_unix_s))
            early = not 0 < config.terms_from_unix_s <= crowd.now
            crowd.step(crowd.apply_terms(), refused=early)
        elif what == "cancel":
            crowd.step(crowd.cancel_terms(by=admin), refused=config.terms_from_unix_s == 0)
        elif what in ("pause", "resume"):
            crowd.step(crowd.set_paused(what == "pause", by=admin))
        else:
            new = next(key for key in crowd.admins if key is not admin)
            offered = config.pending_admin == new.pubkey()
            if what == "offer":
                crowd.step(crowd.propose_admin(new, by=admin))
            else:
                crowd.step(crowd.accept_admin(new), refused=not offered)

    # --- parts of the rules ---

    def admin(self) -> Keypair:
        return self.crowd.keys[self.crowd.config_account().admin]

    def side(self, by_operator: bool) -> Keypair:
        return self.crowd.operator if by_operator else self.crowd.client

    def rent_payer(self, escrow: EscrowAccount) -> Keypair:
        return self.crowd.keys[escrow.rent_payer]

    def lost_bond(self, escrow: EscrowAccount) -> tuple[str, str, int]:
        client, provider = self.crowd.client_name(), self.crowd.provider_name()
        bond = escrow.dispute_bond_micro_usdc
        if escrow.dispute_opener is DisputeOpener.CLIENT:
            return client, provider, bond
        return provider, client, min(bond, self.crowd.provider_account().staked_micro_usdc)


# Derandomized: the suite must not fail by chance. No deadline: a shared machine stalls at will.
BOUNDED = settings(
    max_examples=40,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_no_sequence_of_instructions_breaks_the_books() -> None:
    run_state_machine_as_test(Market, settings=BOUNDED)


def test_the_rules_reach_every_instruction() -> None:
    """A sequence in which each succeeds, so that the property above is not about refusals."""
    market = Market()
    crowd = market.crowd
    market.set_operator(client=0, limit=500 * USDC, lasts=DAY_S)
    market.deposit(client=0, amount=USDC)
    market.withdraw(client=0, some="dust")
    market.open(0, 1, JOB, 60 * USDC, 3_601, by_operator=True, offered=True)
    market.top_up(which=0, some="dust", by_operator=True)
    market.cancel(which=0, by_operator=True)
    market.open(0, 1, JOB, 60 * USDC, 3_601, by_operator=False, offered=True)
    market.accept(which=0)
    market.extend(which=0, longer_s=DAY_S, by_operator=False)
    market.release(which=0, some="dust", final=False, close=False, by_operator=False)
    market.sign_voucher(which=0, some="half")
    market.redeem(index=0, close=False, cosigned=False)
    market.dispute(which=0, who="provider")
    market.dispute(which=0, who="client")
    market.slash(which=0, some="dust")
    market.resolve(which=0, some="half", was_right=False)
    market.open(0, 1, JOB, 60 * USDC, 3_601, by_operator=False, offered=False)
    market.relinquish(which=0, cosigned=False)
    market.govern("propose", bond=USDC, longer_s=DAY_S)
    market.govern("cancel")
    market.govern("propose", bond=USDC, longer_s=DAY_S)
    market.request_unstake(provider=1, some="all")
    market.rebond(provider=1, some="half")
    market.open(0, 1, JOB, 60 * USDC, 3_601, by_operator=False, offered=False)
    market.refund(which=0, waits=True)
    market.request_unstake(provider=1, some="all")
    market.wait(8 * DAY_S)
    market.govern("apply")
    market.withdraw_stake(provider=1, waits=True, closes=True)
    market.stake(provider=1, amount=USDC)
    market.govern("offer")
    market.govern("accept")
    market.govern("pause")
    market.govern("resume")
    market.leave_and_come_back(client=0, amount=USDC, ends_all=True)
    assert set(crowd.succeeded) == {tag.name.lower() for tag in Tag} - {"init_config"}
    market.teardown()
