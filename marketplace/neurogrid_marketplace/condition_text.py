"""Conditions as people write them, read and written.

    gpu.model ~ "RTX 4090" and gpu.memory >= 24GB and (region = eu-west or region = eu-north)

``and`` binds tighter than ``or``; parentheses nest. Whatever is written becomes clauses (a
conjunctive normal form), and whatever is read can be written again: reading that gives the same
clauses.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from .attribute_values import read_value, write_value
from .attributes import Attribute, UnknownAttribute, Vocabulary
from .condition_checks import refuse_mixed, tidy_condition, without_implied
from .conditions import MAX_ALTERNATIVES, MAX_CLAUSES, MAX_VALUES, Clause, Condition, Operator
from .errors import InvalidValue

F = TypeVar("F")

MAX_TEXT_CHARS = 4096
# Parentheses within parentheses; far below what would exhaust the stack.
_MAX_NESTING = 16
# Clauses that ``or`` may give before those that others imply are dropped: bounds a hostile text's work.
_MAX_PRODUCT = 4 * MAX_CLAUSES
# In the text of an error, of what stands in the way.
_SHOWN_CHARS = 40

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<mark>[(),])
      | (?P<operator>[=<>!~]+)
      | "(?P<quoted>(?:[^"\\]|\\["\\])*)"
      | (?P<bare>[A-Za-z0-9._:/@+-]+)
    )""",
    re.VERBOSE | re.ASCII,
)
_BARE = re.compile(r"[A-Za-z0-9._:/@+-]+", re.ASCII)
_KEYWORDS = frozenset({"and", "or", "in", "not", "has", "lacks"})
_SYMBOLS = {operator.value: operator for operator in Operator if not operator.value[0].isalpha()}


class ConditionError(InvalidValue):
    """A text that is no condition.

    Attributes:
        position: where in the text, counted in characters from 0.
        expected: what would have been right there; a phrase, or empty.
        nearest: attributes that may have been meant.
    """

    def __init__(
        self, problem: str, position: int, *, expected: str = "", nearest: tuple[str, ...] = ()
    ) -> None:
        self.position = position
        self.expected = expected
        self.nearest = nearest
        wanted = f"; expected {expected}" if expected else ""
        super().__init__(f"at character {position + 1}: {problem}{wanted}")


@dataclass(frozen=True, slots=True)
class _Token:
    """``sort``: mark, operator, quoted, bare or end."""

    sort: str
    text: str
    position: int

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords; quoted ones are none."""
        return self.sort == "bare" and self.text.lower() in words

    def shown(self) -> str:
        """For an error."""
        return "the text ends" if self.sort == "end" else f"{self.text[:_SHOWN_CHARS]!r}"


def read_conditions(text: str, vocabulary: Vocabulary[F]) -> tuple[Clause, ...]:
    """Read a text; an empty one has no conditions.

    Raises:
        ConditionError: says where, and what was expected.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise ConditionError(f"more than {MAX_TEXT_CHARS} characters", MAX_TEXT_CHARS)
    tokens = list(_tokens(text))
    if tokens[0].sort == "end":
        return ()
    reader = _Reader(tokens, vocabulary)
    clauses = reader.any_of(0)
    reader.end()
    try:
        refuse_mixed(clauses, vocabulary)
    except InvalidValue as error:
        raise ConditionError(str(error), 0) from error
    return clauses


def write_conditions(clauses: tuple[Clause, ...], vocabulary: Vocabulary[F]) -> str:
    """The text of clauses; `read_conditions` gives them back."""
    many = len(clauses) > 1
    return " and ".join(
        f"({text})" if many and len(clause.alternatives) > 1 else text
        for clause in clauses
        for text in (write_clause(clause, vocabulary),)
    )


def write_clause(clause: Clause, vocabulary: Vocabulary[F]) -> str:
    """The text of one clause: what an explanation calls it."""
    return " or ".join(_write_condition(each, vocabulary) for each in clause.alternatives)


def _write_condition(condition: Condition, vocabulary: Vocabulary[F]) -> str:
    kind = vocabulary[condition.attribute].kind
    values = [_quote(write_value(kind, value)) for value in condition.values]
    if condition.operator in (Operator.IN, Operator.NOT_IN):
        return f"{condition.attribute} {condition.operator} ({', '.join(values)})"
    return f"{condition.attribute} {condition.operator} {values[0]}"


def _quote(value: str) -> str:
    if _BARE.fullmatch(value) and value.lower() not in _KEYWORDS:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position:]
            start = position + len(rest) - len(rest.lstrip())
            if start == len(text):
                break
            if text[start] == '"':
                raise ConditionError(
                    "a quotation begins and does not end", start, expected='a closing "'
                )
            raise ConditionError(f"{text[start]!r} means nothing here; quote texts", start)
        sort = match.lastgroup or ""
        start = match.start(sort) - (sort == "quoted")
        body = match[sort]
        yield _Token(sort, re.sub(r"\\(.)", r"\1", body) if sort == "quoted" else body, start)
        position = match.end()
    yield _Token("end", "", len(text))


class _Reader(Generic[F]):
    """Recursive descent over the tokens of one text."""

    def __init__(self, tokens: list[_Token], vocabulary: Vocabulary[F]) -> None:
        self._tokens = tokens
        self._next = 0
        self._vocabulary = vocabulary

    def any_of(self, depth: int) -> tuple[Clause, ...]:
        """``all_of or all_of or …``, as clauses."""
        start = self._peek()
        clauses = self._all_of(depth)
        while self._peek().is_word("or"):
            self._take()
            clauses = self._either(clauses, self._all_of(depth), start)
        return clauses

    def end(self) -> None:
        """Nothing more may come."""
        token = self._peek()
        if token.sort != "end":
            self._refuse(token, "and, or, or the end")

    def _all_of(self, depth: int) -> tuple[Clause, ...]:
        start = self._peek()
        clauses = self._single(depth)
        while self._peek().is_word("and"):
            self._take()
            clauses = self._bounded(without_implied((*clauses, *self._single(depth))), start)
        return clauses

    def _single(self, depth: int) -> tuple[Clause, ...]:
        token = self._peek()
        if not self._took_mark("("):
            return (Clause((self._condition(),)),)
        if depth == _MAX_NESTING:
            raise ConditionError(f"more than {_MAX_NESTING} nested parentheses", token.position)
        clauses = self.any_of(depth + 1)
        if not self._took_mark(")"):
            self._refuse(self._peek(), "and, or, or )")
        return clauses

    def _condition(self) -> Condition:
        token = self._take()
        if token.sort != "bare" or token.is_word(*_KEYWORDS):
            self._refuse(token, "an attribute, such as region or gpu.memory")
        try:
            attribute = self._vocabulary[token.text]
        except UnknownAttribute as error:
            raise ConditionError(
                str(error), token.position, expected="an attribute", nearest=error.nearest
            ) from error
        operator = self._operator(attribute)
        if operator in (Operator.IN, Operator.NOT_IN):
            return tidy_condition(Condition(attribute.name, operator, self._values(attribute)))
        return Condition(attribute.name, operator, (self._value(attribute),))

    def _operator(self, attribute: Attribute[F]) -> Operator:
        token = self._take()
        word = token.text.lower() if token.sort == "bare" else ""
        if word == "not" and self._peek().is_word("in"):
            self._take()
            found: Operator | None = Operator.NOT_IN
        elif word in ("in", "has", "lacks"):
            found = Operator(word)
        else:
            found = _SYMBOLS.get(token.text) if token.sort == "operator" else None
        takes = ", ".join(attribute.kind.sorted_operators)
        if found is None:
            self._refuse(token, f"how to compare {attribute.name}: {takes}")
        if found not in attribute.kind.operators:
            raise ConditionError(
                f"{attribute.name} is {attribute.kind.name} and does not take {found.value!r}",
                token.position,
                expected=takes,
            )
        return found

    def _values(self, attribute: Attribute[F]) -> tuple[int | str, ...]:
        opening = self._peek()
        if not self._took_mark("("):
            self._refuse(opening, "values in parentheses, as in (a, b)")
        values = [self._value(attribute)]
        while self._took_mark(","):
            values.append(self._value(attribute))
        if not self._took_mark(")"):
            self._refuse(self._peek(), ", or )")
        if len(values) > MAX_VALUES:
            raise ConditionError(f"more than {MAX_VALUES} values", opening.position)
        return tuple(values)

    def _value(self, attribute: Attribute[F]) -> int | str:
        token = self._take()
        if token.sort not in ("bare", "quoted") or token.is_word(*_KEYWORDS):
            self._refuse(token, f"{attribute.kind.name}, such as {attribute.example}")
        text = token.text
        # "24 GB" is what many write.
        if attribute.kind.is_number and text[-1:].isdigit():
            unit = self._peek()
            if unit.sort == "bare" and unit.text in attribute.kind.units:
                text += self._take().text
        try:
            return read_value(attribute.kind, text)
        except InvalidValue as error:
            raise ConditionError(
                f"{attribute.name}: {error}",
                token.position,
                expected=f"{attribute.kind.name}, such as {attribute.example}",
            ) from error

    def _either(
        self, left: tuple[Clause, ...], right: tuple[Clause, ...], start: _Token
    ) -> tuple[Clause, ...]:
        """What holds when all of the left or all of the right does."""
        if len(left) * len(right) > _MAX_PRODUCT:
            self._refuse_size(start)
        both = (
            Clause(tuple(dict.fromkeys((*one.alternatives, *other.alternatives))))
            for one in left
            for other in right
        )
        return self._bounded(without_implied(tuple(both)), start)

    def _bounded(self, clauses: tuple[Clause, ...], start: _Token) -> tuple[Clause, ...]:
        if len(clauses) > MAX_CLAUSES or any(
            len(clause.alternatives) > MAX_ALTERNATIVES for clause in clauses
        ):
            self._refuse_size(start)
        return clauses

    def _refuse_size(self, start: _Token) -> NoReturn:
        raise ConditionError(
            f"written out, this is more than {MAX_CLAUSES} clauses or {MAX_ALTERNATIVES} "
            "alternatives in one",
            start.position,
        )

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        if token.sort != "end":
            self._next += 1
        return token

    def _took_mark(self, mark: str) -> bool:
        token = self._peek()
        if token.sort != "mark" or token.text != mark:
            return False
        self._next += 1
        return True

    def _refuse(self, token: _Token, expected: str) -> NoReturn:
        raise ConditionError(token.shown(), token.position, expected=expected)
