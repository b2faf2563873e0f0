"""A2A over HTTP+JSON: one route for each operation, bare results, google.rpc.Status errors (A2A 1.0.1 §11, 0.3 §3.2.3).

Bodies go out as `application/json`: every server reads that, and some of the field read nothing else (R-REST-06).
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import urlencode

from a2a_bridge.client.endpoint import EVENT_STREAM, TRANSPORT_STATUSES, Endpoint, old_names, segment
from a2a_bridge.client.refusal import http_error, rest_error, rest_error_in
from a2a_bridge.client.transport import BY_NAME, CardBody, Nothing, R, Received, read_result, received
from a2a_bridge.errors import InvalidAgentResponseError
from a2a_bridge.net import Answer, Deadline, shown
from a2a_bridge.protocol import v03_client
from a2a_bridge.protocol.card import PROTOCOL_VERSION
from a2a_bridge.protocol.lenient import json_value, quick, read_value
from a2a_bridge.protocol.objects import WireObject, dump, json_bytes
from a2a_bridge.protocol.requests import StreamResponse
from a2a_bridge.protocol.sse import ServerSentEvent, SSEParser

_JSON = "application/a2a+json, application/json"
_OLD_PREFIX = "/v1"
_OLD_CARD = "/card"


class RestTransport:
    """One agent's HTTP+JSON endpoint, in 1.0 or in 0.3."""

    def __init__(self, endpoint: Endpoint, *, version: str = PROTOCOL_VERSION) -> None:
        self._endpoint = endpoint
        self._is_old = version != PROTOCOL_VERSION
        self._headers = {"a2a-version": version}
        self._subscribe_by = "POST"  # the specification says both; a server that refuses one is asked by the other

    async def call(
        self, operation: str, request: WireObject, result: type[R], headers: Mapping[str, str], deadline: Deadline
    ) -> R:
        """See `Transport`."""
        answer = await self._send(operation, request, {"accept": _JSON, **headers}, deadline)
        async with answer:
            body = await answer.read(self._endpoint.limit)
            self._check(answer, body)
            if result is Nothing:
                return read_result(result, None)
            if not self._is_old and result is not CardBody:
                found = quick(result, body.decode("utf-8", "replace"))
                if found is not None:
                    return found
            value = self._json(answer, body)
            return read_result(result, v03_client.lift_result(operation, request, value) if self._is_old else value)

    async def stream(
        self, operation: str, request: WireObject, headers: Mapping[str, str], deadline: Deadline
    ) -> AsyncGenerator[Received, None]:
        """See `Transport`."""
        accept = {"accept": f"{EVENT_STREAM}, {_JSON}", "cache-control": "no-store", **headers}
        answer = await self._send(operation, request, accept, deadline)
        async with answer:
            if answer.status // 100 != 2 or answer.media_type != EVENT_STREAM:
                # A refusal, or a server that answers streaming calls with a single result.
                body = await answer.read(self._endpoint.limit)
                self._check(answer, body)
                yield self._received(self._json(answer, body), None)
                return
            parser = SSEParser(self._endpoint.limit)
            async with aclosing(answer.chunks()) as chunks:
                async for chunk in chunks:
                    for event in parser.feed(chunk):
                        yield self._event(event)

    async def _send(
        self, operation: str, request: WireObject, headers: Mapping[str, str], deadline: Deadline
    ) -> Answer:
        verb, url, body = self._request(operation, request)
        if verb == "POST":
            headers = {"content-type": "application/json", **headers}
        if operation != "SubscribeToTask":
            return await self._ask(verb, url, headers, body, deadline)
        answer = await self._ask(self._subscribe_by, url, headers, None, deadline)
        if answer.status == 405 and self._subscribe_by == "POST":
            await answer.aclose()
            self._subscribe_by = "GET"
            answer = await self._ask("GET", url, headers, None, deadline)
        return answer

    async def _ask(
        self, verb: str, url: str, headers: Mapping[str, str], body: bytes | None, deadline: Deadline
    ) -> Answer:
        return await self._endpoint.request(verb, url, headers=self._with(headers), body=body, deadline=deadline)

    def _with(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {**self._headers, **(old_names(headers) if self._is_old else headers)}

    def _request(self, operation: str, request: WireObject) -> tuple[str, str, bytes | None]:
        """Verb, URL and body: what stands in the path stands nowhere else (R-TEN-03, R-REST-04)."""
        route = BY_NAME[operation]
        members: dict[str, Any] = dump(request)
        path = route.path
        for place, name in (("{task_id}", "taskId"), ("{id}", "id")):
            if place in path:
                path = path.replace(place, segment(str(members.pop(name, ""))))
        tenant = members.pop("tenant", None)
        if self._is_old:
            path, members = self._old(operation, path, request, members)
        elif tenant:
            path = f"/{segment(tenant)}{path}"
        if route.verb == "POST" and operation != "SubscribeToTask":
            return route.verb, self._endpoint.below(path), json_bytes(members)
        query = {name: str(value).lower() if isinstance(value, bool) else value for name, value in members.items()}
        return route.verb, self._endpoint.below(path, urlencode(query)), None

    def _old(
        self, operation: str, path: str, request: WireObject, members: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Path and members of a 0.3 request; a history length of 0 would mean all of it there."""
        v03_client.method_of(operation)
        if operation == "GetExtendedAgentCard":
            return _OLD_PREFIX + _OLD_CARD, {}
        if BY_NAME[operation].verb == "POST":
            members = v03_client.lower_body(request)
        return _OLD_PREFIX + path, {name: value for name, value in members.items() if value != 0}

    def _check(self, answer: Answer, body: bytes) -> None:
        """Raise what an answer means that is no result."""
        if answer.status // 100 == 2:
            return
        url = self._endpoint.url
        if answer.status in TRANSPORT_STATUSES or answer.status // 100 == 3 or "json" not in answer.media_type:
            raise http_error(url, answer)
        raise rest_error_in(body, answer.status) or http_error(url, answer)

    def _json(self, answer: Answer, body: bytes) -> Any:
        if "json" not in answer.media_type and answer.media_type:
            raise InvalidAgentResponseError(
                f"{shown(self._endpoint.url)} answered with {answer.media_type} where JSON was expected; is this the"
                " URL of an A2A endpoint?"
            )
        return json_value(body.decode("utf-8", "replace"))

    def _event(self, event: ServerSentEvent) -> Received:
        event_id = event.id or None
        if not self._is_old and event.event != "error" and '"error"' not in event.data:
            found = quick(StreamResponse, event.data)
            if found is not None:
                return received(found, event_id)
        return self._received(json_value(event.data), event_id)

    def _received(self, value: Any, event_id: str | None) -> Received:
        error = value.get("error") if isinstance(value, Mapping) else None
        if isinstance(error, Mapping):
            status = error.get("code")
            raise rest_error(error, status if isinstance(status, int) else 500)
        if self._is_old:
            value = v03_client.lift_event(value)
        return received(read_value(StreamResponse, value), event_id)
