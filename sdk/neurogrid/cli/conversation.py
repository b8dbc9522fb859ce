"""A conversation with a model, as it is sent: what was said before goes along, as far as there is room."""

from collections.abc import Sequence

from neurogrid_marketplace.model_requests import MESSAGES_MAX, PROMPT_CHARS_MAX

Message = dict[str, str]


class Conversation:
    """What was said, oldest first. A question counts only once it is answered.

    Args:
        system: what the model is told beforehand; "" for nothing.

    Attributes:
        forgotten: how many messages were left out so far, because there was no room.
    """

    def __init__(self, system: str = "") -> None:
        self._system: list[Message] = [_message("system", system)] if system else []
        self._said: list[Message] = []
        self.forgotten = 0

    def asked(self, question: str) -> Sequence[Message]:
        """What is sent to ask this: as much of what was said before as the API takes, the newest of it.

        Raises:
            ValueError: the question alone is too long.
        """
        last = _message("user", question)
        room = PROMPT_CHARS_MAX - _chars([*self._system, last])
        if room < 0:
            raise ValueError(f"a question has at most {PROMPT_CHARS_MAX:,} characters together")
        excess_chars = _chars(self._said) - room
        excess = len(self._system) + len(self._said) + 1 - MESSAGES_MAX
        gone = 0
        while excess_chars > 0 or excess > gone:
            # A question with its answer: a model is not to answer what it was not asked.
            excess_chars -= _chars(self._said[gone : gone + 2])
            gone += 2
        del self._said[:gone]
        self.forgotten += gone
        return [*self._system, *self._said, last]

    def answered(self, question: str, answer: str) -> None:
        """This was asked, and answered so."""
        self._said += [_message("user", question), _message("assistant", answer)]

    def forget(self) -> None:
        """Begin anew."""
        self._said.clear()


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _chars(messages: Sequence[Message]) -> int:
    return sum(len(each["content"]) for each in messages)
