"""The last official SDK that spoke A2A 0.3 (a2a-sdk 0.3.26), as a server: `sdk03_server.py BINDING`.

It listens on a free port of loopback, says its URL in one line, and ends when its standard input does.
"""

import asyncio
import socket
import sys

import httpx
import uvicorn
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.apps import A2ARESTFastAPIApplication, A2AStarletteApplication
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import (
    BasePushNotificationSender,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    TaskUpdater,
)
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentSkill,
    DataPart,
    FilePart,
    FileWithBytes,
    Part,
    TextPart,
    TransportProtocol,
)
from a2a.utils import new_agent_text_message, new_task


class Scripted(AgentExecutor):
    """Does what the first word of the message says."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        words = context.get_user_input().split()
        if words[:1] == ["direct"]:
            await event_queue.enqueue_event(new_agent_text_message("directly", context.context_id))
            return
        task = context.current_task
        if task is None:
            task = new_task(context.message)
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await getattr(self, f"do_{words[0] if words else ''}", self.do_echo)(updater, context)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()

    async def do_echo(self, updater: TaskUpdater, context: RequestContext) -> None:
        await updater.start_work()
        await updater.add_artifact([text(f"echo: {context.get_user_input()}")], artifact_id="answer")
        await updater.complete()

    async def do_tokens(self, updater: TaskUpdater, context: RequestContext) -> None:
        await updater.start_work(updater.new_agent_message([text("thinking")]))
        for number, word in enumerate(("one ", "two ", "three")):
            await updater.add_artifact([text(word)], artifact_id="answer", append=number > 0)
        await updater.complete()

    async def do_parts(self, updater: TaskUpdater, context: RequestContext) -> None:
        file = FileWithBytes(bytes="AAE=", name="a.bin", mime_type="application/x")
        parts = [text("words"), Part(root=FilePart(file=file)), Part(root=DataPart(data={"n": 1}))]
        await updater.add_artifact(parts, artifact_id="files")
        await updater.complete()

    async def do_ask(self, updater: TaskUpdater, context: RequestContext) -> None:
        await updater.requires_input(updater.new_agent_message([text("Which colour?")]), final=True)

    async def do_blue(self, updater: TaskUpdater, context: RequestContext) -> None:
        await updater.add_artifact([text("painted blue")], artifact_id="answer")
        await updater.complete()

    async def do_fail(self, updater: TaskUpdater, context: RequestContext) -> None:
        await updater.failed(updater.new_agent_message([text("no more paint")]))

    async def do_wait(self, updater: TaskUpdater, context: RequestContext) -> None:
        await updater.start_work()
        await updater.add_artifact([text("before ")], artifact_id="answer")
        await self.go_on.wait()
        await updater.add_artifact([text("after")], artifact_id="answer", append=True)
        await updater.complete()

    async def do_go(self, updater: TaskUpdater, context: RequestContext) -> None:
        """Those that wait go on."""
        self.go_on.set()
        await updater.complete()


def text(words: str) -> Part:
    return Part(root=TextPart(text=words))


async def main(binding: str) -> None:
    is_rest = binding == "HTTP+JSON"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        card = AgentCard(
            name="old agent",
            description="An agent of the SDK of 0.3.",
            version="1.0",
            url=url if is_rest else f"{url}/",
            preferred_transport=TransportProtocol.http_json if is_rest else TransportProtocol.jsonrpc,
            capabilities=AgentCapabilities(streaming=True, push_notifications=True),
            default_input_modes=["text/plain"],
            default_output_modes=["text/plain"],
            skills=[AgentSkill(id="echo", name="echo", description="Echoes.", tags=["test"])],
            supports_authenticated_extended_card=True,
        )
        extended = card.model_copy(update={"description": "What only friends are told."})
        configs = InMemoryPushNotificationConfigStore()
        async with httpx.AsyncClient() as webhooks:
            handler = DefaultRequestHandler(
                Scripted(),
                InMemoryTaskStore(),
                push_config_store=configs,
                push_sender=BasePushNotificationSender(webhooks, configs),
            )
            kind = A2ARESTFastAPIApplication if is_rest else A2AStarletteApplication
            app = kind(card, handler, extended_agent_card=extended).build()
            server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
            running = asyncio.create_task(server.serve(sockets=[listener]))
            print(url, flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            server.should_exit = True
            await running


asyncio.run(main(sys.argv[1]))
