"""The official SDK's server with the same three agents, put together as its documentation does."""

import asyncio
import sys

import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from starlette.applications import Starlette

from benchmarks.peers.words import ANSWER, CHUNK, CHUNKS
from benchmarks.processes import serve_until_told


class Talker(AgentExecutor):
    """`chunks` pieces of an answer, each given to the queue as it comes."""

    def __init__(self, text: str, chunks: int, *, waits: bool) -> None:
        self._text = text
        self._chunks = chunks
        self._waits = waits

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message is not None
        task = context.current_task or new_task_from_user_message(context.message)
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        for number in range(self._chunks):
            await updater.add_artifact([new_text_part(self._text)], artifact_id="answer", append=number > 0)
            if self._waits:
                await asyncio.sleep(0)
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        await TaskUpdater(event_queue, context.task_id or "", context.context_id or "").cancel()


AGENTS = {
    "answer": Talker(ANSWER, 1, waits=False),
    "chunks": Talker(CHUNK, CHUNKS, waits=False),
    "waits": Talker(CHUNK, CHUNKS, waits=True),
}


def main() -> None:
    """Argument: the port."""
    port = int(sys.argv[1])
    routes = []
    for name, executor in AGENTS.items():
        url = f"http://127.0.0.1:{port}/{name}/"
        card = AgentCard(
            name=name,
            description=name,
            version="1",
            supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
            capabilities=AgentCapabilities(streaming=True),
            default_input_modes=["text/plain"],
            default_output_modes=["text/plain"],
            skills=[AgentSkill(id="talk", name="talk", description="Talks.", tags=["talk"])],
        )
        handler = DefaultRequestHandler(agent_executor=executor, task_store=InMemoryTaskStore(), agent_card=card)
        routes += create_jsonrpc_routes(handler, f"/{name}/")
    uvicorn.run(
        Starlette(routes=routes), port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


if __name__ == "__main__":
    serve_until_told(main)
