"""A server of the official SDK (a2a-sdk 1.3.0) on loopback, in one binding and version, and a webhook to tell it of."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers.default_request_handler_v2 import DefaultRequestHandlerV2
from a2a.server.routes.agent_card_routes import create_agent_card_routes
from a2a.server.routes.jsonrpc_routes import create_jsonrpc_routes
from a2a.server.routes.rest_routes import create_rest_routes
from a2a.server.tasks import (
    BasePushNotificationSender,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    TaskUpdater,
)
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from a2a.types.a2a_pb2 import Part as SdkPart
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Way(NamedTuple):
    """A binding and a version."""

    binding: str
    version: str

    @property
    def is_old(self) -> bool:
        return self.version == "0.3"

    def __str__(self) -> str:
        return f"{self.binding} {self.version}"


WAYS = (Way("JSONRPC", "1.0"), Way("HTTP+JSON", "1.0"), Way("JSONRPC", "0.3"), Way("HTTP+JSON", "0.3"))


class Scripted(AgentExecutor):
    """Does what the first word of the message says."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.canceled: list[str] = []
        self.received: list[RequestContext] = []

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        self.received.append(context)
        words = context.get_user_input().split()
        if words[:1] == ["direct"]:
            await event_queue.enqueue_event(new_text_message("directly", context_id=context.context_id))
            return
        task = context.current_task
        if task is None:
            task = new_task_from_user_message(context.message)
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        word = words[0] if words else ""
        await getattr(self, f"do_{word}", self.do_echo)(updater, context)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        self.canceled.append(context.task_id)
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()

    async def do_echo(self, updater: TaskUpdater, context: RequestContext) -> None:
        await updater.start_work()
        await updater.add_artifact([new_text_part(f"echo: {context.get_user_input()}")], artifact_id="answer")
        await updater.complete()

    async def do_tokens(self, updater: TaskUpdater, context: RequestContext) -> None:
        await updater.start_work(updater.new_agent_message([new_text_part("thinking")]))
        for number, word in enumerate(("one ", "two ", "three")):
            await updater.add_artifact([new_text_part(word)], artifact_id="answer", append=number > 0)
        await updater.complete()

    async def do_parts(self, updater: TaskUpdater, context: RequestContext) -> None:
        data = ParseDict({"n": 1, "list": [True, None]}, Value())
        parts = [new_text_part("words"), SdkPart(raw=b"\x00\x01", filename="a.bin"), SdkPart(data=data)]
        await updater.add_artifact(parts, artifact_id="files")
        await updater.complete()

    async def do_ask(self, updater: TaskUpdater, context: RequestContext) -> None:
        await updater.add_artifact([new_text_part("so far")], artifact_id="notes")
        await updater.requires_input(updater.new_agent_message([new_text_part("Which colour?")]))

    async def do_blue(self, updater: TaskUpdater, context: RequestContext) -> None:
        await updater.start_work()
        await updater.add_artifact([new_text_part("painted blue")], artifact_id="answer")
        await updater.complete(updater.new_agent_message([new_text_part("done")]))

    async def do_fail(self, updater: TaskUpdater, context: RequestContext) -> None:
        await updater.failed(updater.new_agent_message([new_text_part("no more paint")]))

    async def do_refuse(self, updater: TaskUpdater, context: RequestContext) -> None:
        await updater.reject(updater.new_agent_message([new_text_part("not my job")]))

    async def do_wait(self, updater: TaskUpdater, context: RequestContext) -> None:
        await updater.start_work()
        await updater.add_artifact([new_text_part("before ")], artifact_id="answer")
        await self.go_on.wait()
        await updater.add_artifact([new_text_part("after")], artifact_id="answer", append=True)
        await updater.complete()


def make_card(url: str, way: Way = WAYS[0], *, streaming: bool = True) -> AgentCard:
    """A card as the SDK's users write it."""
    return AgentCard(
        name="sdk agent",
        description="An agent of the official SDK.",
        version="1.0",
        supported_interfaces=[AgentInterface(url=url, protocol_binding=way.binding, protocol_version=way.version)],
        capabilities=AgentCapabilities(streaming=streaming, push_notifications=True, extended_agent_card=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="echo", name="echo", description="Echoes.", tags=["test"])],
    )


class Peer:
    """A running SDK server."""

    def __init__(self, url: str, executor: Scripted, way: Way) -> None:
        self.url = url
        self.executor = executor
        self.way = way


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    """An app on a free port of loopback, in this event loop; gives its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1, ws="none")
        server = uvicorn.Server(config)
        # it would put back, at its end, a handler of a loop that is gone
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.wait_for(running, 5)


@asynccontextmanager
async def sdk_server(way: Way, *, streaming: bool = True) -> AsyncIterator[Peer]:
    """An SDK server that speaks one binding and one version."""
    executor = Scripted()
    app = Starlette()
    async with httpx.AsyncClient() as webhooks, served(app) as url:
        card = make_card(url + ("/rpc" if way.binding == "JSONRPC" else ""), way, streaming=streaming)
        configs = InMemoryPushNotificationConfigStore()
        extended = AgentCard()
        extended.CopyFrom(card)
        extended.description = "What only friends are told."
        handler = DefaultRequestHandlerV2(
            executor,
            InMemoryTaskStore(),
            card,
            push_config_store=configs,
            push_sender=BasePushNotificationSender(webhooks, configs),
            extended_agent_card=extended,
        )
        if way.binding == "JSONRPC":
            routes = create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=way.is_old)
        else:
            routes = create_rest_routes(handler, enable_v0_3_compat=way.is_old)
        app.router.routes.extend([*create_agent_card_routes(card), *routes])
        try:
            yield Peer(url, executor, way)
        finally:
            executor.go_on.set()


class Delivery(NamedTuple):
    """One call of a webhook."""

    headers: Mapping[str, str]
    body: Any


@asynccontextmanager
async def webhook() -> AsyncIterator[tuple[str, "asyncio.Queue[Delivery]"]]:
    """A webhook, and what it is told."""
    told: asyncio.Queue[Delivery] = asyncio.Queue()

    async def take(request: Request) -> Response:
        told.put_nowait(Delivery(dict(request.headers), json.loads(await request.body())))
        return Response()

    async with served(Starlette(routes=[Route("/hook", take, methods=["POST"])])) as url:
        yield f"{url}/hook", told
