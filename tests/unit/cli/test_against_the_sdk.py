"""The commands against a server of the official SDK (a2a-sdk 1.3.0), over real HTTP on loopback."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers.default_request_handler_v2 import DefaultRequestHandlerV2
from a2a.server.routes.agent_card_routes import create_agent_card_routes
from a2a.server.routes.jsonrpc_routes import create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from starlette.applications import Starlette


class Echo(AgentExecutor):
    """Echoes; `direct` answers with a message, `ask` asks, `wait` goes on until it is canceled."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        said = context.get_user_input()
        if said == "direct":
            await event_queue.enqueue_event(new_text_message("directly", context_id=context.context_id))
            return
        task = context.current_task
        if task is None:
            task = new_task_from_user_message(context.message)
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work()
        if said == "ask":
            await updater.requires_input(updater.new_agent_message([new_text_part("What is your name?")]))
            return
        if said == "wait":
            await asyncio.Event().wait()
        await updater.add_artifact([new_text_part(f"echo: {said}")], artifact_id="answer")
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def card_at(url: str, *, streaming: bool) -> AgentCard:
    """A card of the SDK's own making."""
    return AgentCard(
        name="sdk agent",
        description="Echoes.",
        version="1.2.3",
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=streaming),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="echo", name="Echo", description="Echoes.", tags=["test"])],
    )


@pytest.fixture(scope="module", params=[True, False], ids=["streaming", "not streaming"])
def sdk(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that runs in a thread of its own, for the commands need the event loop."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        card = card_at(f"{url}/rpc", streaming=request.param)
        handler = DefaultRequestHandlerV2(Echo(), InMemoryTaskStore(), card)
        app = Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, "/rpc")])
        config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1, ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield url
        server.should_exit = True
        thread.join(10)


def test_the_card_is_shown(sdk: str, run) -> None:  # type: ignore[no-untyped-def]
    """Issue 2: our commands work with an agent that is not ours."""
    done = run("card", "get", "-a", sdk)
    assert done.code == 0
    assert done.out.startswith(
        f"Name: sdk agent\nDescription: Echoes.\nVersion: 1.2.3\nInterface: JSONRPC 1.0 {sdk}/rpc\n"
    )


def test_a_message_is_answered(sdk: str, run) -> None:  # type: ignore[no-untyped-def]
    """Send, with a golden text; the SDK's server is waited for whether it streams or not."""
    done = run("send", "-a", sdk, "hello")
    assert done.code == 0
    assert done.golden == (
        "Task ID: <id 1>\nContext ID: <id 2>\nState: TASK_STATE_COMPLETED\nUpdated: <time>\n"
        "Artifact ID: answer\nText: echo: hello\n"
    )


def test_a_stream_ends_with_ids_and_state(sdk: str, run) -> None:  # type: ignore[no-untyped-def]
    """Stream, also with an agent that cannot: JSON Lines whose last one carries the state."""
    done = run("send", "-a", sdk, "--stream", "hello")
    assert done.code == 0
    assert done.out.count("Text: echo: hello\n") == 1
    assert "State: TASK_STATE_COMPLETED\n" in done.out
    last = run("send", "-a", sdk, "--stream", "-o", "json", "hello").lines[-1]
    assert next(iter(last.values()))["status"]["state"] == "TASK_STATE_COMPLETED"


def test_a_direct_message_has_no_task(sdk: str, run) -> None:  # type: ignore[no-untyped-def]
    """A Message instead of a Task."""
    done = run("send", "-a", sdk, "direct", "-o", "json")
    assert done.json["message"]["parts"] == [{"text": "directly"}]


def test_a_pause_is_answered_by_the_printed_command(sdk: str, run) -> None:  # type: ignore[no-untyped-def]
    """Several turns with INPUT_REQUIRED."""
    asked = run("send", "-a", sdk, "ask")
    assert "Text: What is your name?\n" in asked.out
    resume = asked.out.splitlines()[-1].removeprefix("Resume: a2a-bridge ").replace("'YOUR ANSWER'", "Bob").split()
    assert "Text: echo: Bob\n" in run(*resume).out


def test_tasks_are_found_listed_and_ended(sdk: str, run) -> None:  # type: ignore[no-untyped-def]
    """Get, list, cancel, and a finished task that cannot be ended."""
    begun = run("send", "-a", sdk, "--async", "-o", "json", "wait").json["task"]
    shown = run("task", "get", begun["id"], "-a", sdk)
    assert shown.code == 0
    listed = run("task", "list", "-a", sdk, "--context-id", begun["contextId"], "-o", "json").json
    assert [task["id"] for task in listed["tasks"]] == [begun["id"]]
    assert "State: TASK_STATE_CANCELED\n" in run("task", "cancel", begun["id"], "-a", sdk).out
    again = run("task", "cancel", begun["id"], "-a", sdk)
    assert again.code == 1
    assert "Code: TaskNotCancelableError" in again.err


def test_an_unknown_task_is_an_error_of_the_protocol(sdk: str, run) -> None:  # type: ignore[no-untyped-def]
    """Exit code 1, by its own name."""
    done = run("task", "get", "nope", "-a", sdk, "-o", "json")
    assert (done.code, done.json["error"]["code"]) == (1, "TaskNotFoundError")
