"""Structured output: a reply that is JSON of a given form, checked before anybody reads it."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import JSONValue

ATTEMPTS = 3
"""How often a model is asked before it is said that it cannot give the form."""


class Form:
    """The form that was asked for: a pydantic model, any type pydantic knows, or a JSON Schema as a dict.

    Of a schema, only that the answer is JSON, and an object where it says so, is checked here.
    """

    def __init__(self, wanted: Any) -> None:
        self._adapter: TypeAdapter[Any] | None = None
        if isinstance(wanted, Mapping):
            given = wanted.get("json_schema", wanted)
            schema: Any = given.get("schema", given) if isinstance(given, Mapping) else None
            if not isinstance(schema, Mapping) or not schema.keys() & {"type", "properties", "anyOf", "$ref", "enum"}:
                raise TypeError("response_format: a pydantic model, or a JSON Schema as a dict, is needed")
            self.schema: dict[str, Any] = dict(schema)
        else:
            self._adapter = TypeAdapter(wanted)
            self.schema = _strict(self._adapter.json_schema())

    def read(self, text: str) -> JSONValue:
        """The value in a model's answer. ValueError says what is wrong with it, in words for the model."""
        text = text.strip()
        if text.startswith("```"):
            text = text.strip("`").removeprefix("json").strip()
        try:
            found: JSONValue = json.loads(text)
        except ValueError:
            raise ValueError("the answer is not JSON") from None
        if self._adapter is None:
            if self.schema.get("type") == "object" and not isinstance(found, dict):
                raise ValueError("the answer is not a JSON object")
            return found
        try:
            value = self._adapter.validate_python(found)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False, include_context=False)
            said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in wrong[:5])
            raise ValueError(f"the answer does not fit: {said}") from None
        dumped: JSONValue = self._adapter.dump_python(value, mode="json")
        return dumped


def form_of(wanted: Any) -> Form | None:
    """The form, or None for none. `{"type": "json_object"}`, as some endpoints have it, is any object."""
    if wanted is None:
        return None
    if isinstance(wanted, Form):
        return wanted
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_object":
        return Form({"type": "object"})
    if isinstance(wanted, type) and not issubclass(wanted, BaseModel) and wanted in (str, bytes):
        raise TypeError("response_format: words need no form; leave it out")
    return Form(wanted)


def misfit(name: str, why: str) -> ChatError:
    """The model has had its attempts."""
    return ChatError(f"the model of {name!r} gave no answer in the form that was asked for ({why})")


def _strict(schema: Any) -> Any:
    """As endpoints want it for strict answers: every member is required and no other is allowed."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and "type" in found:
        found = {**found, "required": list(found["properties"]), "additionalProperties": False}
    return found
