"""What a kind is written with: base classes, `field`, and the rules that hold between fields.

One class gives the CRD (`crd.py`), its CEL, the check for those who have no API server (`problems`), `kubectl explain` and the reference page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from exchange_kernel.api.cel import compiled
from exchange_kernel.api.wording import TIME, TIMES

GROUP: Final = "exchange-kernel.io"
VERSION: Final = "v1alpha1"

INT32_MAX: Final = 2**31 - 1


# ── Types ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

#: Names another object in the same namespace (a DNS subdomain, RFC 1123).
ObjectName: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern="^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]

#: An id that an exchange gave, or that we gave it.
Identifier: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=128)]

#: An asset's code, as ccxt writes it.
Asset: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def clipped(length: int) -> BeforeValidator:
    """Cuts what others wrote down to a field's bound: a status that breaks one bound is refused whole."""
    return BeforeValidator(lambda text: text[:length] if isinstance(text, str) else text)


#: A sentence for people in status.
Message: TypeAlias = Annotated[str, clipped(1024), StringConstraints(max_length=1024)]

#: A word for programs in status.
Reason: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern="^[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?$")]


def rfc3339(time: datetime) -> str:
    """UTC, to the microsecond: `2026-01-31T12:00:00.000000Z`."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read_time(value: Any, read: ValidatorFunctionWrapHandler) -> datetime:
    try:
        return read(value)  # type: ignore[no-any-return]
    except ValidationError:
        problem = TIMES.problem(value) if isinstance(value, str) else None
        if problem is None:
            raise
        raise ValueError(problem) from None


#: The API server's own `date-time` lets through forms that no parser reads ("12:00:00x5Z"); the pattern does not.
Time: TypeAlias = Annotated[
    AwareDatetime, WrapValidator(_read_time), PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": TIME}),
]


# ── Fields and rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def field(description: str, *, default: Any = ..., examples: Sequence[str] = (), minimum: int | None = None, maximum: int | None = None,
          max_items: int | None = None, key: str | tuple[str, ...] | None = None, unique: bool = False) -> Any:
    """A described field. A list says `max_items`, and `key` (the field or fields by which its items are told apart) or `unique`; it is empty by default."""
    if examples:
        description = f"{description} For example {' or '.join(examples)}."
    options: dict[str, Any] = {"description": description, "ge": minimum, "le": maximum, "max_length": max_items}
    options |= {"default": default} if max_items is None else {"default_factory": list}
    if key is not None:
        options["json_schema_extra"] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key] if isinstance(key, str) else list(key)}
    elif unique:
        options["json_schema_extra"] = {"x-kubernetes-list-type": "set"}
    return Field(**options)


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold between fields, in CEL, and the sentence for whom it is broken. `self` is the object the rule stands in, `oldSelf` what it was."""

    cel: str
    message: str
    at: str             # the field to name (camelCase)
    reason: Literal["FieldValueRequired", "FieldValueForbidden"]
    at_creation: bool = False   # later edits are not held to it

    @property
    def is_transition(self) -> bool:
        return "oldSelf" in self.cel

    def document(self) -> dict[str, Any]:
        """As it stands in a CRD."""
        said = {"message": self.message, "reason": self.reason, "fieldPath": f".{self.at}"}
        if self.at_creation:
            return {"rule": f"oldSelf.hasValue() || ({self.cel})", "optionalOldSelf": True, **said}
        return {"rule": self.cel, **said}


def required(cel: str, message: str, *, at: str) -> Rule:
    """A rule that is broken by a field that is missing."""
    return Rule(cel, message, at, "FieldValueRequired")


def forbidden(cel: str, message: str, *, at: str) -> Rule:
    """A rule that is broken by a field that must not be there, or not with this value."""
    return Rule(cel, message, at, "FieldValueForbidden")


def when_created(cel: str, message: str, *, at: str) -> Rule:
    """A rule about a new object only: an edit that breaks it has its own meaning. For the top of a spec, where Kubernetes knows an old value."""
    return Rule(cel, message, at, "FieldValueForbidden", at_creation=True)


def immutable(*names: str, instead: str) -> tuple[Rule, ...]:
    """Fields (camelCase) that keep their value for ever; an absent one stays absent. `instead`: what to do."""
    return tuple(forbidden(unchanged(name), f"{name} can't be changed: {instead}", at=name) for name in names)


def unchanged(path: str) -> str:
    """CEL: this field is as it was, absent or present. (`.?` would be shorter; its cost counts as unbounded on Kubernetes 1.36.)"""
    return f"has(self.{path}) == has(oldSelf.{path}) && (!has(self.{path}) || self.{path} == oldSelf.{path})"


# ── Base classes ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

class Model(BaseModel):
    """An object of the API: snake_case in Python, camelCase in JSON."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    rules: ClassVar[Sequence[Rule]] = ()

    def document(self) -> dict[str, Any]:
        """As JSON values under their camelCase names, without what is absent or empty."""
        return {name: value for name, value in self.model_dump(mode="json", by_alias=True, exclude_none=True).items() if value != []}

    def problems(self, old: Model | None = None) -> list[str]:
        """The sentences of all rules broken here or further down; those about changes are judged against `old`. What the API server says by CEL."""
        return list(self._broken(old))

    def _broken(self, old: Model | None) -> Iterator[str]:
        scope = {"self": self.document(), **({"oldSelf": old.document()} if old is not None else {})}
        for rule in self.rules:
            if rule.at_creation and old is not None:
                continue
            if (old is not None or not rule.is_transition) and not compiled(rule.cel)(scope):
                yield rule.message
        for name in type(self).model_fields:
            value, before = getattr(self, name), getattr(old, name, None)
            if isinstance(value, Model):
                yield from value._broken(before if isinstance(before, Model) else None)
            elif isinstance(value, list):
                # Items are told apart by name, as the API server tells those of a list by key.
                named = {item.name: item for item in before or () if isinstance(item, Named)}
                if len(names := [item.name for item in value if isinstance(item, Named)]) > len(set(names)):
                    yield "Duplicate value: names are unique in their list"
                for item in value:
                    if isinstance(item, Model):
                        yield from item._broken(named.get(item.name) if isinstance(item, Named) else None)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core_schema))
        if cls.rules:
            schema["x-kubernetes-validations"] = [rule.document() for rule in cls.rules]
        return schema


class Named(Model):
    """An item of a list by `name`."""

    name: str


class Spec(Model):
    """What is wanted. A field this version does not know is refused, never overlooked: it may be the one that limits an order."""

    model_config = ConfigDict(extra="forbid")


class Status(Model):
    """What is. Written by the operator only; a newer version may have written more than this one knows."""

    model_config = ConfigDict(extra="ignore")


def status_patch(old: Status, new: Status) -> dict[str, Any]:
    """The JSON merge patch (RFC 7396) that makes the stored status `new`, where `old` is what was read; empty if they mean the same.

    Only what was read counts as stored: a default that was never written is written.
    """
    stored = old.model_dump(mode="json", by_alias=True, exclude_none=True, include=old.model_fields_set)
    return _merge_patch({name: value for name, value in stored.items() if value != []}, new.document())


def spec_patch(old: Spec, new: Spec) -> dict[str, Any]:
    """The JSON merge patch that makes the stored spec `new`."""
    return _merge_patch(old.document(), new.document())


def _merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := _merge_patch(before, value):
                patch[name] = inner
        elif value != before:
            patch[name] = value
    return patch


# ── Kinds ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; `wide`: only with `-o wide`."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """How a kind is served."""

    plural: str
    singular: str
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...]        # paths for --field-selector; the API server takes at most 8

    @property
    def crd_name(self) -> str:
        return f"{self.plural}.{GROUP}"


class ObjectMeta(Model):
    """What Kubernetes keeps of every object, as far as it is of use here."""

    model_config = ConfigDict(extra="ignore")

    name: str
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: int | None = None
    creation_timestamp: AwareDatetime | None = None
    deletion_timestamp: AwareDatetime | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: list[str] | None = None


class Kind(Model):
    """A whole object. A subclass adds `spec` and `status`, and how it is served."""

    resource: ClassVar[Resource]
    written_by_people: ClassVar[bool] = True  # so that texts of a wrong form are refused in sentences

    api_version: Literal["exchange-kernel.io/v1alpha1"] = "exchange-kernel.io/v1alpha1"
    metadata: ObjectMeta
