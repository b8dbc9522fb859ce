"""The `provider` object of `/v1` among two nodes' replicas of one model, by real processes; each word of it is held to by fake nodes in
`coordinator/test_replica_providers.py`."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from openai import OpenAI

from acceptance.model_settings import shipped_catalogue, told_of_models
from acceptance.network import PATIENCE_S, Devnet, until
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_wallet.keys import KeyPair

MODEL = "bard-1m"
# No node's.
NOBODY = peer_id_of(KeyPair.generate().public_key)
pytestmark = [pytest.mark.processes, pytest.mark.engine, pytest.mark.nightly]


def by(client: OpenAI, **provider: Any) -> str:
    """The node whose replica answers."""
    answer = client.completions.create(
        model=MODEL,
        prompt="To be",
        max_tokens=2,
        extra_body={"provider": provider} if provider else {},
    ).model_dump()
    return str(answer["neurogrid"]["node_id"])


def both_ready(devnet: Devnet) -> bool:
    shown = devnet.http.get(f"/models/{MODEL}").json()["data"]
    return bool(shown["replicas"]["ready"] == 2)


def test_a_request_says_which_of_two_nodes_replicas_answers(devnet: Devnet) -> None:
    devnet.until_idle()
    # The text model's is the first entry. Whoever answers two at a time has a place for the next though the last is just being given back.
    catalogue = shipped_catalogue().replace("concurrency = 8", "concurrency = 2", 1)
    with told_of_models(devnet, catalogue, replica_idle_s=300):
        client = OpenAI(
            base_url=f"{devnet.network.api_url}/v1",
            api_key=devnet.network.api_key,
            max_retries=0,
            timeout=PATIENCE_S,
        )
        ids = [node.peer_id for node in devnet.network.nodes]
        wallets = {node.peer_id: node.wallet for node in devnet.network.nodes}

        def ready() -> bool:
            with ThreadPoolExecutor(8) as asking:
                list(asking.map(lambda _: by(client), range(8)))
            return both_ready(devnet)

        until(ready, "two replicas are ready")
        for node, other in (ids, reversed(ids)):
            assert by(client, only=[node]) == node
            assert by(client, only=[wallets[node]]) == node
            assert by(client, ignore=[other]) == node
            assert by(client, order=[node, other]) == node
            assert by(client, order=[node], allow_fallbacks=False) == node
            assert by(client, order=[NOBODY, node]) == node
            assert by(client, ignore=[wallets[other]], sort="price") == node
            for sort in ("latency", "throughput"):
                assert by(client, only=[node], sort=sort) == node
            # What all of them ask at most.
            assert by(client, only=[node], max_price={"completion": "1000"}) == node
        for nobody in (
            {"only": [NOBODY]},
            {"ignore": ids},
            {"region": "mars"},
            {"max_price": {"completion": "0"}},
            {"order": [NOBODY], "allow_fallbacks": False},
        ):
            with pytest.raises(openai.APIStatusError):
                by(client, **nobody)
