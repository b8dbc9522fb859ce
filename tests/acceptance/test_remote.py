"""Python functions in real containers of a devnet."""

import pytest

import neurogrid
from acceptance.network import Devnet

pytestmark = [pytest.mark.engine, pytest.mark.processes]


def test_functions_run_on_the_network_and_answer_or_raise_as_they_would_here(
    devnet: Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROGRID_NETWORK", str(devnet.data / "network.json"))

    @neurogrid.remote(
        cpu_cores=0.5, ram_gb=0.2, storage_gb=0.05, timeout_s=60, client=devnet.client
    )
    def divided(pair: tuple[int, int]) -> tuple[str, float]:
        print("dividing", pair)
        return "quotient", pair[0] / pair[1]

    assert divided((6, 3)) == ("quotient", 2.0)
    call = divided.submit((1, 4))
    assert call.result(timeout_s=90) == ("quotient", 0.25)
    assert "dividing (1, 4)" in "".join(call.logs())

    first, second = divided.map([(1, 0), (9, 3)], concurrency=2, return_exceptions=True)
    assert isinstance(first, neurogrid.RemoteError)
    assert first.remote_type == "ZeroDivisionError"
    assert "pair[0] / pair[1]" in first.remote_traceback or "divided" in first.remote_traceback
    assert second == ("quotient", 3.0)
