"""A market with two clients, two providers and an arbiter, and what each of them is worth.

A step says who pays whom in it. :meth:`Crowd.step` executes it, audits the books, and compares
everybody's wealth with what was said: a step that is refused pays nobody, and one that succeeds pays
exactly what its signers agreed to.
"""

from collections import Counter
from collections.abc import Sequence

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from contracts.program_parties import JOB, STAKE, job_id
from contracts.program_world import World
from neurogrid_contracts.accounts import EscrowAccount, EscrowState
from neurogrid_contracts.instructions import Tag

JOBS = (JOB, job_id("second"), job_id("third"))
STATE = 3  # where an account has its state
# From one party to another: names of Crowd.wealth, and micro-USDC.
Payments = Sequence[tuple[str, str, int]]


class Crowd(World):
    """Steps are between the client and the provider that were chosen last."""

    def __init__(self) -> None:
        super().__init__()
        self.clients = [self.client, self.another_client()]
        owners = [self.provider, self.another_provider()]
        # Each provider is paid to a wallet of its own; the second comes with the first's, and so
        # goes through closing and registering at once.
        wallets = [self.payout_owner, self.new_key(42)]
        self.give_usdc(wallets[1], 0)
        self.providers = list(zip(owners, wallets, strict=True))
        self.succeeded: Counter[str] = Counter()
        self.choose(0, 1)
        self.do(self.request_unstake(STAKE))
        self.set_time(self.now + self.terms.unbonding_window_s)
        self.do(self.withdraw_stake(), self.close_provider())
        self.do(self.register_provider(), self.stake(STAKE))
        self.choose(0, 0)
        self.admins = [self.admin, self.mallory]

    def choose(self, client: int, provider: int) -> None:
        """The parties of the steps that follow."""
        self.client = self.clients[client]
        self.choose_provider(provider)

    def choose_provider(self, provider: int) -> None:
        self.provider, self.payout_owner = self.providers[provider]
        self.payout = self.usdc(self.payout_owner)

    def places(self, *states: EscrowState) -> list[tuple[int, bytes]]:
        """The clients and jobs of the escrows in one of these states, in the states' order."""
        found = []
        for client, key in enumerate(self.clients):
            for job in JOBS:
                address = self.deployment.escrow(key.pubkey(), job)
                account = self.svm.get_account(address)
                if account is not None and account.data[STATE] in states:
                    found.append((states.index(EscrowState(account.data[STATE])), client, job))
        return [(client, job) for _, client, job in sorted(found)]

    def choose_escrow(self, which: int, *states: EscrowState) -> tuple[bytes, EscrowAccount]:
        """Escrow number ``which`` of those in these states, its job, and its parties for the steps
        that follow."""
        places = self.places(*states)
        client, job = places[which % len(places)]
        self.client = self.clients[client]
        return job, self.see_escrow(job)

    def see_escrow(self, job: bytes) -> EscrowAccount:
        """The escrow of the client's job, and its provider for the steps that follow."""
        escrow = self.escrow_account(job)
        owners = [self.deployment.provider(owner.pubkey()) for owner, _ in self.providers]
        self.choose_provider(owners.index(escrow.provider))
        return escrow

    def has_client(self) -> bool:
        return self._exists(self.deployment.client(self.client.pubkey()))

    def has_provider(self) -> bool:
        return self._exists(self.deployment.provider(self.provider.pubkey()))

    def _exists(self, address: Pubkey) -> bool:
        return self.svm.get_account(address) is not None

    def wealth(self) -> dict[str, int]:
        """What each party has, in its wallets and in the program, in micro-USDC."""
        found = {
            "treasury": self.amount(self.treasury),
            "mallory": self.amount(self.usdc(self.mallory)),
        }
        for index, client in enumerate(self.clients):
            exists = self._exists(self.deployment.client(client.pubkey()))
            deposited = self.client_account(client).balance_micro_usdc if exists else 0
            found[f"client {index}"] = self.amount(self.usdc(client)) + deposited
        for index, (owner, payout_owner) in enumerate(self.providers):
            staked = 0
            if self._exists(self.deployment.provider(owner.pubkey())):
                stake = self.provider_account(owner)
                staked = stake.staked_micro_usdc + stake.unbonding_micro_usdc
            wallets = self.amount(self.usdc(owner)) + self.amount(self.usdc(payout_owner))
            found[f"provider {index}"] = wallets + staked
        return found

    def client_name(self) -> str:
        return f"client {self.clients.index(self.client)}"

    def provider_name(self) -> str:
        return f"provider {[owner for owner, _ in self.providers].index(self.provider)}"

    def payment(self, escrow: EscrowAccount, amount: int) -> Payments:
        """What a payment out of an escrow moves."""
        fee = escrow.fee_micro_usdc(amount)
        client = self.client_name()
        return [(client, self.provider_name(), amount - fee), (client, "treasury", fee)]

    def step(self, *steps: Instruction, pays: Payments = (), refused: bool = False) -> bool:
        """Execute a transaction; whether it succeeded.

        Args:
            pays: what its signers agreed to, if it succeeds.
            refused: it must not.
        """
        expected = self.wealth()
        succeeded = self.attempt(*steps)
        assert not (succeeded and refused), "what must be refused was done"
        if succeeded:
            for giver, taker, amount in pays:
                expected[giver] -= amount
                expected[taker] += amount
            ours = [one for one in steps if one.program_id == self.deployment.program_id]
            self.succeeded.update(Tag(one.data[0]).name.lower() for one in ours)
        assert self.wealth() == expected, "somebody has more or less than was agreed"
        return succeeded

    def everybody_leaves(self) -> None:
        """Nobody needs anybody's permission to take out what the books say is theirs."""
        before = self.wealth()
        self.set_time(self.now + 800 * 86_400)
        for _ in self.places(*EscrowState):
            job, escrow = self.choose_escrow(0, *EscrowState)
            self.do(self.refund(job=job, rent_payer=self.keys[escrow.rent_payer]))
        for client in range(len(self.clients)):
            self.choose(client, 0)
            if self.has_client():
                self._client_leaves()
        for provider in range(len(self.providers)):
            self.choose(0, provider)
            if self.has_provider():
                self._provider_leaves()
        assert self.wealth() == before
        accounts = self.svm.get_program_accounts(self.deployment.program_id)
        assert [address for address, _ in accounts] == [self.deployment.config]

    def _client_leaves(self) -> None:
        account = self.client_account()
        assert account.locked_micro_usdc == account.open_escrows == 0
        if account.balance_micro_usdc:
            self.do(self.withdraw(account.balance_micro_usdc))
        self.do(self.close_client())

    def _provider_leaves(self) -> None:
        account = self.provider_account()
        assert account.bonded_micro_usdc == account.open_escrows == 0
        if account.staked_micro_usdc:
            self.do(self.request_unstake(account.staked_micro_usdc))
        account = self.provider_account()
        if account.unbonding_micro_usdc:
            self.set_time(max(self.now, account.unbonding_until_unix_s))
            self.do(self.withdraw_stake())
        self.do(self.close_provider())
