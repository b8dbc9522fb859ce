"""Text that strangers have written, on an owner's terminal. Pure."""


def harmless(text: str) -> str:
    """With everything written out that moves a cursor or does worse; a progress bar's returns become lines.

    A job's log is its client's: on a terminal its bytes could hide lines, or answer for the owner.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode()
        for each in text
    )
