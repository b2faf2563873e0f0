"""What the HTTP+JSON binding has in its queries and its error bodies (A2A 1.0.1 §11), as pure functions."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, get_args
from urllib.parse import parse_qsl

from pydantic import StrictBool
from pydantic.alias_generators import to_camel

from a2a_bridge.errors import A2AError, InvalidParamsError, Violation
from a2a_bridge.protocol.dialect import V1, Dialect
from a2a_bridge.protocol.jsonrpc import error_details
from a2a_bridge.protocol.objects import WireObject, json_bytes

A2A_JSON: Final = "application/a2a+json"
_FLAGS: Final = {"true": True, "false": False}


def status_body(error: A2AError, http_status: int | None = None, dialect: Dialect = V1) -> bytes:
    """A google.rpc.Status as JSON (R-REST-09), and beside it what readers of another version look for."""
    told = {
        "code": error.http_status if http_status is None else http_status,
        "status": error.grpc_status,
        "message": error.message,
        "details": error_details(error),
    }
    return json_bytes({"error": told} if dialect.lower_error is None else {"error": told, **dialect.lower_error(error)})


@cache
def _fields(model: type[WireObject]) -> Mapping[str, tuple[str, bool]]:
    """Under each spelling of a field: its camelCase name, and whether it is true or false."""
    found: dict[str, tuple[str, bool]] = {}
    for name, field in model.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        is_flag = StrictBool in kinds or bool in kinds
        found[name] = found[to_camel(name)] = to_camel(name), is_flag
    return found


def query_params(model: type[WireObject], query: str) -> dict[str, Any]:
    """The parameters in a query, by their camelCase names; numbers stay text, which the model reads (R-REST-04).

    Names that the model does not have are skipped, empty values mean "not given". Raises InvalidParamsError for a
    parameter that is there twice with two values, or in both spellings.
    """
    if not query:
        return {}
    known = _fields(model)
    found: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    violations = []
    for name, text in parse_qsl(query):
        if name not in known:
            continue
        camel, is_flag = known[name]
        value = _FLAGS.get(text, text) if is_flag else text
        if spelled.setdefault(camel, name) != name:
            violations.append(Violation(camel, "given in both spellings, camelCase and snake_case"))
        elif found.setdefault(camel, value) != value:
            violations.append(Violation(camel, "given twice with different values"))
    if violations:
        raise InvalidParamsError(violations=violations)
    return found


def with_path(params: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Parameters with those that stood in the path, given by their snake_case names.

    The same value in both is fine, as is an empty one in the body; InvalidParamsError for two that differ.
    """
    found = dict(params)
    violations = []
    for name, value in values.items():
        camel = to_camel(name)
        for spelling in {name, camel}:
            if found.pop(spelling, None) not in (None, "", value):
                violations.append(Violation(camel, "differs from the one in the path"))
        found[camel] = value
    if violations:
        raise InvalidParamsError(violations=violations)
    return found
