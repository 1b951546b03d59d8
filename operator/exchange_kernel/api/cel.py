"""The part of CEL that our rules are written in, evaluated in Python: so that one rule serves the API server and a caller that has none.

Booleans, comparisons, `in`, `has()`, `double()` of a text, `?:`, lists, texts, numbers, fields, `.matches()`, `.size()` and the macros `.all()`,
`.exists()`, `.filter()`.
Rules that need more of the language are the server's alone.
https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, TypeAlias

_TOKEN = re.compile(r"\s*(?:(?P<text>r?'[^'\\]*'|r'[^']*')|(?P<number>\d+)|(?P<name>[A-Za-z_]\w*)|(?P<sign>&&|\|\||[=!<>]=|[!?:.,()\[\]<>]))")

Scope: TypeAlias = Mapping[str, Any]
Evaluate: TypeAlias = Callable[[Scope], Any]


class NotOurCel(Exception):
    """The expression uses something that is not read here."""


@cache
def compiled(expression: str) -> Evaluate:
    """The expression as a function of its variables (`self`, `oldSelf`), which are JSON values. Raises NotOurCel."""
    parser = _Parser(expression)
    evaluate = parser.ternary()
    parser.expect("")
    return evaluate


class _Parser:
    """Recursive descent, one method for each level of precedence."""

    def __init__(self, expression: str) -> None:
        self._expression, self._at, self._token, self._kind = expression, 0, "", ""
        self._advance()

    def _advance(self) -> str:
        taken = self._token
        found = _TOKEN.match(self._expression, self._at)
        if found is None:
            if self._expression[self._at:].strip():
                raise NotOurCel(f"at {self._at} in {self._expression}")
            self._token = self._kind = ""
        else:
            self._at, self._kind = found.end(), str(found.lastgroup)
            self._token = found[self._kind]
        return taken

    def _take(self, token: str) -> bool:
        if self._token != token or self._kind == "text":
            return False
        self._advance()
        return True

    def expect(self, token: str) -> None:
        if self._token != token:
            raise NotOurCel(f"expected {token or 'the end'!r}, found {self._token!r} in {self._expression}")
        self._advance()

    def ternary(self) -> Evaluate:
        condition = self._either()
        if not self._take("?"):
            return condition
        chosen = self.ternary()
        self.expect(":")
        otherwise = self.ternary()
        return lambda scope: chosen(scope) if condition(scope) else otherwise(scope)

    def _either(self) -> Evaluate:
        terms = [self._both()]
        while self._take("||"):
            terms.append(self._both())
        return terms[0] if len(terms) == 1 else lambda scope: any(term(scope) for term in terms)

    def _both(self) -> Evaluate:
        terms = [self._relation()]
        while self._take("&&"):
            terms.append(self._relation())
        return terms[0] if len(terms) == 1 else lambda scope: all(term(scope) for term in terms)

    def _relation(self) -> Evaluate:
        left = self._negation()
        for sign, compare in _RELATIONS.items():
            if self._take(sign):
                return _related(left, compare, self._negation())
        return left

    def _negation(self) -> Evaluate:
        if self._take("!"):
            negated = self._negation()
            return lambda scope: not negated(scope)
        return self._member(self._primary())

    def _member(self, value: Evaluate) -> Evaluate:
        while self._take("."):
            name = self._name()
            if name in _MACROS:
                value = self._macro(value, _MACROS[name])
            elif name == "size":
                self.expect("(")
                self.expect(")")
                value = _size(value)
            else:
                value = self._matches(value) if name == "matches" else _field(value, name)
        return value

    def _macro(self, items: Evaluate, gather: Callable[[Iterable[tuple[Any, bool]]], Any]) -> Evaluate:
        """`items.all(x, …)`: the rest is evaluated once for each item, as x."""
        self.expect("(")
        variable = self._name()
        self.expect(",")
        condition = self.ternary()
        self.expect(")")
        return lambda scope: gather((item, condition({**scope, variable: item})) for item in items(scope))

    def _matches(self, value: Evaluate) -> Evaluate:
        self.expect("(")
        pattern = self._literal()
        self.expect(")")
        search = re.compile(pattern).search
        return lambda scope: search(value(scope)) is not None

    def _primary(self) -> Evaluate:
        if self._take("("):
            inner = self.ternary()
            self.expect(")")
            return inner
        if self._take("["):
            items = self._items()
            return lambda scope: [item(scope) for item in items]
        if self._kind == "text":
            text = self._literal()
            return lambda scope: text
        if self._kind == "number":
            number = int(self._advance())
            return lambda scope: number
        name = self._name()
        if name in ("true", "false"):
            return lambda scope: name == "true"
        if name == "has":
            return self._has()
        if name == "double":
            return self._double()
        return lambda scope: scope[name]

    def _has(self) -> Evaluate:
        """`has(a.b)`: whether a, which must exist, has b."""
        self.expect("(")
        path = [self._name()]
        while self._take("."):
            path.append(self._name())
        self.expect(")")
        *holder, name = path

        def has(scope: Scope) -> bool:
            value: Any = scope
            for step in holder:
                value = value[step]
            return name in value

        return has

    def _double(self) -> Evaluate:
        """`double(text)`, kept exact: two that differ here may be equal for the server, and never the other way round."""
        self.expect("(")
        text = self.ternary()
        self.expect(")")
        return lambda scope: Decimal(text(scope))

    def _items(self) -> list[Evaluate]:
        items: list[Evaluate] = []
        while not self._take("]"):
            items.append(self.ternary())
            if self._token != "]":
                self.expect(",")
        return items

    def _name(self) -> str:
        if self._kind != "name":
            raise NotOurCel(f"expected a name, found {self._token!r} in {self._expression}")
        return self._advance()

    def _literal(self) -> str:
        if self._kind != "text":
            raise NotOurCel(f"expected text, found {self._token!r} in {self._expression}")
        return self._advance().removeprefix("r")[1:-1]


#: What gathers an item and whether the condition holds for it.
_MACROS: Mapping[str, Callable[[Iterable[tuple[Any, bool]]], Any]] = {
    "all": lambda items: all(holds for _, holds in items),
    "exists": lambda items: any(holds for _, holds in items),
    "filter": lambda items: [item for item, holds in items if holds],
}

_RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: bool(left == right),
    "!=": lambda left, right: bool(left != right),
    "<=": lambda left, right: bool(left <= right),
    ">=": lambda left, right: bool(left >= right),
    "<": lambda left, right: bool(left < right),
    ">": lambda left, right: bool(left > right),
    "in": lambda left, right: left in right,
}


def _related(left: Evaluate, compare: Callable[[Any, Any], bool], right: Evaluate) -> Evaluate:
    return lambda scope: compare(left(scope), right(scope))


def _size(value: Evaluate) -> Evaluate:
    return lambda scope: len(value(scope))


def _field(value: Evaluate, name: str) -> Evaluate:
    return lambda scope: value(scope)[name]
