"""The part of CEL that is read here. That it agrees with the API server's is shown by the refused examples, which both must refuse."""

from __future__ import annotations

import pytest

from exchange_kernel.api import KINDS, ExchangeAccountSpec, GroupMember, OrderGroupSpec, OrderIntentSpec
from exchange_kernel.api.cel import NotOurCel, compiled

SELF = {"type": "Limit", "price": "1", "inner": {"name": "a"}, "count": 3, "on": True, "list": [1, 2, 3]}


@pytest.mark.parametrize(("expression", "value"), [
    ("true", True),
    ("!false", True),
    ("self.type == 'Limit'", True),
    ("self.type != 'Limit'", False),
    ("self.type in ['Market', 'Limit']", True),
    ("self.type in []", False),
    ("has(self.price)", True),
    ("has(self.quantity)", False),
    ("has(self.inner.name) && !has(self.inner.other)", True),
    ("self.count == 3", True),
    ("true || false && false", True),
    ("(true || false) && false", False),
    ("!(self.type == 'Market') && self.on", True),
    ("has(self.quantity) ? self.quantity == '1' : self.price == '1'", True),
    ("has(self.price) == has(self.type)", True),
    ("self.inner.name.matches('^[ab]$')", True),
    (r"self.inner.name.matches(r'^\w$')", True),
    ("self.type.matches('^Lim')", True),
    ("self.list.all(x, x > 0)", True),
    ("self.list.all(x, x >= 2)", False),
    ("self.list.exists(x, x == self.count)", True),
    ("self.list.filter(x, x < 3).size() == 2 && self.list.size() <= 3", True),
    ("self.list.all(x, self.list.exists(y, x == y))", True),
    ("double(self.price) <= double('1.0')", True),
    ("double(self.price) < double('1.0')", False),
    ("self.type == 'a' || self.type == \t'Limit'", True),
])
def test_what_an_expression_means(expression, value):
    assert compiled(expression)({"self": SELF}) is value


def test_an_or_stops_at_the_first_true_term():
    assert compiled("!has(self.other) || self.other == 'x'")({"self": SELF})


@pytest.mark.parametrize("expression", ["", "self.", "self.a ==", "(true", "true)", "size(self.price) < 3", "has('x')", "1 + 1", "self.list.map(x, x)", "a b", "'open"])
def test_what_is_not_read_here_is_an_error_and_never_a_guess(expression):
    with pytest.raises(NotOurCel):
        compiled(expression)


def test_every_rule_of_every_kind_is_read():
    for model in (*KINDS, OrderIntentSpec, OrderGroupSpec, GroupMember, ExchangeAccountSpec):
        for rule in model.rules:
            compiled(rule.cel)
