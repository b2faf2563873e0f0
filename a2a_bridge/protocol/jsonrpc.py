"""JSON-RPC 2.0 envelopes and error objects of A2A 1.0.1 (§9), as data and pure functions."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json

from a2a_bridge.errors import A2AError, InvalidRequestError, JSONParseError
from a2a_bridge.protocol.objects import json_bytes
from a2a_bridge.protocol.strict import deeper_than

ERROR_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"
BAD_REQUEST: Final = "type.googleapis.com/google.rpc.BadRequest"
DOMAIN: Final = "a2a-protocol.org"
MAX_DEPTH: Final = 64
"""How deeply objects and arrays of a body may nest (R-JRPC-17)."""

RequestId = str | int | None

_LARGE_NUMBER = re.compile(rb"\d(?:[eE]\+?0*\d{3}|\d{199})")
"""A look that misses no number that is too large for a float, and finds a few that are not."""


def parse_body(body: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """The JSON value of a body: UTF-8, no NaN, nested at most `max_depth` deep (R-DM-13, R-DM-14, R-JRPC-12)."""
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        if "recursion limit" in str(error):
            raise _too_deep(max_depth) from None
        raise JSONParseError from None
    if body.count(b"{") + body.count(b"[") > max_depth and deeper_than(max_depth, value):
        raise _too_deep(max_depth)
    if _LARGE_NUMBER.search(body) is not None and not _is_finite(value):
        raise InvalidRequestError("A number in the body is too large.")
    return value


def _too_deep(limit: int) -> InvalidRequestError:
    return InvalidRequestError(f"The body is nested more than {limit} levels deep.")


def _is_finite(value: Any) -> bool:
    """Whether no number in it has become infinite on reading."""
    if isinstance(value, float):
        return math.isfinite(value)
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(map(_is_finite, held))


_USUAL_IDS = frozenset({int, str})


def request_id(envelope: Any) -> RequestId:
    """The id of a request as far as it can be read; None otherwise (R-JRPC-07, R-JRPC-08)."""
    found = envelope.get("id") if isinstance(envelope, dict) else None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def check_envelope(envelope: Any) -> None:
    """Raise InvalidRequestError unless this is one request object (R-JRPC-05 to R-JRPC-07, R-JRPC-10)."""
    if type(envelope) is dict and envelope.get("jsonrpc") == "2.0":
        method = envelope.get("method")
        if method and type(method) is str and type(envelope.get("id")) in _USUAL_IDS:
            return  # the usual case; below is what is wrong, or unusual
    if isinstance(envelope, list):
        raise InvalidRequestError("Batch requests are not supported: send one request object at a time.")
    if not isinstance(envelope, dict):
        raise InvalidRequestError
    if envelope.get("jsonrpc") != "2.0":
        raise InvalidRequestError('The member jsonrpc must be "2.0".')
    method = envelope.get("method")
    if not isinstance(method, str) or not method:
        raise InvalidRequestError("The member method must be a non-empty string.")
    found = envelope.get("id")
    if found is not None and (not isinstance(found, str | int) or isinstance(found, bool)):
        raise InvalidRequestError("The member id must be a string, an integer or null.")


def error_details(error: A2AError) -> list[dict[str, Any]]:
    """The `data` of an error object: what it is for a machine, and which fields are wrong (R-ERR-01 to R-ERR-03)."""
    info: dict[str, Any] = {"@type": ERROR_INFO, "reason": error.reason, "domain": DOMAIN}
    if error.metadata:
        info["metadata"] = dict(error.metadata)
    details = [info]
    if error.violations:
        fields = [{"field": found.field, "description": found.description} for found in error.violations[:50]]
        details.append({"@type": BAD_REQUEST, "fieldViolations": fields})
    return details


def error_object(error: A2AError) -> dict[str, Any]:
    """The `error` member of a response: closed, three members (§9.5)."""
    return {"code": error.code, "message": error.message, "data": error_details(error)}


def error_response(error: Mapping[str, Any], found: RequestId) -> bytes:
    """A whole response around an error object."""
    return json_bytes({"jsonrpc": "2.0", "id": found, "error": error})


def result_head(found: RequestId) -> bytes:
    """A successful response up to its result, which `}` closes."""
    told = b"%d" % found if isinstance(found, int) else json_bytes(found)
    return b'{"jsonrpc":"2.0","id":' + told + b',"result":'
