"""How a provider's program may say that a task ended: document 003's words as the market's outcomes. Pure."""

from neurogrid_marketplace.faults import CONSEQUENCES, Fault, Outcome

# Document 003's own word for a program that ended with an error.
EXECUTION_ERROR = "EXECUTION_ERROR"
# What is found out by somebody else: by the coordinator, the client, or the rules of the lease themselves.
_NOT_TO_SAY = frozenset(
    {
        Outcome.COMPLETED,
        Outcome.CANCELLED,
        Outcome.NODE_LOST,
        Outcome.RESULT_INVALID,
        Outcome.EXPOSURE_EXHAUSTED,
        Outcome.PREEMPTED,
        Outcome.TIME_EXCEEDED,
    }
)
# Of a program that never ran.
NEVER_RAN = frozenset(
    {
        Outcome.JOB_REFUSED,
        Outcome.IMAGE_NOT_FOUND,
        Outcome.COMMAND_NOT_FOUND,
        Outcome.INPUT_UNAVAILABLE,
        Outcome.INPUT_UNREADABLE,
        Outcome.START_FAILED,
        Outcome.PULL_STALLED,
        Outcome.ESCROW_UNSEEN,
    }
)
SAYABLE = tuple(outcome for outcome in Outcome if outcome not in _NOT_TO_SAY)


def outcome_of(error_code: str, *, has_run: bool) -> Outcome:
    """The market's outcome for an error code: ``EXECUTION_ERROR``, or an outcome's name in any case.

    Raises:
        ValueError: there is none such, a provider can't say it, or not of a task that has run (or not).
    """
    word = error_code.strip().lower()
    if error_code.strip().upper() == EXECUTION_ERROR:
        word = Outcome.EXIT_NONZERO.value
    outcome = next((each for each in SAYABLE if each.value == word), None)
    if outcome is None:
        named = ", ".join(f"{each.value.upper()} ({_blame(each)})" for each in SAYABLE)
        said = next((each for each in Outcome if each.value == word), None)
        why = "is not for a provider to say" if said is not None else "is no error code"
        raise ValueError(f"{error_code!r} {why}; there are {EXECUTION_ERROR}, {named}")
    if has_run and outcome in NEVER_RAN:
        raise ValueError(f"{error_code} is of a task that never ran, and this one was started")
    if not has_run and outcome not in NEVER_RAN:
        raise ValueError(
            f"{error_code} is of a task that was started, and this one was not: say START_FAILED, or what else kept it "
            f"from it ({', '.join(each.value.upper() for each in Outcome if each in NEVER_RAN)})"
        )
    return outcome


def _blame(outcome: Outcome) -> str:
    fault = CONSEQUENCES[outcome].fault
    return "nobody's fault" if fault is Fault.NONE else f"{fault.value}'s fault"
