"""From a kind to its CustomResourceDefinition: pydantic's JSON schema, made structural.

A structural schema (KEP-1111; Kubernetes, "Specifying a structural schema") has no references, no alternatives and no nulls. Where JSON schema says
something that it can't, a CEL rule says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from exchange_kernel.api.base import GROUP, VERSION, Kind
from exchange_kernel.api.wording import WORDINGS

Schema: TypeAlias = dict[str, Any]

#: What of JSON schema stands in a CRD as it is.
_KEPT = ("description", "type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "maxProperties",
         "required", "default", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations")

#: What is for people with the model before them, or said otherwise below.
_LEFT_OUT = frozenset({"title", "$defs", "properties", "items", "additionalProperties", "propertyNames"})


def crd(kind: type[Kind]) -> Schema:
    """The CustomResourceDefinition of a kind, as a document."""
    resource = kind.resource
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.crd_name},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.__name__, "listKind": f"{kind.__name__}List", "plural": resource.plural, "singular": resource.singular,
                # Never `all`: `kubectl delete all --all` would cancel orders.
                "shortNames": list(resource.short_names), "categories": ["trading"],
            },
            "scope": "Namespaced",
            "versions": [{
                "name": VERSION,
                "served": True,
                "storage": True,
                **({"subresources": {"status": {}}} if "status" in kind.model_fields else {}),
                "selectableFields": [{"jsonPath": path} for path in resource.selectable],
                "additionalPrinterColumns": [
                    {"name": column.name, "type": column.type, "jsonPath": column.path, "description": column.description, "priority": 1 if column.wide else 0}
                    for column in resource.columns
                ],
                "schema": {"openAPIV3Schema": object_schema(kind)},
            }],
        },
    }


def object_schema(kind: type[Kind]) -> Schema:
    """The structural schema of the whole object."""
    generated = kind.model_json_schema(by_alias=True)
    parts = {part: _structural(generated["properties"][part], generated["$defs"]) for part in ("spec", "status") if part in kind.model_fields}
    if kind.written_by_people:
        _say_in_words(parts["spec"])
    if "status" in parts:
        # The operator alone writes it: who owns which field of which condition would take more bytes than the status itself, in every object, write
        # and watch event.
        parts["status"]["x-kubernetes-map-type"] = "atomic"
        # Shown from the first moment, so that nothing that watches conditions takes an order nobody has looked at for a finished one (kstatus).
        parts["status"]["default"] = {name: field["default"] for name, field in parts["status"]["properties"].items() if "default" in field}
    schema: Schema = {
        "description": generated["description"],
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
            "kind": {"type": "string", "description": kind.__name__},
            "metadata": {"type": "object"},     # the API server's own, and described by it
            **parts,
        },
    }
    if kind.rules:
        schema["x-kubernetes-validations"] = generated["x-kubernetes-validations"]
    return schema


def _structural(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """One node without references, alternatives and nulls; what a field says of itself goes before what its type says."""
    if "$ref" in node:
        named = _structural(definitions[node["$ref"].rpartition("/")[2]], definitions)
        return {**named, **_structural({name: value for name, value in node.items() if name != "$ref"}, definitions)}
    if "anyOf" in node:
        only, *others = (choice for choice in node["anyOf"] if choice.get("type") != "null")
        if others:
            raise ValueError("a structural schema can't say anyOf: write the field in another way")
        rest = {name: value for name, value in node.items() if name != "anyOf" and not (name == "default" and value is None)}
        return {**_structural(only, definitions), **_structural(rest, definitions)}
    if unknown := node.keys() - set(_KEPT) - _LEFT_OUT:
        raise ValueError(f"a structural schema can't say {', '.join(sorted(unknown))}: write the field in another way")
    schema: Schema = {name: node[name] for name in _KEPT if name in node}
    if node.get("type") == "integer":
        # Without it the Kubernetes tools take numbers from a schema for 64-bit floats.
        schema["format"] = "int32" if node.get("maximum", 2**63) < 2**31 else "int64"
    if "properties" in node:
        schema["properties"] = {name: _structural(field, definitions) for name, field in node["properties"].items()}
    if "items" in node:
        schema["items"] = _structural(node["items"], definitions)
    values = node.get("additionalProperties")
    if isinstance(values, Mapping):
        schema["additionalProperties"] = _structural(values, definitions)
    if "propertyNames" in node:
        schema["x-kubernetes-validations"] = [_names_rule(node["propertyNames"])]
    return schema


def _say_in_words(schema: Schema) -> None:
    """Put rules that have sentences in place of patterns.

    CEL reads a `date-time` as a time, and not as the text that it was: such a field loses its format.
    """
    if (wording := WORDINGS.get(schema.get("pattern", ""))) is not None:
        del schema["pattern"]
        if schema.pop("format", None) is not None:
            schema["maxLength"] = 40
        schema["x-kubernetes-validations"] = wording.rules() + schema.get("x-kubernetes-validations", [])
    for part in (*schema.get("properties", {}).values(), *(schema[name] for name in ("items", "additionalProperties") if name in schema)):
        _say_in_words(part)


def _names_rule(names: Mapping[str, Any]) -> Schema:
    """CEL for what JSON schema calls propertyNames."""
    shortest, longest = names["minLength"], names["maxLength"]
    return {"rule": f"self.all(name, size(name) >= {shortest} && size(name) <= {longest})", "message": f"its keys must have {shortest} to {longest} characters"}
