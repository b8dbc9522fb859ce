"""Many mixed requests of three accounts to several models: what answers say that they cost, what is counted, billed, signed and moved on the
chain is the same, to the micro-USDC.

What moved is read from the ledger's own transactions, and from everybody's accounts there, not from the coordinator.
"""

import json
import re
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest
from openai import OpenAI

from acceptance.model_settings import client_account, shipped_catalogue, told_of_models
from acceptance.network import PATIENCE_S, Devnet, neurogrid, until
from conformance.recording import SPOKEN
from neurogrid import Client
from neurogrid.models import Task
from neurogrid_devnet.demo.money import open_ledger
from neurogrid_marketplace.money import parse_usdc
from neurogrid_marketplace.receipt import Verification, verify_receipt
from neurogrid_marketplace.units import NOTHING_SERVED, Units
from neurogrid_wallet.keys import KeyPair

pytestmark = [pytest.mark.processes, pytest.mark.engine]

TEXT, VECTORS, PICTURES, SPEECH = "bard-1m", "all-minilm-l6-v2", "terrain-11m", "whisper-tiny-en"
# A lease for use pays for some five answers at these prices, and then the next one does.
ESCROW_MICRO_USDC = 2_000
PRICES = {"output_per_million": "30", "input_per_million": "0.70"}
# An answer that nobody waits the end of.
LEFT_TOKENS = 4_000
IDLE_S = 4
REPLICA_IDLE_S = 8


@contextmanager
def serving(devnet: Devnet) -> Iterator[None]:
    """The coordinator keeps one replica of each model, at prices that use escrows up, and settles leases soon."""
    catalogue = re.sub(r"replicas_max = \d+", "replicas_max = 1", shipped_catalogue())
    for name, price in PRICES.items():
        catalogue = re.sub(rf'{name} = "[0-9.]+"', f'{name} = "{price}"', catalogue)
    with told_of_models(
        devnet,
        catalogue,
        account=client_account(devnet),
        replica_idle_s=REPLICA_IDLE_S,
        use_escrow_usdc=f"{ESCROW_MICRO_USDC / 10**6:f}",
        use_idle_s=IDLE_S,
    ):
        yield


class Customer:
    """An account that asks models, and keeps what it is told.

    Attributes:
        told: by task, what answers under it say that they cost, micro-USDC.
        counted: what their ``usage`` says.
        outcomes: how its requests went.
        left: whether it has gone in the middle of an answer.
    """

    def __init__(self, devnet: Devnet, client: Client, api_key: str, wallet: str) -> None:
        self.client = client
        self.wallet = wallet
        self.told: defaultdict[str, int] = defaultdict(int)
        self.counted = NOTHING_SERVED
        self.outcomes: Counter[str] = Counter()
        self.left = False
        self.failures: list[BaseException] = []
        self._openai = OpenAI(
            base_url=f"{devnet.network.api_url}/v1",
            api_key=api_key,
            max_retries=0,
            timeout=PATIENCE_S,
        )

    def ask(self, count: int, *, leaves: bool, draws: bool) -> None:
        """So many requests, one after the other, of every kind in turn.

        Args:
            leaves: it goes in the middle of some answers; draws: it asks for pictures and transcripts, too, which take seconds each.
        """
        kinds = [self._chat, self._stream, self._texts, self._vectors, self._stream_of_text]
        kinds += [self._whole_chat, self._too_long, self._many_vectors, self._unknown, self._native]
        if draws:
            kinds += [self._picture, self._transcript]
        if leaves:
            kinds.append(self._leave)
        try:
            for number in range(count):
                kinds[number % len(kinds)](number)
        except BaseException as error:  # noqa: BLE001 - the test's own thread says it
            self.failures.append(error)

    def _took(self, answer: dict[str, Any], usage: dict[str, Any] | None) -> None:
        origin = answer["neurogrid"]
        self.told[origin["task_id"]] += origin["cost_micro_usdc"]
        if usage is not None:
            assert usage["cost_micro_usdc"] == origin["cost_micro_usdc"]
            read, written = usage["prompt_tokens"], usage.get("completion_tokens", 0)
            self.counted += Units(input_tokens=read, output_tokens=written, requests=1)
        self.outcomes["answered"] += 1

    def _follow(self, stream: Any) -> None:
        answer: dict[str, Any] = {}
        usage: dict[str, Any] | None = None
        for chunk in stream:
            said = chunk.model_dump()
            answer = said if said.get("neurogrid") else answer
            usage = said.get("usage") or usage
        assert usage is not None
        self._took(answer, usage)

    def _chat(self, number: int) -> None:
        self._follow(
            self._openai.chat.completions.create(
                model=TEXT,
                messages=[{"role": "user", "content": "To be, or not to be?"}],
                max_completion_tokens=4 + number % 13,
                seed=number,
                stream=True,
                stream_options={"include_usage": True},
            )
        )

    def _stream(self, number: int) -> None:
        self._follow(
            self._openai.completions.create(
                model=TEXT,
                prompt="Now is the winter",
                max_tokens=3 + number % 7,
                stream=True,
                stream_options={"include_usage": True},
            )
        )

    def _stream_of_text(self, number: int) -> None:
        # Its usage is not asked for, and counts all the same.
        answer: dict[str, Any] = {}
        count = 5
        for chunk in self._openai.completions.create(
            model=TEXT, prompt=["O Romeo"], max_tokens=count, seed=number, stream=True
        ):
            said = chunk.model_dump()
            answer = said if said.get("neurogrid") else answer
            assert not said.get("usage")
        self._took(answer, None)

    def _whole_chat(self, number: int) -> None:
        answer = self._openai.chat.completions.create(
            model=TEXT,
            messages=[{"role": "user", "content": "Who's there?"}],
            max_completion_tokens=2 + number % 11,
        ).model_dump()
        self._took(answer, answer["usage"])

    def _texts(self, number: int) -> None:
        answer = self._openai.completions.create(
            model=TEXT, prompt=["To be", "Or not"], max_tokens=4, seed=number
        ).model_dump()
        self._took(answer, answer["usage"])

    def _vectors(self, number: int) -> None:
        answer = self._openai.embeddings.create(
            model=VECTORS, input=f"A cat, and {number} kittens."
        ).model_dump()
        self._took(answer, answer["usage"])

    def _many_vectors(self, number: int) -> None:
        answer = self._openai.embeddings.create(
            model=VECTORS, input=["A cat.", "A kitten.", "A dog"], encoding_format="float"
        ).model_dump()
        assert len(answer["data"]) == 3
        self._took(answer, answer["usage"])

    def _picture(self, number: int) -> None:
        if number % 50 > 9:
            self._vectors(number)
            return
        answer = self._openai.images.generate(
            model=PICTURES, prompt="A landscape", size="64x64", response_format="b64_json"
        ).model_dump()
        assert len(answer["data"]) == 1
        self._took(answer, None)

    def _native(self, number: int) -> None:
        answer = self.client.models.generate_text(
            TEXT, "To be", parameters={"max_tokens": 3 + number % 5, "seed": number}
        )
        self.told[answer.id] += parse_usdc(f"{answer.cost_usdc:f}")
        self.outcomes["answered"] += 1

    def _transcript(self, number: int) -> None:
        if number % 50 > 9:
            self._native(number)
            return
        with SPOKEN.open("rb") as recording:
            answer = self._openai.audio.transcriptions.create(
                model=SPEECH, file=recording
            ).model_dump()
        assert "leisure" in answer["text"]
        self._took(answer, None)

    def _too_long(self, number: int) -> None:
        # Its server says no: that costs nothing.
        with pytest.raises(openai.BadRequestError, match="maximum context length"):
            self._openai.completions.create(model=TEXT, prompt="word " * 2_000, max_tokens=4)
        self.outcomes["refused"] += 1

    def _unknown(self, number: int) -> None:
        with pytest.raises(openai.NotFoundError):
            self._openai.completions.create(model="bard-2m", prompt="To be", max_tokens=4)
        self.outcomes["refused"] += 1

    def _leave(self, number: int) -> None:
        stream = self._openai.completions.create(
            model=TEXT, prompt="To be", max_tokens=LEFT_TOKENS, stream=True
        )
        try:
            for _ in range(1 + number % 5):
                next(stream)
        except openai.APIError as error:
            # It was longer than its escrow.
            if error.code != "insufficient_quota":
                raise
        stream.close()
        self.left = True
        self.outcomes["left"] += 1

    # --- what became of its money ----------------------------------------------------------------

    def ids(self) -> list[str]:
        """Of its leases for use."""
        found: list[str] = []
        while True:
            page = self.client.tasks.list(kind="use", limit=100, offset=len(found)).tasks
            found += [task.id for task in page]
            if len(page) < 100:
                return found

    def settled(self, task_id: str) -> Task:
        """One of them, once all of its money has moved."""

        def look() -> Task | None:
            task = self.client.tasks.get(task_id)
            closed = all(lease.settlement == "closed" for lease in task.leases)
            return task if task.settled and closed else None

        task: Task = until(look, f"{task_id} is settled")
        return task


class Chain:
    """The ledger, by its own JSON-RPC."""

    def __init__(self, devnet: Devnet) -> None:
        self._url = devnet.network.ledger_url
        self._treasury = devnet.network.treasury_wallet

    def moved(self, transaction: str) -> dict[str, int]:
        """What a transaction has changed of each owner's USDC, micro-USDC."""
        options = {
            "encoding": "base64",
            "commitment": "confirmed",
            "maxSupportedTransactionVersion": 0,
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "getTransaction"}
        answer = httpx.post(
            self._url, json=body | {"params": [transaction, options]}, timeout=30
        ).json()
        meta = answer["result"]["meta"]
        assert meta["err"] is None
        moved: Counter[str] = Counter()
        for side, sign in (("postTokenBalances", 1), ("preTokenBalances", -1)):
            for each in meta[side]:
                moved[each["owner"]] += sign * int(each["uiTokenAmount"]["amount"])
        return {owner: amount for owner, amount in moved.items() if amount}


@contextmanager
def customers(devnet: Devnet, folder: Path) -> Iterator[list[Customer]]:
    """The devnet's own client, who keeps the replicas, and two more."""
    network = devnet.network
    found = [Customer(devnet, devnet.client, network.api_key, network.client_wallet)]
    opened = []
    for name in ("alice", "bob"):
        wallet = KeyPair.generate()
        key_file = folder / f"{name}.json"
        wallet.write_solana_file(key_file)
        funded = neurogrid("devnet", "fund", wallet.address, "--data", str(devnet.data))
        assert funded.returncode == 0, funded.stderr
        command = [sys.executable, "-m", "neurogrid_coordinator", "account", "create", "--json"]
        command += ["--data", network.coordinator.data, "--name", name, "--wallet", wallet.address]
        made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        api_key = json.loads(made.stdout)["api_key"]
        client = Client(base_url=network.api_url, api_key=api_key)
        opened.append(client)
        asked = client.wallet.deposit("20.00", operator_limit="1000.00")
        client.wallet.submit(asked.id, client.wallet.sign(asked, str(key_file)))

        def landed(client: Client = client) -> bool:
            return bool(client.billing.get_balance().balance >= 20)

        until(landed, f"{name}'s deposit is there")
        found.append(Customer(devnet, client, api_key, wallet.address))
    try:
        yield found
    finally:
        for client in opened:
            client.close()


def deposits(devnet: Devnet, wallet: str) -> int:
    """What a wallet has deposited, by the ledger; nothing of it is locked."""
    other = msgspec.structs.replace(devnet.network, client_wallet=wallet)
    with open_ledger(other) as ledger:
        money = ledger.money()
    assert money.locked == 0
    return money.available


@pytest.mark.parametrize("requests", [45, pytest.param(1_000, marks=pytest.mark.nightly)])
def test_what_is_told_counted_billed_signed_and_moved_is_the_same(
    devnet: Devnet, tmp_path: Path, requests: int
) -> None:
    devnet.until_idle()
    before = devnet.until_nothing_owed()
    chain = Chain(devnet)
    with serving(devnet), customers(devnet, tmp_path) as everybody:
        kept = {each.wallet: deposits(devnet, each.wallet) for each in everybody}
        earlier = {each.wallet: set(each.ids()) for each in everybody}
        share = requests // len(everybody)
        asking = [
            # Two of the three go in the middle of some answers; the third always stays to the end.
            threading.Thread(
                target=each.ask,
                args=(share,),
                kwargs={"leaves": number != 1, "draws": requests > 100},
            )
            for number, each in enumerate(everybody)
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        for each in everybody:
            assert not each.failures, each.failures
        total = sum((each.outcomes for each in everybody), Counter())
        assert total.total() == share * len(everybody)
        assert total["answered"] > total.total() // 2
        paid_for_use = 0
        for each in everybody:
            paid = 0
            billed = NOTHING_SERVED
            ids = [task_id for task_id in each.ids() if task_id not in earlier[each.wallet]]
            leases = [each.settled(task_id) for task_id in ids]
            assert len(leases) >= 3, "one after the other was used up"
            for task in leases:
                if all(lease.transaction is None for lease in task.leases):
                    # Its node did not take it, as where its replica has just gone: nothing was asked under it.
                    assert not task.cost
                    assert not each.told.get(task.id)
                    continue
                found = verify_receipt(devnet_receipt(each, task))
                paid += is_the_same_everywhere(chain, devnet, each, task, found)
                assert found.billed is not None
                billed += found.billed
            told = sum(each.told.values())
            if each.left:
                # What came before it went has no answer that would say what it cost.
                assert told <= paid
            else:
                assert told == paid
                assert billed.covers(each.counted)
            usage = each.client.analytics.get_usage()
            if each.wallet != devnet.network.client_wallet:
                assert usage.current_month.tokens_generated == billed.output_tokens
                history = each.client.billing.get_history()
                assert parse_usdc(f"{history.totals.paid:f}") == paid
                assert kept[each.wallet] - deposits(devnet, each.wallet) == paid
            paid_for_use += paid
    assert paid_for_use > 0
    # Whoever kept the replicas pays their nodes, too; the rest is all that has moved.
    after = devnet.until_nothing_owed()
    strangers = sum(
        kept[each.wallet] - deposits(devnet, each.wallet)
        for each in everybody
        if each.wallet != devnet.network.client_wallet
    )
    assert after.total - before.total == strangers


def devnet_receipt(customer: Customer, task: Task) -> bytes:
    return customer.client.tasks.receipt(task.id)


def is_the_same_everywhere(
    chain: Chain, devnet: Devnet, customer: Customer, task: Task, found: Verification
) -> int:
    """What a lease for use has cost, by everybody's word and by what moved; it is one number."""
    assert found.use is not None
    assert found.billed is not None
    billed = min(found.use.prices.cost_micro_usdc(found.billed), found.use.max_cost_micro_usdc)
    (lease,) = task.leases
    told = customer.told[task.id]
    assert told <= billed
    assert parse_usdc(f"{task.cost:f}") == billed
    assert found.paid_micro_usdc == billed
    assert lease.paid is not None
    assert parse_usdc(f"{lease.paid:f}") == billed
    if not billed:
        return 0
    moved = chain.moved(found.transaction)
    fee = moved.get(devnet.network.treasury_wallet, 0)
    assert moved[lease.wallet] + fee == billed
    assert sum(moved.values()) == 0, "it came from the deposits' vault"
    return billed
