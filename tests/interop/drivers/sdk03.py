"""The last official SDK that spoke A2A 0.3 (a2a-sdk 0.3.26), as a client: `sdk03.py URL BINDING WEBHOOK`."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientHTTPError, A2AClientJSONRPCError
from a2a.types import (
    GetTaskPushNotificationConfigParams,
    Message,
    MessageSendConfiguration,
    Part,
    PushNotificationAuthenticationInfo,
    PushNotificationConfig,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskIdParams,
    TaskPushNotificationConfig,
    TaskQueryParams,
    TextPart,
    TransportProtocol,
)
from plan import Absent, run

Value = dict[str, Any]


def words(message: Any) -> str:
    return "".join(part.root.text for part in message.parts if part.root.kind == "text") if message else ""


def part_value(part: Any) -> list[Any]:
    found = part.root
    if found.kind == "text":
        return ["text", found.text]
    if found.kind == "data":
        return ["data", found.data]
    if hasattr(found.file, "bytes"):
        return ["raw", found.file.bytes, found.file.name, found.file.mime_type]
    return ["url", found.file.uri]


def task_value(task: Task) -> Value:
    parts = [part for artifact in task.artifacts or () for part in artifact.parts]
    return {
        "kind": "task", "id": task.id, "state": task.status.state.value, "said": words(task.status.message),
        "text": "".join(part.root.text for part in parts if part.root.kind == "text"),
        "parts": [part_value(part) for part in parts], "history": [words(message) for message in task.history or ()],
    }  # fmt: skip


def event_value(event: Any) -> Value:
    """A Message, or a pair of the task so far and the update that led to it."""
    if isinstance(event, Message):
        return {"kind": "message", "text": words(event)}
    task, update = event
    if update is None:
        return task_value(task)
    if isinstance(update, TaskArtifactUpdateEvent):
        return {"kind": "artifact", "text": words(update.artifact), "append": bool(update.append)}
    status = update.status
    return {"kind": "status", "state": status.state.value, "said": words(status.message), "final": update.final}


class Sdk03:
    """See plan.Peer."""

    def __init__(self, http: httpx.AsyncClient, url: str, binding: str) -> None:
        self._http = http
        self._url = url
        self._binding = TransportProtocol(binding)

    async def open(self) -> None:
        self._card = await A2ACardResolver(self._http, self._url).get_agent_card()
        # Everything in the card is preferred the client's way: with one transport it can only take that one.
        config = {"httpx_client": self._http, "supported_transports": [self._binding], "use_client_preference": True}
        self._streaming = ClientFactory(ClientConfig(**config)).create(self._card)
        self._unary = ClientFactory(ClientConfig(streaming=False, **config)).create(self._card)

    def _message(self, text: str, task: str | None) -> Message:
        part = Part(root=TextPart(text=text))
        return Message(message_id=str(uuid.uuid4()), role=Role.user, parts=[part], task_id=task)

    async def card(self) -> Value:
        card = self._card
        return {"name": card.name, "version": card.protocol_version, "streaming": card.capabilities.streaming}

    async def send(self, text: str, *, task: str | None = None, wait: bool = True) -> Value:
        if not wait and self._binding is TransportProtocol.http_json:
            raise Absent  # its protobuf leaves out what is false
        configuration = MessageSendConfiguration(blocking=wait)
        events = self._unary.send_message(self._message(text, task), configuration=configuration)
        (found,) = [event async for event in events]
        return event_value(found)

    async def stream(self, text: str, *, task: str | None = None) -> AsyncIterator[Value]:
        async for event in self._streaming.send_message(self._message(text, task)):
            yield event_value(event)

    async def get(self, task: str, history: int | None = None) -> Value:
        return task_value(await self._unary.get_task(TaskQueryParams(id=task, history_length=history)))

    async def cancel(self, task: str) -> Value:
        return task_value(await self._unary.cancel_task(TaskIdParams(id=task)))

    async def subscribe(self, task: str) -> AsyncIterator[Value]:
        async for event in self._streaming.resubscribe(TaskIdParams(id=task)):
            yield event_value(event)

    async def list_tasks(self) -> list[str]:
        raise Absent

    async def create_hook(self, task: str, hook: str, url: str, token: str) -> Value:
        bearer = PushNotificationAuthenticationInfo(schemes=["Bearer"], credentials="credentials")
        config = PushNotificationConfig(id=hook, url=url, token=token, authentication=bearer)
        asked = TaskPushNotificationConfig(task_id=task, push_notification_config=config)
        return self._hook(await self._unary.set_task_callback(asked))

    async def get_hook(self, task: str, hook: str) -> Value:
        asked = GetTaskPushNotificationConfigParams(id=task, push_notification_config_id=hook)
        return self._hook(await self._unary.get_task_callback(asked))

    def _hook(self, found: TaskPushNotificationConfig) -> Value:
        held = found.push_notification_config
        return {"task": found.task_id, "id": held.id, "url": held.url, "token": held.token}

    async def list_hooks(self, task: str) -> list[str]:
        raise Absent

    async def delete_hook(self, task: str, hook: str) -> None:
        raise Absent

    def error(self, error: Exception) -> Any:
        if isinstance(error, A2AClientJSONRPCError):
            return error.error.code
        if isinstance(error, A2AClientHTTPError):
            return error.status_code
        return f"{type(error).__name__}: {error}"


async def main(url: str, binding: str, webhook: str) -> None:
    async with httpx.AsyncClient(timeout=10) as http:
        peer = Sdk03(http, url, binding)
        await peer.open()
        await run(peer, webhook)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
