"""A2A over JSON-RPC 2.0: envelopes, server-sent events, error objects back to exceptions (A2A 1.0.1 §9)."""

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from functools import cache
from typing import Any, Generic

from a2a_bridge.client.transport import BY_NAME, R, Received
from a2a_bridge.errors import (
    A2AError,
    ConnectionFailedError,
    InvalidAgentResponseError,
    InvalidRequestError,
    Violation,
)  # fmt: skip
from a2a_bridge.net import Answer, Deadline, Http, Timeouts, shown
from a2a_bridge.observe.trace import outgoing_headers
from a2a_bridge.protocol.card import PROTOCOL_VERSION
from a2a_bridge.protocol.lenient import json_value, quick, read_value
from a2a_bridge.protocol.objects import WireObject, to_json
from a2a_bridge.protocol.requests import StreamResponse
from a2a_bridge.protocol.sse import SSEParser

EVENT_STREAM = "text/event-stream"
_TRANSPORT_STATUSES = frozenset({401, 403, 429, 502, 503})
_ids = itertools.count(1)


class _Envelope(WireObject, Generic[R]):
    """A successful response, read in one go with its result."""

    id: str | int | None = None
    result: R


@cache
def _envelope(result: type[R]) -> type[_Envelope[R]]:
    return _Envelope[result]  # type: ignore[valid-type]


_StreamAnswer = _Envelope[StreamResponse]


class JsonRpcTransport:
    """One agent's JSON-RPC endpoint. Holds no connection: each call takes one from the pool of the running loop."""

    def __init__(
        self,
        url: str,
        http: Callable[[], Awaitable[Http]],
        *,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        max_answer_bytes: int,
    ) -> None:
        self._url = url
        self._http = http
        self._headers = {
            **headers,
            "content-type": "application/json",
            "a2a-version": PROTOCOL_VERSION,
        }
        self._timeouts = timeouts
        self._limit = max_answer_bytes

    async def call(
        self, operation: str, request: WireObject, result: type[R], headers: Mapping[str, str], deadline: Deadline
    ) -> R:
        """See `Transport`."""
        call_id = str(next(_ids))
        answer = await self._post(call_id, operation, request, {"accept": "application/json", **headers}, deadline)
        async with answer:
            body = await answer.read(self._limit)
            if answer.status == 200 and answer.media_type == "application/json" and b'"error"' not in body:
                envelope: _Envelope[R] | None = quick(_envelope(result), body.decode("utf-8", "replace"))
                if envelope is not None:
                    _check_id(call_id, envelope.id)
                    return envelope.result
            return read_value(result, self._result(call_id, answer, body))

    async def stream(
        self, operation: str, request: WireObject, headers: Mapping[str, str], deadline: Deadline
    ) -> AsyncGenerator[Received, None]:
        """See `Transport`."""
        call_id = str(next(_ids))
        accept = {"accept": EVENT_STREAM, "cache-control": "no-store", **headers}
        answer = await self._post(call_id, operation, request, accept, deadline)
        async with answer:
            if answer.status // 100 != 2 or answer.media_type != EVENT_STREAM:
                # A refusal, or a server that answers streaming calls with a single result (R-JRPC-25).
                found = self._result(call_id, answer, await answer.read(self._limit))
                yield _received(read_value(StreamResponse, found), None)
                return
            parser = SSEParser(self._limit)
            async with aclosing(answer.chunks()) as chunks:
                async for chunk in chunks:
                    for event in parser.feed(chunk):
                        yield self._event(call_id, event.data, event.id or None)

    async def _post(
        self, call_id: str, operation: str, request: WireObject, headers: Mapping[str, str], deadline: Deadline
    ) -> Answer:
        body = b'{"jsonrpc":"2.0","id":"%b","method":"%b","params":%b}' % (
            call_id.encode(), BY_NAME[operation].name.encode(), to_json(request),
        )  # fmt: skip
        http = await self._http()
        return await http.request(
            "POST",
            self._url,
            headers={**self._headers, **headers, **outgoing_headers()},
            body=body,
            timeouts=self._timeouts,
            deadline=deadline,
        )

    def _result(self, call_id: str, answer: Answer, body: bytes) -> Any:
        """What a plain answer holds, or the exception it means."""
        if answer.status in _TRANSPORT_STATUSES or answer.status // 100 == 3:
            raise http_error(self._url, answer)
        is_json = "json" in answer.media_type or not answer.media_type
        if answer.status // 100 != 2:
            error = error_in(body) if is_json else None
            raise error or http_error(self._url, answer)
        if not is_json:
            raise InvalidAgentResponseError(
                f"{shown(self._url)} answered with {answer.media_type} where JSON-RPC was expected; is this the URL of"
                " an A2A endpoint?"
            )
        return _opened(call_id, json_value(body.decode("utf-8", "replace")))

    def _event(self, call_id: str, data: str, event_id: str | None) -> Received:
        envelope = quick(_StreamAnswer, data) if '"error"' not in data else None
        if envelope is not None:
            _check_id(call_id, envelope.id)
            return _received(envelope.result, event_id)
        # The word may stand in the content of an event: only the envelope's own member counts.
        return _received(read_value(StreamResponse, _opened(call_id, json_value(data))), event_id)


def _received(answer: StreamResponse, event_id: str | None) -> Received:
    event = answer.task or answer.message or answer.status_update or answer.artifact_update
    if event is None:
        raise InvalidAgentResponseError(
            "the agent sent an event that is neither task, message, statusUpdate nor artifactUpdate"
        )
    return Received(event, event_id)


def _check_id(call_id: str, found: object) -> None:
    if found != call_id:
        raise InvalidAgentResponseError(f"the agent answered request {found!r}, but the request was {call_id!r}")


def _opened(call_id: str, envelope: Any) -> Any:
    """The result in an envelope; raises what an error object means."""
    if not isinstance(envelope, Mapping):
        raise InvalidAgentResponseError("the agent's answer is not a JSON-RPC response object")
    if envelope.get("error") is not None:
        raise error_from(envelope["error"])
    if "result" not in envelope:
        raise InvalidAgentResponseError("the agent's answer has neither `result` nor `error`")
    _check_id(call_id, envelope.get("id"))
    return envelope["result"]


def http_error(url: str, answer: Answer) -> ConnectionFailedError:
    """What an HTTP status means that is not about the protocol."""
    status = answer.status
    advice = ""
    if status // 100 == 3:
        advice = (
            f" and points to {shown(answer.headers.get('location', '')) or 'nowhere'}: use that URL if you trust it"
        )
    elif status in (401, 403):
        advice = ": it wants credentials; pass them as headers={'Authorization': ...}"
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


def error_in(body: bytes) -> A2AError | None:
    """The error in a JSON-RPC response that came with an HTTP error status, or None if it is none."""
    try:
        envelope = json_value(body.decode("utf-8", "replace"))
    except InvalidAgentResponseError:
        return None
    found = envelope.get("error") if isinstance(envelope, Mapping) else None
    return error_from(found) if isinstance(found, Mapping) and "code" in found else None


def error_from(error: Any) -> A2AError:
    """The exception that a JSON-RPC error object means: by its code, or by the reason in its ErrorInfo."""
    if not isinstance(error, Mapping):
        return A2AError("the agent answered with an error that cannot be read")
    data = error.get("data")
    details = [item for item in data if isinstance(item, Mapping)] if isinstance(data, list) else []
    info = next((item for item in details if str(item.get("@type", "")).endswith("ErrorInfo")), {})
    code = error.get("code")
    found = _BY_CODE.get(code) if isinstance(code, int) else None
    found = found or _BY_REASON.get(str(info.get("reason")))
    message = error.get("message")
    message = message if isinstance(message, str) and message else None
    metadata = {str(key): str(value) for key, value in _items(info.get("metadata"))}
    if found is None:
        return A2AError(f"{message or 'the agent answered with an error'} (code {code})", metadata=metadata)
    return found(message, violations=_violations(details), metadata=metadata)


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()


def _violations(details: list[Mapping[str, Any]]) -> Iterator[Violation]:
    for item in details:
        fields = item.get("fieldViolations")
        for field in fields if isinstance(fields, list) else ():
            if isinstance(field, Mapping):
                yield Violation(str(field.get("field", "")), str(field.get("description", "")))
