"""Nodes that serve a real model of ours, honestly or not, and the checks that find them out: under the very rules of a coordinator.

`python -m simulation.model_cheats --write` in tests/ makes the table of docs/model-checks.md.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import msgspec

from neurogrid_marketplace.model_check import Judged, Other, is_drawn, judge
from neurogrid_marketplace.model_reply import Reply
from neurogrid_marketplace.suspicion import Charge, Suspicion

from .model_texts import TOKENS, Texts

PAGE = Path(__file__).parents[2] / "docs" / "model-checks.md"
BEGIN, END_MARK = "<!-- simulated: begin -->\n", "<!-- simulated: end -->\n"
PERCENT = 5
# What is billed is bounded by the text's bytes; this is below that, and so only checks can find it.
_OVERCOUNT = 1.5
# Where nobody can tell who is wrong, no check ever counts.
_ANSWERS_MAX = 20_000


@cache
def texts(kind: str, count: int, temperature: float = 0) -> Texts:
    """What a node with these weights writes after each prompt; see `model_texts`."""
    # One thread: more of them wait for one another, and numpy asks how many when it is loaded.
    found = subprocess.run(
        [sys.executable, "-m", "simulation.model_texts", kind, str(count), str(temperature)],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
        timeout=600,
    )
    return msgspec.json.decode(found.stdout, type=Texts)


@dataclass(frozen=True, slots=True)
class Node:
    """How a node serves.

    Attributes:
        kind: of its weights; see `texts`.
        share: of its answers that it gives so; the others are honest.
        shortens, overcounts: in that share.
        wary: whoever asks that is known to check gets an honest answer.
    """

    kind: str = "exact"
    share: float = 1.0
    shortens: bool = False
    overcounts: bool = False
    wary: bool = False

    def answers(self, number: int, count: int, lot: random.Random, *, to_checker: bool) -> Reply:
        """What it answers to a prompt."""
        if lot.random() >= self.share or (self.wary and to_checker):
            return texts("exact", count)[number]
        reply = texts(self.kind, count)[number]
        if self.shortens:
            kept = reply.tokens[: len(reply.tokens) // 2]
            text = "".join(each.text for each in kept)
            reply = replace(reply, text=text, tokens=kept, finish="stop", output_tokens=len(kept))
        if self.overcounts:
            reply = replace(reply, output_tokens=round(_OVERCOUNT * reply.output_tokens))
        return reply


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a node.

    Attributes:
        checks: until it was charged, or in all.
        answers: that its clients had until then.
    """

    charge: Charge | None
    checks: int
    answers: int
    against: int


HONEST = Node()
OTHER_MACHINE = Node("other machine")


def serve(
    node: Node,
    seed: int,
    *,
    count: int,
    logprobs: bool = False,
    others: Sequence[Node] = (HONEST, OTHER_MACHINE),
    percent: int = PERCENT,
) -> Found:
    """Have a node answer two clients, until it is charged or each prompt was checked once.

    Args:
        count: of prompts.
        logprobs: whether clients ask for log-probabilities.
        others: two more nodes, each of another owner.
    """
    lot = random.Random(seed)
    secret = lot.randbytes(32)
    known = Suspicion()
    seen: set[int] = set()
    answers = 0
    while known.charge is None and len(seen) < count and answers < _ANSWERS_MAX:
        number = lot.randrange(count)
        answers += 1
        permille = 1000 if known.is_raised else 10 * percent
        if number in seen or not is_drawn(secret, f"req_{answers}", permille):
            continue
        delivered = told(node.answers(number, count, lot, to_checker=False), logprobs)
        references: list[Other] = []
        found = None
        for other in lot.sample(others, len(others)):
            said = other.answers(number, count, lot, to_checker=True)
            references.append(Other(told(said, logprobs)))
            found = judge(delivered, references)
            if found is not None:
                break
        if found is None or found[0] is Judged.UNDECIDED:
            continue
        seen.add(number)
        known = known.after(found[1], f"acct_{answers % 2}")
    return Found(known.charge, known.checks, answers, known.against)


def told(reply: Reply, logprobs: bool) -> Reply:
    """With log-probabilities, or without."""
    return reply if logprobs else replace(reply, tokens=())


CHEATS: Mapping[str, tuple[Node, Charge]] = {
    "weights of 4 bits": (Node("4 bits"), Charge.SUBSTITUTES),
    "weights of 3 bits": (Node("3 bits"), Charge.SUBSTITUTES),
    "a smaller model": (Node("smaller"), Charge.SUBSTITUTES),
    "a smaller model, honest to who checks": (Node("smaller", wary=True), Charge.SUBSTITUTES),
    "a smaller model in half of its answers": (Node("smaller", 0.5), Charge.SUBSTITUTES),
    "half of each text": (Node(shortens=True), Charge.SHORTENS),
    "half of each text in half of its answers": (Node(share=0.5, shortens=True), Charge.SHORTENS),
    "counts half as much again": (Node(overcounts=True), Charge.OVERCOUNTS),
}
HONEST_ONES: Mapping[str, Node] = {"exact": HONEST, "on another machine": OTHER_MACHINE}


def table(count: int, seeds: int) -> str:
    """As the page has it."""
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, `model_cheats --write`: {count} prompts of our own model, {TOKENS} tokens each, {PERCENT} % checked, {seeds} runs a line; the two others are honest, one of them on another machine.",
        "",
        "| a node with | found | checks until then, median and most | answers until then, median | with log-probabilities: found | checks |",
        "|---|---|---|---|---|---|",
    ]
    nodes = {words: node for words, (node, _) in CHEATS.items()} | {
        "weights of 6 bits": Node("6 bits"),
        "weights of 8 bits": Node("8 bits"),
        "a smaller model in a tenth of its answers": Node("smaller", 0.1),
        **{f"the model itself, {words}": node for words, node in HONEST_ONES.items()},
    }
    for words, node in nodes.items():
        without, having = (
            [serve(node, seed, count=count, logprobs=logprobs) for seed in range(seeds)]
            for logprobs in (False, True)
        )
        cells = [words, _share(without), *_until(without), _share(having), _until(having)[0]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _share(found: Sequence[Found]) -> str:
    return f"{sum(each.charge is not None for each in found)} of {len(found)}"


def _until(found: Sequence[Found]) -> tuple[str, str]:
    charged = [each for each in found if each.charge is not None]
    if not charged:
        return "-", "-"
    checks = [each.checks for each in charged]
    answers = statistics.median(each.answers for each in charged)
    return f"{statistics.median(checks):g}, {max(checks)}", f"{answers:g}"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=100)
    options = parser.parse_args()
    made = table(options.prompts, options.seeds)
    print(made)
    if options.write:
        text = PAGE.read_text()
        before, rest = text.split(BEGIN)
        _, after = rest.split(END_MARK)
        PAGE.write_text(before + BEGIN + made + END_MARK + after)


if __name__ == "__main__":
    main()
