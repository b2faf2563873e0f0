"""One interface under test: requests as they should be and as they should not be, answers as they came.

Nothing here mends what a server gets wrong: that is what the client is for. Answers are read up to a limit, streams up
to their end or a number of events; every request is bound by the timeouts of the probe.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from a2a_bridge.check.case import Failed, expect, skip
from a2a_bridge.client.endpoint import EVENT_STREAM, Endpoint, segment
from a2a_bridge.client.refusal import error_from, rest_error_in
from a2a_bridge.client.transport import BY_NAME
from a2a_bridge.errors import A2AError, ConnectionFailedError
from a2a_bridge.net import Answer, Deadline
from a2a_bridge.protocol import v03_client
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.lenient import read_value
from a2a_bridge.protocol.objects import TaskState, dump
from a2a_bridge.protocol.requests import parse
from a2a_bridge.protocol.sse import ServerSentEvent, SSEParser

MAX_ANSWER = 8 * 1024 * 1024
_MAX_EVENTS = 5000
_PAUSE = 1.0
_NO_CONNECTION = 403
"""How a server that wants a certificate refuses whoever has none: as if it had said this."""
_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its head, its body or its events."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    events: tuple[ServerSentEvent, ...] = ()

    @property
    def media_type(self) -> str:
        """The Content-Type in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def value(self) -> Any:
        """The body as JSON, or None."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def object(self) -> Mapping[str, Any]:
        """The body as a JSON object; Failed when it is none."""
        found = self.value
        if not isinstance(found, Mapping):
            raise Failed(f"HTTP {self.status} with no JSON object in its body ({self.media_type or 'no type'})")
        return found

    @property
    def error_object(self) -> Mapping[str, Any]:
        """The member `error` of the body; Failed when there is none."""
        found = self.object.get("error")
        if not isinstance(found, Mapping):
            raise Failed(f"{self} has no error object")
        return found

    def __str__(self) -> str:
        found = self.value if not self.events else self.events[0].data
        shown = json.dumps(found) if found is not None else self.body[:100].decode("utf-8", "replace")
        return f"HTTP {self.status} {shown[:160]}"


@dataclass(slots=True)
class Line:
    """An interface, and what the cases have found out about it on the way."""

    binding: str
    version: str
    card: AgentCard
    endpoint: Endpoint
    stranger: Endpoint  # the same without credentials, a certificate among them
    deadline: Deadline
    text: str
    webhook: str
    tenant: str | None = None
    extensions: str | None = None  # those that the card requires: nothing is asked that they could change
    known: dict[str, Any] = field(default_factory=dict)
    others: tuple["Line", ...] = ()
    needs_certificate: bool = False  # no connection without one is a refusal, then

    @property
    def is_old(self) -> bool:
        return self.version != "1.0"

    @property
    def is_rest(self) -> bool:
        return self.binding == "HTTP+JSON"

    @property
    def streams(self) -> bool:
        return self.card.capabilities.streaming is True

    # --- requests

    async def http(
        self,
        verb: str,
        url: str | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
        known: bool = True,
    ) -> Reply:
        """Any request; a header that is None is left out. `known` False: without credentials."""
        usual: dict[str, str | None] = {"a2a-version": self.version, "accept": "application/json, text/event-stream"}
        usual["a2a-extensions"] = self.extensions
        if body is not None:
            usual["content-type"] = "application/json"
        sent = {name: value for name, value in {**usual, **(headers or {})}.items() if value is not None}
        endpoint = self.endpoint if known else self.stranger
        target = self.endpoint.url if url is None else url
        try:
            answer = await self._answer(endpoint, verb, target, sent, body)
        except ConnectionFailedError:
            if known or not self.needs_certificate:
                raise
            return Reply(_NO_CONNECTION, {}, b"")
        async with answer:
            if answer.media_type == EVENT_STREAM:
                events = [event async for event in _events(answer)]
                return Reply(answer.status, answer.headers, b"", tuple(events))
            return Reply(answer.status, answer.headers, await answer.read(MAX_ANSWER))

    async def _answer(
        self, endpoint: Endpoint, verb: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """The answer; whoever asks us to come again later is asked again later, and a case that cannot wait so long
        cannot be asked."""
        while True:
            answer = await endpoint.request(verb, url, headers=headers, body=body, deadline=self.deadline)
            if answer.status != 429:
                return answer
            await answer.aclose()
            asked = answer.headers.get("retry-after", "").strip()
            wait = float(asked) if asked.isdigit() and len(asked) < 9 else _PAUSE
            if self.deadline.cut(wait) != wait:
                skip(f"the server says HTTP 429, and to come again in {wait:g} s")
            await asyncio.sleep(wait)

    async def rpc(self, method: str, params: Any = None, *, headers: Mapping[str, str | None] | None = None) -> Reply:
        """A JSON-RPC call; None means no params."""
        envelope = {"jsonrpc": "2.0", "id": f"check-{next(_ids)}", "method": method}
        if params is not None:
            envelope["params"] = params
        return await self.http("POST", body=json.dumps(envelope).encode(), headers=headers)

    async def envelope(self, value: Any) -> Reply:
        """A JSON-RPC request body that need not be one; bytes go as they are."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return await self.http("POST", body=body)

    def path(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        """The URL of a route below this interface, with the tenant and prefix that belong there."""
        prefix = "/v1" if self.is_old else f"/{segment(self.tenant)}" if self.tenant else ""
        return self.endpoint.below(prefix + path, urlencode(query or {}))

    async def ask(
        self, operation: str, params: Mapping[str, Any], *, headers: Mapping[str, str | None] | None = None
    ) -> Reply:
        """An operation with the JSON of 1.0, right or wrong; for 0.3 it must be right, and is lowered."""
        if self.is_rest:
            return await self._ask_rest(operation, dict(params), headers)
        if self.is_old:
            lowered = v03_client.lower_params(parse(BY_NAME[operation].request, dict(params)))
            return await self.rpc(v03_client.method_of(operation), lowered, headers=headers)
        tenant = {"tenant": self.tenant} if self.tenant else {}
        return await self.rpc(operation, {**params, **tenant}, headers=headers)

    async def _ask_rest(
        self, operation: str, params: dict[str, Any], headers: Mapping[str, str | None] | None
    ) -> Reply:
        route = BY_NAME[operation]
        path, body = route.path, dict(params)
        for place, name in (("{task_id}", "taskId"), ("{id}", "id")):
            if place in path:
                path = path.replace(place, segment(str(body.pop(name, ""))))
        if operation == "GetExtendedAgentCard" and self.is_old:
            path = "/card"
        if route.verb != "POST":
            query = {name: str(value).lower() if isinstance(value, bool) else value for name, value in body.items()}
            return await self.http(route.verb, self.path(path, query), headers=headers)
        if self.is_old:
            body = v03_client.lower_body(parse(route.request, params))
        return await self.http("POST", self.path(path), body=json.dumps(body).encode(), headers=headers)

    # --- answers

    def refusal(self, reply: Reply) -> A2AError | None:
        """The error that an answer is, in either binding, or None."""
        if reply.events:
            found = _json(reply.events[0].data)
            error = found.get("error") if isinstance(found, Mapping) else None
            return error_from(error) if error is not None else None
        if self.is_rest:
            return rest_error_in(reply.body, reply.status) if reply.status >= 400 else None
        error = reply.value.get("error") if isinstance(reply.value, Mapping) else None
        return error_from(error) if error is not None else None

    def result(self, reply: Reply) -> Any:
        """What an answer holds, as JSON of 1.0; Failed when it is an error or nothing at all."""
        if self.is_rest:
            expect(reply.status == 200, f"{reply} where a result was expected")
            return reply.value
        found = reply.object
        expect("error" not in found and "result" in found, f"{reply} where a result was expected")
        return found["result"]

    def refused(self, reply: Reply, *kinds: type[A2AError]) -> A2AError:
        """The refusal; Failed unless it is one of these errors, with the status that belongs to it."""
        found = self.refusal(reply)
        names = " or ".join(f"{kind.__name__} ({kind.code})" for kind in kinds)
        if not isinstance(found, kinds):
            raise Failed(f"{names} was expected, and {reply} came")
        if self.is_rest and not self.is_old:
            expect(reply.status == found.http_status, f"{type(found).__name__} came with HTTP {reply.status}")
        return found

    # --- tasks to work with

    def message(self, **more: Any) -> dict[str, Any]:
        """A message of the user with the text of this check."""
        return {"messageId": str(uuid4()), "role": "ROLE_USER", "parts": [{"text": self.text}], **more}

    async def sent(self) -> Any:
        """The result of one plain send, made once, as JSON of 1.0."""
        if "sent" not in self.known:
            reply = await self.ask("SendMessage", {"message": self.message()})
            found = self.result(reply)
            if self.is_old:
                request = parse(BY_NAME["SendMessage"].request, {"message": self.message()})
                found = v03_client.lift_result("SendMessage", request, found)
            self.known["sent"] = found
        return self.known["sent"]

    async def task(self) -> Mapping[str, Any]:
        """A task that the agent made; the question cannot be asked when it answers without."""
        found = await self.sent()
        task = found.get("task") if isinstance(found, Mapping) else None
        if not isinstance(task, Mapping) or not isinstance(task.get("id"), str):
            skip("the agent answers with messages, not with tasks")
        return task

    async def ended(self) -> Mapping[str, Any]:
        """A task that has ended: if the agent waits for something, it is cancelled."""
        task = await self.task()
        if "ended" not in self.known:
            state = self.state_of(task)
            if not state.is_terminal:
                reply = await self.ask("CancelTask", {"id": task["id"]})
                if self.refusal(reply) is not None:
                    skip(f"the task is {state.value} and cannot be canceled")
            self.known["ended"] = True
        return task

    @staticmethod
    def state_of(task: Mapping[str, Any]) -> TaskState:
        """The state of a task in JSON of 1.0."""
        status = task.get("status")
        try:
            return TaskState(status["state"] if isinstance(status, Mapping) else "")
        except (KeyError, ValueError):
            raise Failed(f"the task has no state that exists: {json.dumps(status)[:100]}") from None

    async def streamed(self) -> Reply:
        """One plain send as a stream, made once."""
        if not self.streams:
            skip("the card does not offer streaming")
        if "stream" not in self.known:
            self.known["context"] = f"check-{uuid4()}"
            asked = {"message": self.message(contextId=self.known["context"])}
            self.known["stream"] = await self.ask("SendStreamingMessage", asked, headers={"accept": EVENT_STREAM})
        reply: Reply = self.known["stream"]
        expect(reply.events, f"{reply} where a stream was expected")
        return reply

    def payloads(self, reply: Reply) -> list[dict[str, Any]]:
        """The events of a stream as StreamResponses of 1.0; Failed for an event that is none."""
        found = []
        for event in reply.events:
            value = _json(event.data)
            expect(isinstance(value, Mapping), f"an event that is no JSON object: {event.data[:100]}")
            if not self.is_rest:
                expect("result" in value, f"an event without a result: {event.data[:100]}")
                value = value["result"]
            found.append(v03_client.lift_event(value) if self.is_old else dict(value))
        return found

    def readable(self, operation: str, value: Any) -> Any:
        """A result read as our client reads it, and written again."""
        model = BY_NAME[operation].response
        return dump(read_value(model, value)) if model is not None else value


async def _events(answer: Answer) -> AsyncGenerator[ServerSentEvent, None]:
    parser, count = SSEParser(MAX_ANSWER), 0
    async with aclosing(answer.chunks()) as chunks:
        async for chunk in chunks:
            for event in parser.feed(chunk):
                yield event
                count += 1
                if count >= _MAX_EVENTS:
                    return


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
