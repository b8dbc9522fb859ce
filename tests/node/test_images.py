import trio
from trio.testing import MockClock

from neurogrid_node.container.errors import EngineRefused, EngineUnavailable
from neurogrid_node.container.images import Images
from neurogrid_node.container.spec import ImageInfo

HERE = ImageInfo("here:1", "sha256:" + "0" * 64, None, 123)


class Source:
    """An engine that answers as it is told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.takes_s = 0.0

    async def image(self, reference: str) -> ImageInfo | None:
        self.asked.append(reference)
        await trio.sleep(self.takes_s)
        if self.error is not None:
            raise self.error
        return HERE if reference == HERE.reference else None


async def test_an_answer_is_remembered_for_a_while(autojump_clock: MockClock) -> None:
    source = Source()
    images = Images(source)
    for _ in range(3):
        assert await images.size_bytes("here:1") == 123
        assert await images.size_bytes("away:1") == 0
    assert source.asked == ["here:1", "away:1"]
    await trio.sleep(11)
    await images.size_bytes("away:1")
    assert len(source.asked) == 3


async def test_a_name_that_the_engine_refuses_is_not_here(autojump_clock: MockClock) -> None:
    source = Source()
    source.error = EngineRefused("invalid reference format")
    assert await Images(source).size_bytes("a:::b") == 0


async def test_an_engine_that_is_away_or_slow_cannot_say(autojump_clock: MockClock) -> None:
    source = Source()
    images = Images(source)
    source.error = EngineUnavailable("restarting")
    assert await images.size_bytes("here:1") is None
    source.error = None
    source.takes_s = 100
    began = trio.current_time()
    assert await images.size_bytes("here:1") is None
    assert trio.current_time() - began < 2
    # Nothing is remembered of that.
    source.takes_s = 0
    assert await images.size_bytes("here:1") == 123


async def test_any_number_of_names_takes_bounded_memory(autojump_clock: MockClock) -> None:
    images = Images(Source())
    for number in range(5_000):
        await images.size_bytes(f"name:{number}")
    assert len(images._known) <= 512
