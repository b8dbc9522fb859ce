"""A server with weights of its own in a real container: what it can do is passed on and billed, and its weights stay on the node."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from acceptance import tool_server
from acceptance.model_settings import shipped_catalogue, told_of_models
from acceptance.network import PATIENCE_S, Devnet, until
from acceptance.test_replicas import kill_container
from neurogrid.models import Task

pytestmark = [pytest.mark.processes, pytest.mark.engine]

MODEL = "caller"
WORD = b"sesame " * 150_000
ENTRY = """
[[model]]
id = "caller"
name = "Caller"
type = "text"
category = "chat"
image = "neurogrid/job:1"
tasks = false
needs = { memory_gb = 0.2, cpu_cores = 0.5, disk_gb = 0.05 }
[model.server]
command = ["python3", "-c", %s]
start_s = 60
routes = ["/v1/chat/completions"]
features = ["json", "penalties", "stream", "tools", "usage_in_stream"]
concurrency = 4
replicas_max = 1
idle_s = 600
[model.server.weights]
source = "nowhere"
size_gb = 0.1
files = [{ path = "deep/word.txt", sha256 = "%s", size_bytes = %d }]
[model.unit_price]
input_per_million = "1"
output_per_million = "3"
"""
_TURN: Any = [{"role": "user", "content": "How is the weather?"}]
_TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
]


def entry() -> str:
    script = Path(tool_server.__file__).read_text()
    return ENTRY % (json.dumps(script), hashlib.sha256(WORD).hexdigest(), len(WORD))


def cost_micro_usdc(written: int) -> int:
    return tool_server.READ + 3 * written


def replica(devnet: Devnet) -> Task | None:
    found = devnet.models_client.tasks.list(kind="replica", name=f"replica of {MODEL}").tasks
    return next((each for each in found if each.phase == "running"), None)


def kept(devnet: Devnet) -> list[Path]:
    return list(devnet.data.rglob(f".weights/*/{hashlib.sha256(WORD).hexdigest()}"))


def test_tools_and_json_are_passed_on_and_billed_and_weights_outlast_a_replica(
    devnet: Devnet,
) -> None:
    devnet.until_idle()
    folder = devnet.data / "word.txt"
    folder.write_bytes(WORD)
    devnet.models_client.artifacts.upload(folder)
    network = devnet.network
    with (
        told_of_models(devnet, shipped_catalogue() + entry()),
        OpenAI(
            base_url=f"{network.api_url}/v1",
            api_key=network.api_key,
            max_retries=0,
            timeout=PATIENCE_S,
        ) as client,
    ):
        chat = client.chat.completions
        # JSON, and what the server was asked; its weights are where its entry says, and can't be changed from in there.
        whole = chat.create(
            model=MODEL,
            messages=_TURN,
            presence_penalty=0.5,
            response_format={"type": "json_object"},
        )
        said = json.loads(whole.choices[0].message.content or "")
        assert (said["word"], said["form"]) == ("sesame", "json_object")
        assert said["written"] == "errno 30", "a filesystem that is read-only"
        assert said["asked"] == ["messages", "model", "presence_penalty", "response_format"]
        assert whole.usage is not None
        told = whole.usage.model_dump()
        assert told["cost_micro_usdc"] == cost_micro_usdc(told["completion_tokens"])

        # A tool call in pieces, put together by OpenAI's own package.
        with chat.stream(
            model=MODEL, messages=_TURN, tools=_TOOLS, stream_options={"include_usage": True}
        ) as stream:
            pieces = [event for event in stream if event.type.endswith("arguments.delta")]
            made = stream.get_final_completion()
        (call,) = made.choices[0].message.tool_calls or []
        assert (call.function.name, call.function.arguments) == ("weather", tool_server.ARGUMENTS)
        assert made.choices[0].finish_reason == "tool_calls"
        # Its name, and then a letter at a time.
        written = 1 + len(tool_server.ARGUMENTS)
        assert len(pieces) == written, "as they came"
        assert made.usage is not None
        assert made.usage.completion_tokens == written
        assert made.usage.model_dump()["cost_micro_usdc"] == cost_micro_usdc(written)
        # And its result goes back to the model.
        turns = [
            *_TURN,
            made.choices[0].message.model_dump(include={"role", "content", "tool_calls"}),
            {"role": "tool", "tool_call_id": call.id, "content": "rain"},
        ]
        again = chat.create(model=MODEL, messages=turns, tools=_TOOLS, tool_choice="none")
        assert again.choices[0].finish_reason == "stop"

        # What its entry does not say is refused by name before anybody is asked.
        for field, value in (("n", 2), ("logit_bias", {"1": 1}), ("seed", 1), ("logprobs", True)):
            with pytest.raises(BadRequestError) as refused:
                chat.create(model=MODEL, messages=_TURN, extra_body={field: value})
            assert refused.value.param == field

        # The container dies, and the next one has the weights without fetching them, as its node has said in its bid.
        first = replica(devnet)
        assert first is not None
        (weights,) = kept(devnet)
        assert weights.stat().st_nlink == 2, "the job's own is the same file"
        kill_container(devnet, first.id)

        def next_one() -> Task | None:
            found = replica(devnet)
            return found if found is not None and found.id != first.id else None

        answered = until(lambda: chat.create(model=MODEL, messages=_TURN), "it answers again")
        assert json.loads(answered.choices[0].message.content or "")["word"] == "sesame"
        second = until(next_one, "another one runs")
        (auction,) = devnet.models_client.tasks.auctions(second.id)
        cached_gb = {bid.node_id: bid.cached_gb for bid in auction.bids}
        had, had_not = cached_gb.pop(first.node_id or ""), list(cached_gb.values())
        assert all(had - other >= len(WORD) / 10**9 for other in had_not)
