"""Waiting for money: how long, how often it is said, and what ends it."""

import pytest
import trio

from neurogrid_node.money.funding import until_funded
from neurogrid_node.money.moves import MoveRefused, Refusal
from neurogrid_wallet.errors import RpcUnavailable

LACKS_SOL = MoveRefused(Refusal.NOT_ENOUGH_SOL, "no SOL")
LACKS_USDC = MoveRefused(Refusal.NOT_ENOUGH_USDC, "no USDC")


class Wallet:
    """Answers in turn; the last answer stays."""

    def __init__(self, *answers: str | Exception) -> None:
        self._answers = list(answers)
        self.told: list[str] = []

    async def attempt(self) -> str:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def waited(self, timeout_s: float) -> str:
        return await until_funded(self.attempt, timeout_s, self.told.append)


async def test_each_thing_that_is_missing_is_said_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    wallet = Wallet(
        LACKS_SOL, LACKS_SOL, RpcUnavailable("getBalance", "away"), LACKS_USDC, LACKS_USDC, "funded"
    )
    assert await wallet.waited(3600) == "funded"
    assert [said.partition(";")[0] for said in wallet.told] == [
        "no SOL",
        "getBalance: away",
        "no USDC",
    ]
    assert trio.current_time() < 30


async def test_it_ends_when_the_time_is_over(autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    with pytest.raises(MoveRefused, match="no USDC"):
        await Wallet(LACKS_USDC).waited(600)
    assert trio.current_time() - began == pytest.approx(600)
    with pytest.raises(RpcUnavailable):
        await Wallet(RpcUnavailable("getBalance", "away")).waited(5)


async def test_what_money_does_not_mend_is_not_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    paused = MoveRefused(Refusal.MARKET_PAUSED, "paused")
    began = trio.current_time()
    for answers in ((paused,), (LACKS_SOL,)):
        wallet = Wallet(*answers)
        with pytest.raises(MoveRefused):
            await wallet.waited(3600 if answers == (paused,) else 0)
        assert wallet.told == []
    assert trio.current_time() == began
