"""Models that stay, asked by OpenAI's own package and paid by what reaches the client: every sum, to the micro-USDC."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from acceptance.network import PATIENCE_S, Devnet
from acceptance.test_replicas import MODEL, kill_container, replicas
from neurogrid_marketplace.money import parse_usdc
from neurogrid_marketplace.receipt import verify_receipt

pytestmark = [pytest.mark.processes, pytest.mark.engine]

REQUESTS = 12
_TURN: Any = [{"role": "user", "content": "To be, or not to be?"}]


def streamed(client: OpenAI, tokens: int, *, usage: bool) -> tuple[list[str], dict[str, Any]]:
    """The texts of a stream's pieces, and what its last says of where it comes from."""
    pieces: list[str] = []
    origin: dict[str, Any] = {}
    options: Any = {"include_usage": True} if usage else openai.omit
    for chunk in client.chat.completions.create(
        model=MODEL,
        messages=_TURN,
        max_completion_tokens=tokens,
        seed=1,
        stream=True,
        stream_options=options,
    ):
        said = chunk.model_dump()
        origin = said.get("neurogrid") or origin
        if chunk.choices and chunk.choices[0].delta.content:
            pieces.append(chunk.choices[0].delta.content)
        assert (said.get("usage") is not None) == (not chunk.choices)
        if not chunk.choices:
            assert said["usage"]["cost_micro_usdc"] == origin["cost_micro_usdc"]
    return pieces, origin


def test_what_answers_cost_is_what_is_signed_settled_and_in_the_receipt(devnet: Devnet) -> None:
    devnet.until_warm(MODEL)
    network = devnet.network
    with OpenAI(
        base_url=f"{network.api_url}/v1",
        api_key=network.api_key,
        max_retries=0,
        timeout=PATIENCE_S,
    ) as client:
        costs: dict[str, int] = {}

        def took(origin: dict[str, Any]) -> None:
            assert origin["model"] == MODEL
            costs[origin["task_id"]] = costs.get(origin["task_id"], 0) + origin["cost_micro_usdc"]

        for number in range(REQUESTS):
            if number % 3:
                pieces, origin = streamed(client, 4 + number, usage=number % 2 == 0)
                assert len(pieces) > 1, "piece by piece"
            else:
                whole = client.completions.create(model=MODEL, prompt="To be", max_tokens=8, seed=1)
                origin = whole.model_dump()["neurogrid"]
                assert whole.usage is not None
                assert whole.usage.completion_tokens <= 8
            took(origin)

        # The server dies in the middle: the stream says so, and what came is what is paid.
        (serving,) = [task for task in replicas(devnet) if task.phase == "running"]
        stream = client.completions.create(
            model=MODEL, prompt="To be", max_tokens=8000, temperature=0, stream=True
        )
        for _ in range(3):
            next(stream)
        kill_container(devnet, serving.id)
        with pytest.raises(openai.APIError, match="broke off"):
            list(stream)

        for task_id, told in costs.items():
            task = devnet.until_settled(task_id)
            paid = parse_usdc(f"{task.cost:f}")
            found = verify_receipt(devnet.client.tasks.receipt(task_id))
            assert found.billed is not None
            assert found.use is not None
            billed = found.use.prices.cost_micro_usdc(found.billed)
            # What came of the one that broke off has no answer that would say what it cost.
            assert told <= paid == billed
