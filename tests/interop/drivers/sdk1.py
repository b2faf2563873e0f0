"""The official SDK (a2a-sdk 1.3.0) as a client, in either version: `sdk1.py URL BINDING VERSION WEBHOOK`."""

import asyncio
import base64
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict
from plan import Absent, run

Value = dict[str, Any]


def word_of(state: int) -> str:
    return str(pb.TaskState.Name(state)).removeprefix("TASK_STATE_").lower().replace("_", "-")


def words(message: Any) -> str:
    return "".join(part.text for part in message.parts)


def part_value(part: pb.Part) -> list[Any]:
    kind = part.WhichOneof("content")
    if kind == "data":
        return ["data", MessageToDict(part.data)]
    if kind == "raw":
        return ["raw", base64.b64encode(part.raw).decode(), part.filename, part.media_type]
    return [kind, getattr(part, kind)]


def task_value(task: pb.Task) -> Value:
    parts = [part for artifact in task.artifacts for part in artifact.parts]
    return {
        "kind": "task", "id": task.id, "state": word_of(task.status.state), "said": words(task.status.message),
        "text": "".join(part.text for part in parts), "parts": [part_value(part) for part in parts],
        "history": [words(message) for message in task.history],
    }  # fmt: skip


def event_value(event: pb.StreamResponse) -> Value:
    kind = event.WhichOneof("payload")
    if kind == "task":
        return task_value(event.task)
    if kind == "message":
        return {"kind": "message", "text": words(event.message)}
    if kind == "artifact_update":
        update = event.artifact_update
        return {"kind": "artifact", "text": words(update.artifact), "append": update.append}
    status = event.status_update.status
    return {"kind": "status", "state": word_of(status.state), "said": words(status.message)}


class Sdk1:
    """See plan.Peer."""

    def __init__(self, http: httpx.AsyncClient, url: str, binding: str, version: str) -> None:
        self._http = http
        self._url = url
        self._binding = binding
        self._version = version

    async def open(self) -> None:
        card = await A2ACardResolver(self._http, self._url).get_agent_card()
        if self._version != "1.0":  # this SDK takes 1.0 wherever it is: let it see nothing else
            kept = [i for i in card.supported_interfaces if i.protocol_version == self._version]
            del card.supported_interfaces[:]
            card.supported_interfaces.extend(kept)
        config: dict[str, Any] = {"httpx_client": self._http, "supported_protocol_bindings": [self._binding]}
        self._card = card
        self._streaming = ClientFactory(ClientConfig(**config)).create(card)
        self._unary = ClientFactory(ClientConfig(streaming=False, **config)).create(card)
        self._polling = ClientFactory(ClientConfig(streaming=False, polling=True, **config)).create(card)

    def _request(self, text: str, task: str | None) -> pb.SendMessageRequest:
        message = pb.Message(
            message_id=str(uuid.uuid4()), role=pb.ROLE_USER, parts=[pb.Part(text=text)], task_id=task or ""
        )
        return pb.SendMessageRequest(message=message, configuration=pb.SendMessageConfiguration())

    async def card(self) -> Value:
        used = {i.protocol_version for i in self._card.supported_interfaces if i.protocol_binding == self._binding}
        return {"name": self._card.name, "version": max(used), "streaming": self._card.capabilities.streaming}

    async def send(self, text: str, *, task: str | None = None, wait: bool = True) -> Value:
        if not wait and (self._binding, self._version) == ("HTTP+JSON", "0.3"):
            raise Absent  # its protobuf leaves out what is false
        client = self._unary if wait else self._polling
        (found,) = [event async for event in client.send_message(self._request(text, task))]
        return event_value(found)

    async def stream(self, text: str, *, task: str | None = None) -> AsyncIterator[Value]:
        async for event in self._streaming.send_message(self._request(text, task)):
            yield event_value(event)

    async def get(self, task: str, history: int | None = None) -> Value:
        return task_value(await self._unary.get_task(pb.GetTaskRequest(id=task, history_length=history)))

    async def cancel(self, task: str) -> Value:
        return task_value(await self._unary.cancel_task(pb.CancelTaskRequest(id=task)))

    async def subscribe(self, task: str) -> AsyncIterator[Value]:
        async for event in self._streaming.subscribe(pb.SubscribeToTaskRequest(id=task)):
            yield event_value(event)

    async def list_tasks(self) -> list[str]:
        if self._version != "1.0":
            raise Absent
        return [task.id for task in (await self._unary.list_tasks(pb.ListTasksRequest())).tasks]

    async def create_hook(self, task: str, hook: str, url: str, token: str) -> Value:
        bearer = pb.AuthenticationInfo(scheme="Bearer", credentials="credentials")
        asked = pb.TaskPushNotificationConfig(task_id=task, id=hook, url=url, token=token, authentication=bearer)
        return self._hook(await self._unary.create_task_push_notification_config(asked))

    async def get_hook(self, task: str, hook: str) -> Value:
        asked = pb.GetTaskPushNotificationConfigRequest(task_id=task, id=hook)
        return self._hook(await self._unary.get_task_push_notification_config(asked))

    def _hook(self, found: pb.TaskPushNotificationConfig) -> Value:
        return {"task": found.task_id, "id": found.id, "url": found.url, "token": found.token}

    def _check_hooks(self) -> None:
        if (self._binding, self._version) == ("HTTP+JSON", "0.3"):
            raise Absent

    async def list_hooks(self, task: str) -> list[str]:
        self._check_hooks()
        asked = pb.ListTaskPushNotificationConfigsRequest(task_id=task)
        return [found.id for found in (await self._unary.list_task_push_notification_configs(asked)).configs]

    async def delete_hook(self, task: str, hook: str) -> None:
        self._check_hooks()
        asked = pb.DeleteTaskPushNotificationConfigRequest(task_id=task, id=hook)
        await self._unary.delete_task_push_notification_config(asked)

    def error(self, error: Exception) -> Any:
        return type(error).__name__


async def main(url: str, binding: str, version: str, webhook: str) -> None:
    async with httpx.AsyncClient(timeout=10) as http:
        peer = Sdk1(http, url, binding, version)
        await peer.open()
        await run(peer, webhook)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
