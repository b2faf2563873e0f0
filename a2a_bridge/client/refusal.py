"""What an answer that is no result means: error objects of both bindings and versions, and bare HTTP statuses.

One tree for both ends: the client raises the class that the server raised, found by its code, by the reason in its
ErrorInfo, by its name (0.3 over HTTP), and where nothing else is said by the HTTP status.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from a2a_bridge.errors import (
    A2AError,
    ConnectionFailedError,
    ContentTypeNotSupportedError,
    InternalError,
    InvalidAgentResponseError,
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
    Violation,
)  # fmt: skip
from a2a_bridge.net import Answer, shown
from a2a_bridge.protocol.lenient import json_value


def http_error(url: str, answer: Answer) -> ConnectionFailedError:
    """What an HTTP status means that is not about the protocol."""
    status = answer.status
    advice = ""
    if status // 100 == 3:
        advice = (
            f" and points to {shown(answer.headers.get('location', '')) or 'nowhere'}: use that URL if you trust it"
        )
    elif status in (401, 403):
        advice = ": it wants credentials; pass them as auth=..., or as headers={'Authorization': ...}"
    elif status == 404:
        advice = ": no A2A endpoint there; check the URL"
    return ConnectionFailedError(
        f"{shown(url)} answered HTTP {status}{advice}", status=status, retry_after=_seconds(answer.headers)
    )


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds; the form with a date is left to our own back-off."""
    value = headers.get("retry-after", "").strip()
    return float(value) if value.isdigit() and len(value) < 9 else None


def _classes(of: type[A2AError] = A2AError) -> Iterator[type[A2AError]]:
    for found in of.__subclasses__():
        if found.__module__ == A2AError.__module__:
            yield found
        yield from _classes(found)


_BY_CODE: Mapping[int, type[A2AError]] = {found.code: found for found in _classes()}
_BY_REASON: Mapping[str, type[A2AError]] = {
    **{found.reason: found for found in _classes()},
    InvalidRequestError.reason: InvalidRequestError,  # parse errors share this reason
}
_BY_NAME: Mapping[str, type[A2AError]] = {found.__name__: found for found in _classes()}
_BY_STATUS: Mapping[int, type[A2AError]] = {
    400: InvalidRequestError,
    404: TaskNotFoundError,
    409: TaskNotCancelableError,
    415: ContentTypeNotSupportedError,
    422: InvalidParamsError,
    500: InternalError,
    501: UnsupportedOperationError,
    502: InvalidAgentResponseError,
}
"""For errors over HTTP that name themselves in no other way, as those of 0.3 servers do."""


def _object_in(body: bytes) -> Mapping[str, Any]:
    try:
        found = json_value(body.decode("utf-8", "replace"))
    except InvalidAgentResponseError:
        return {}
    return found if isinstance(found, Mapping) else {}


def rpc_error_in(body: bytes) -> A2AError | None:
    """The error in a JSON-RPC response that came with an HTTP error status, or None if it is none."""
    found = _object_in(body).get("error")
    return error_from(found) if isinstance(found, Mapping) and "code" in found else None


def error_from(error: Any) -> A2AError:
    """The exception that a JSON-RPC error object means: by its code, or by the reason in its ErrorInfo."""
    if not isinstance(error, Mapping):
        return A2AError("the agent answered with an error that cannot be read")
    details = _details(error.get("data"))
    code = error.get("code")
    found = _BY_CODE.get(code) if isinstance(code, int) else None
    return _raised(found or _by_reason(details), error, details)


def rest_error_in(body: bytes, status: int) -> A2AError | None:
    """The error in the body of an HTTP+JSON answer, or None if there is none (A2A 1.0 §11.6, and what 0.3 sends)."""
    found = _object_in(body)
    error = found.get("error", found)
    return rest_error(error, status) if isinstance(error, Mapping) and isinstance(error.get("message"), str) else None


def rest_error(error: Mapping[str, Any], status: int) -> A2AError:
    """The exception that a google.rpc.Status means, or what a 0.3 server sends in its place."""
    details = _details(error.get("details"))
    found = _by_reason(details) or _BY_NAME.get(str(error.get("type")))
    if found is None:
        found = _BY_STATUS.get(status)
        if found is UnsupportedOperationError and "push" in str(error.get("message")).lower():
            found = PushNotificationNotSupportedError
        if found is TaskNotFoundError and str(error.get("message")).lower().startswith("method"):
            found = MethodNotFoundError
    return _raised(found, error, details)


def _details(data: Any) -> list[Mapping[str, Any]]:
    return [item for item in data if isinstance(item, Mapping)] if isinstance(data, list) else []


def _info(details: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next((item for item in details if str(item.get("@type", "")).endswith("ErrorInfo")), {})


def _by_reason(details: list[Mapping[str, Any]]) -> type[A2AError] | None:
    return _BY_REASON.get(str(_info(details).get("reason")))


def _raised(found: type[A2AError] | None, error: Mapping[str, Any], details: list[Mapping[str, Any]]) -> A2AError:
    message = error.get("message")
    message = message if isinstance(message, str) and message else None
    said = _info(details).get("metadata")
    metadata = {str(key): str(value) for key, value in said.items()} if isinstance(said, Mapping) else {}
    if found is None:
        text = f"{message or 'the agent answered with an error'} (code {error.get('code')})"
        return A2AError(text, metadata=metadata)
    return found(message, violations=_violations(details), metadata=metadata)


def _violations(details: Iterable[Mapping[str, Any]]) -> Iterator[Violation]:
    for item in details:
        fields = item.get("fieldViolations")
        for field in fields if isinstance(fields, list) else ():
            if isinstance(field, Mapping):
                yield Violation(str(field.get("field", "")), str(field.get("description", "")))
