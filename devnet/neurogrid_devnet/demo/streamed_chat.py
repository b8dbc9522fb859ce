"""The third story: a model that stays answers a chat token by token, and is paid for the tokens."""

import json
import time
from typing import Any

import httpx

from .stage import Stage, micro_usdc

MODEL = "bard-1m"
_MESSAGE = "To be, or not to be?"
# A first answer waits for the model's container.
_PATIENCE_S = 120.0


def tell_streamed_chat(stage: Stage) -> None:
    """Tell it."""
    screen = stage.screen
    screen.heading("6. A chat at /v1, as OpenAI's clients ask: streamed, and paid by the token")
    screen.say(f"{MODEL} is asked: {_MESSAGE}")
    began_s = time.monotonic()
    chunks: list[dict[str, Any]] = []
    first_s = 0.0
    for chunk in _ask(stage):
        first_s = first_s or time.monotonic() - began_s
        chunks.append(chunk)
    texts = [choice["delta"].get("content") or "" for each in chunks for choice in each["choices"]]
    screen.say(f"  {''.join(texts).strip()}")
    pieces = sum(map(bool, texts))
    screen.say(f"  {pieces} pieces; the first after {first_s:.1f} s, in which its container began")
    screen.check("it came piece by piece", pieces > 1)
    origin = next(each["neurogrid"] for each in reversed(chunks) if "neurogrid" in each)
    used, cost = chunks[-1]["usage"], int(origin["cost_micro_usdc"])
    screen.say(
        f"  {used['prompt_tokens']} tokens read and {used['completion_tokens']} written by "
        f"{stage.name(origin['node_id'])}: {cost} micro-USDC"
    )
    # Nothing more is asked of it: what pays for the model's use is settled now, and not when it is idle for long enough.
    stage.client.tasks.cancel(origin["task_id"])
    task = stage.settled(origin["task_id"])
    screen.check("what the answer said is what was paid", micro_usdc(task.cost) == cost > 0)


def _ask(stage: Stage) -> Any:
    """The events of a streamed answer."""
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": _MESSAGE}],
        "max_completion_tokens": 40,
        "seed": 1,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"Authorization": f"Bearer {stage.network.api_key}"}
    url = f"{stage.network.api_url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=_PATIENCE_S) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                yield json.loads(line.removeprefix("data: "))
