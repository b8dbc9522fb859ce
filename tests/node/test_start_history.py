import msgspec
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_node.market.start_history import (
    DEFAULT_PULL_MS,
    DEFAULT_READY_MS,
    KEPT,
    NOTHING_MEASURED,
    Prediction,
    StartHistory,
    StartTook,
)

IMAGE = "app:1"
times = st.integers(0, 10**7)
starts = st.builds(
    StartTook,
    total_ms=times,
    image=st.sampled_from([IMAGE, "other:1"]),
    pull_ms=times,
    pulled_bytes=st.integers(0, 10**11),
    inputs_ms=times,
    input_bytes=st.integers(0, 10**11),
)


def after(*took: StartTook) -> StartHistory:
    history = NOTHING_MEASURED
    for start in took:
        history = history.with_start(start)
    return history


def predicted(history: StartHistory, *, has_image: bool = True, input_bytes: int = 0) -> Prediction:
    return history.predict(IMAGE, has_image=has_image, input_bytes=input_bytes)


def test_a_new_machine_says_what_is_usual_and_that_it_may_be_more() -> None:
    here = predicted(NOTHING_MEASURED)
    assert here.start_ms == DEFAULT_READY_MS < here.start_p95_ms
    assert predicted(NOTHING_MEASURED, has_image=False).start_ms == (
        DEFAULT_READY_MS + DEFAULT_PULL_MS
    )
    assert predicted(NOTHING_MEASURED, input_bytes=2 * 10**9).start_ms > 60_000


def test_the_median_and_the_95th_percentile_are_said() -> None:
    history = after(*(StartTook(1_000 + n, IMAGE) for n in range(19)), StartTook(9_000, IMAGE))
    assert predicted(history) == Prediction(1_009, 1_018)
    history = history.with_start(StartTook(9_000, IMAGE))
    assert predicted(history).start_p95_ms == 9_000


def test_a_pull_says_nothing_about_the_next_job_whose_image_is_here() -> None:
    pulled = StartTook(60_500, IMAGE, pull_ms=60_000, pulled_bytes=600_000_000)
    assert predicted(after(pulled)) == Prediction(500, 500)


def test_an_image_that_was_here_before_takes_its_size_at_the_measured_rates() -> None:
    small = StartTook(10_500, "other:1", pull_ms=10_000, pulled_bytes=100_000_000)
    large = StartTook(60_500, IMAGE, pull_ms=60_000, pulled_bytes=600_000_000)
    history = after(small, large, small)
    assert predicted(history, has_image=False).start_ms == 500 + 60_000
    unknown = history.predict("new:1", has_image=False, input_bytes=0)
    assert unknown.start_ms == 500 + 10_000


def test_image_and_inputs_come_at_once_so_the_slower_counts() -> None:
    took = StartTook(
        20_300, IMAGE, pull_ms=20_000, pulled_bytes=1, inputs_ms=5_000, input_bytes=50_000_000
    )
    history = after(took)
    assert history.ready_ms == (300,)
    assert predicted(history, has_image=False, input_bytes=10_000_000).start_ms == 20_300
    assert predicted(history, has_image=False, input_bytes=500_000_000).start_ms == 50_300


@given(st.lists(starts, max_size=200), st.booleans(), st.integers(0, 2**53 - 1))
def test_whatever_was_measured_the_history_is_bounded_and_what_it_says_is_in_order(
    took: list[StartTook], has_image: bool, input_bytes: int
) -> None:
    history = after(*took)
    for part in (history.ready_ms, history.pulls, history.transfers):
        assert len(part) <= KEPT
    said = predicted(history, has_image=has_image, input_bytes=input_bytes)
    assert 0 <= said.start_ms <= said.start_p95_ms <= 24 * 3_600_000
    assert msgspec.json.decode(msgspec.json.encode(history), type=StartHistory) == history
