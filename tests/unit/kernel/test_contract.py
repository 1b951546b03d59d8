"""The abstract class has the methods of the design, with these signatures, and no others."""

from __future__ import annotations

import inspect

import pytest

from exchange_kernel.kernel import ExchangeKernel, KubernetesKernel, LocalKernel
from exchange_kernel.schema import StandardOrder, StandardOrderGroup

CONTRACT = {
    "place_order": "async (order: 'StandardOrder', metadata: 'dict[str, Any] | None' = None) -> 'str'",
    "place_order_group": "async (group: 'StandardOrderGroup', metadata: 'dict[str, Any] | None' = None) -> 'list[str]'",
    "cancel_order": "async (intent_id: 'str') -> 'None'",
    "modify_order": "async (intent_id: 'str', new_order: 'StandardOrder') -> 'None'",
    "cancel_all_orders": "async (symbol_id: 'str | None' = None) -> 'int'",
    "get_order_intent": "async (intent_id: 'str') -> 'OrderIntent'",
    "get_order_state": "async (intent_id: 'str') -> 'OrderState'",
    "get_all_intents": "async (symbol_id: 'str | None' = None) -> 'list[OrderIntent]'",
    "get_all_orders": "async (symbol_id: 'str | None' = None) -> 'list[OrderState]'",
    "get_positions": "async (symbol_id: 'str | None' = None) -> 'list[Position]'",
    "get_account_state": "async () -> 'AccountState'",
    "get_symbol_metadata": "async (symbol_id: 'str') -> 'SymbolMetadata'",
    "get_asset_metadata": "async (asset_id: 'str') -> 'AssetMetadata'",
    "list_symbols": "async () -> 'list[str]'",
    "subscribe_events": "(callback: 'EventCallback', event_filter: 'EventFilter | None' = None) -> 'str'",
    "unsubscribe_events": "(subscription_id: 'str') -> 'None'",
    "start": "async () -> 'None'",
    "stop": "async () -> 'None'",
    "health_check": "async () -> 'dict[str, Any]'",
    "force_reconciliation": "async (intent_id: 'str | None' = None) -> 'None'",
    "get_reconciliation_metrics": "async () -> 'dict[str, Any]'",
}


def signature(method: object) -> str:
    assert callable(method)
    shown = inspect.signature(method)
    without_self = shown.replace(parameters=[parameter for name, parameter in shown.parameters.items() if name != "self"])
    return ("async " if inspect.iscoroutinefunction(method) else "") + str(without_self)


def test_the_contract_has_these_methods_and_no_others():
    assert {name: signature(getattr(ExchangeKernel, name)) for name in ExchangeKernel.__abstractmethods__} == CONTRACT


@pytest.mark.parametrize("kernel", [KubernetesKernel, LocalKernel])
@pytest.mark.parametrize("name", CONTRACT)
def test_both_kernels_keep_the_signature(name, kernel):
    assert signature(getattr(kernel, name)) == CONTRACT[name]


def test_a_kernel_is_made_for_an_exchange_id():
    assert signature(ExchangeKernel.__init__) == "(exchange_id: 'str') -> 'None'"
    assert KubernetesKernel("main").exchange_id == "main"


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_every_method_says_what_it_does(name):
    assert inspect.getdoc(getattr(ExchangeKernel, name))


def test_orders_and_groups_are_public():
    assert (StandardOrder.__module__, StandardOrderGroup.__module__) == ("exchange_kernel.schema.order_spec",) * 2
