"""GPUs by the names that people type: ``rtx-4090`` is what a node calls ``NVIDIA GeForce RTX 4090``."""

import re

_FAMILY = re.compile(r"\b(nvidia|amd|geforce|rtx|gtx|quadro|tesla|titan|radeon|rx|instinct)[-_]")
_SUFFIX = re.compile(r"(?<=\d)[-_](?=(?:ti|super|ada|laptop)\b)")
_MEMORY = re.compile(r"[-_ ](\d{1,4})gb$")


def gpu_need(name: str) -> tuple[str, int]:
    """What ``gpu_model`` has to contain, without regard to case; and the memory that the name asks for, GB, 0: any.

    >>> gpu_need("rtx-4090"), gpu_need("RTX 4070-Ti"), gpu_need("a100-80gb")
    (('rtx 4090', 0), ('rtx 4070 ti', 0), ('a100', 80))
    """
    text = " ".join(name.casefold().split())
    memory = _MEMORY.search(text)
    if memory:
        text = text[: memory.start()]
    text = _SUFFIX.sub(" ", _FAMILY.sub(r"\1 ", text))
    return text, int(memory[1]) if memory else 0
