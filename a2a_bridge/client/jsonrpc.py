"""A2A over JSON-RPC 2.0: envelopes, server-sent events, error objects back to exceptions (A2A 1.0.1 §9, 0.3 §7)."""

import itertools
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import cache
from typing import Any, Generic

from a2a_bridge.client.endpoint import EVENT_STREAM, TRANSPORT_STATUSES, Endpoint, old_names
from a2a_bridge.client.refusal import error_from, http_error, rpc_error_in
from a2a_bridge.client.transport import CardBody, Nothing, R, Received, read_result, received
from a2a_bridge.errors import InvalidAgentResponseError
from a2a_bridge.net import Answer, Deadline, shown
from a2a_bridge.protocol import v03_client
from a2a_bridge.protocol.card import PROTOCOL_VERSION
from a2a_bridge.protocol.lenient import json_value, quick, read_value
from a2a_bridge.protocol.objects import WireObject, json_bytes, to_json
from a2a_bridge.protocol.requests import StreamResponse
from a2a_bridge.protocol.sse import SSEParser

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
    """One agent's JSON-RPC endpoint, in 1.0 or in 0.3."""

    def __init__(self, endpoint: Endpoint, *, version: str = PROTOCOL_VERSION) -> None:
        self._endpoint = endpoint
        self._is_old = version != PROTOCOL_VERSION
        self._headers = {"content-type": "application/json", "a2a-version": version}

    async def call(
        self, operation: str, request: WireObject, result: type[R], headers: Mapping[str, str], deadline: Deadline
    ) -> R:
        """See `Transport`."""
        call_id = str(next(_ids))
        answer = await self._post(call_id, operation, request, {"accept": "application/json", **headers}, deadline)
        async with answer:
            body = await answer.read(self._endpoint.limit)
            if self._is_usual(answer, body) and result is not CardBody:
                envelope: _Envelope[R] | None = quick(_envelope(result), body.decode("utf-8", "replace"))
                if envelope is not None:
                    _check_id(call_id, envelope.id)
                    return envelope.result
            if result is Nothing:
                return read_result(result, self._result(call_id, answer, body, needs_result=False))
            found = self._result(call_id, answer, body)
            if self._is_old:
                found = v03_client.lift_result(operation, request, found)
            return read_result(result, found)

    def _is_usual(self, answer: Answer, body: bytes) -> bool:
        usual = answer.status == 200 and answer.media_type == "application/json" and not self._is_old
        return usual and b'"error"' not in body

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
                found = self._result(call_id, answer, await answer.read(self._endpoint.limit))
                yield self._received(found, None)
                return
            parser = SSEParser(self._endpoint.limit)
            async with aclosing(answer.chunks()) as chunks:
                async for chunk in chunks:
                    for event in parser.feed(chunk):
                        yield self._event(call_id, event.data, event.id or None)

    async def _post(
        self, call_id: str, operation: str, request: WireObject, headers: Mapping[str, str], deadline: Deadline
    ) -> Answer:
        if self._is_old:
            params = v03_client.lower_params(request)
            envelope = {"jsonrpc": "2.0", "id": call_id, "method": v03_client.method_of(operation)}
            body = json_bytes(envelope if params is None else {**envelope, "params": params})
        else:
            body = b'{"jsonrpc":"2.0","id":"%b","method":"%b","params":%b}' % (
                call_id.encode(), operation.encode(), to_json(request),
            )  # fmt: skip
        return await self._endpoint.request(
            "POST", self._endpoint.url, headers=self._with(headers), body=body, deadline=deadline
        )

    def _with(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {**self._headers, **(old_names(headers) if self._is_old else headers)}

    def _result(self, call_id: str, answer: Answer, body: bytes, *, needs_result: bool = True) -> Any:
        """What a plain answer holds, or the exception it means; some servers leave out a result that is nothing."""
        url = self._endpoint.url
        if answer.status in TRANSPORT_STATUSES or answer.status == 502 or answer.status // 100 == 3:
            raise http_error(url, answer)
        is_json = "json" in answer.media_type or not answer.media_type
        if answer.status // 100 != 2:
            error = rpc_error_in(body) if is_json else None
            raise error or http_error(url, answer)
        if not is_json:
            raise InvalidAgentResponseError(
                f"{shown(url)} answered with {answer.media_type} where JSON-RPC was expected; is this the URL of"
                " an A2A endpoint?"
            )
        return _opened(call_id, json_value(body.decode("utf-8", "replace")), needs_result=needs_result)

    def _event(self, call_id: str, data: str, event_id: str | None) -> Received:
        if not self._is_old and '"error"' not in data:
            envelope = quick(_StreamAnswer, data)
            if envelope is not None:
                _check_id(call_id, envelope.id)
                return received(envelope.result, event_id)
        # The word may stand in the content of an event: only the envelope's own member counts.
        return self._received(_opened(call_id, json_value(data)), event_id)

    def _received(self, found: Any, event_id: str | None) -> Received:
        if self._is_old:
            found = v03_client.lift_event(found)
        return received(read_value(StreamResponse, found), event_id)


def _check_id(call_id: str, found: object) -> None:
    if found != call_id:
        raise InvalidAgentResponseError(f"the agent answered request {found!r}, but the request was {call_id!r}")


def _opened(call_id: str, envelope: Any, *, needs_result: bool = True) -> Any:
    """The result in an envelope; raises what an error object means."""
    if not isinstance(envelope, Mapping):
        raise InvalidAgentResponseError("the agent's answer is not a JSON-RPC response object")
    if envelope.get("error") is not None:
        raise error_from(envelope["error"])
    if needs_result and "result" not in envelope:
        raise InvalidAgentResponseError("the agent's answer has neither `result` nor `error`")
    _check_id(call_id, envelope.get("id"))
    return envelope.get("result")
