"""The part of CEL that our rules are written in, evaluated in Python: so that one rule serves the API server and a caller that has none.

Booleans, `==`, `!=`, `in`, `has()`, `?:`, lists, texts, numbers, fields and `.matches()`. Rules that need more of the language are the server's alone.
https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeAlias

_TOKEN = re.compile(r"\s*(?:(?P<text>r?'[^'\\]*'|r'[^']*')|(?P<number>\d+)|(?P<name>[A-Za-z_]\w*)|(?P<sign>&&|\|\||==|!=|[!?:.,()\[\]]))")

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
        if self._take("=="):
            right = self._negation()
            return lambda scope: left(scope) == right(scope)
        if self._take("!="):
            right = self._negation()
            return lambda scope: left(scope) != right(scope)
        if self._take("in"):
            right = self._negation()
            return lambda scope: left(scope) in right(scope)
        return left

    def _negation(self) -> Evaluate:
        if self._take("!"):
            negated = self._negation()
            return lambda scope: not negated(scope)
        return self._member(self._primary())

    def _member(self, value: Evaluate) -> Evaluate:
        while self._take("."):
            name = self._name()
            value = self._matches(value) if name == "matches" else _field(value, name)
        return value

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


def _field(value: Evaluate, name: str) -> Evaluate:
    return lambda scope: value(scope)[name]
