import pytest

from neurogrid_marketplace.allowance import Allowance


def test_an_allowance_lets_a_burst_pass_and_then_the_average() -> None:
    allowance = Allowance(10, now=0.0)
    assert [allowance.take(1, 0.0) for _ in range(20)] == [0.0] * 20
    assert allowance.take(5, 0.0) == pytest.approx(0.5)
    assert allowance.take(1, 0.6) == pytest.approx(0.0)
    assert allowance.take(1, 100.0) == 0.0
    assert [allowance.take(1, 100.0) for _ in range(19)] == [0.0] * 19
    assert allowance.take(1, 100.0) > 0
