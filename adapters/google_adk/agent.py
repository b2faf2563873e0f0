"""An agent or a workflow of Google's Agent Development Kit as an agent.

ADK's agents are configuration: what a conversation is stands in the events of a session. Each turn has a session and a
runner of its own (`sessions.py`), made from the turn's journal, and leaves its events there in the end; so a tool's
confirmation may come in another process. A turn that was cancelled, failed or given up leaves the conversation as it
was before it. The run's events belong to `_replies`, which closes them however it is left; the model call ends with
them.
"""

import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

from a2a_bridge.errors import framework_errors, needs_extra

with needs_extra("google-adk"):
    from google.adk.agents.run_config import RunConfig, StreamingMode
    from google.adk.apps.app import App
    from google.adk.plugins.base_plugin import BasePlugin
    from google.adk.runners import Runner
    from google.genai import types

from a2a_bridge.agent import Answer, Chunk, Fail, Reply, Traits, Turn, Usage
from adapters.google_adk.messages import FILES, to_content, to_events
from adapters.google_adk.questions import ask_of, response_to
from adapters.google_adk.reading import Reading
from adapters.google_adk.roots import Root
from adapters.google_adk.sessions import TurnSession, past_events

ANSWER = Chunk().artifact

_GONE = Fail("The question that this answers is not open any more. Please start again.")

_NOT_IN_A_NAME = re.compile(r"\W+")


class AdkAgent:
    """Takes turns with an agent or a node, which is shared by all of them; an `App` brings its plugins, a `Runner` its
    stores of artifacts and memories."""

    def __init__(self, obj: Any, *, name: str | None = None, description: str | None = None) -> None:
        self._services = {}
        if isinstance(obj, Runner):
            stores = ("artifact_service", "memory_service", "credential_service")
            self._services = {store: getattr(obj, store) for store in stores}
            plugins = list(obj.plugin_manager.plugins)
            self._app = obj.app.model_copy(update={"name": obj.app_name, "plugins": plugins})
        elif isinstance(obj, App):
            self._app = obj
        else:
            self._app = App.model_construct(name=_NOT_IN_A_NAME.sub("_", obj.name), root_agent=obj, plugins=[])
        self._root = root = Root(self._app.root_agent)
        self.name = name or root.node.name
        self.description = description or root.description or f"An agent called {self.name}."
        self.traits = Traits(
            framework="google_adk",
            skills=root.skills,
            input_modes=("text/plain", "application/json", *FILES),
            keeps_context=True,
        )

    def __repr__(self) -> str:
        return f"AdkAgent({self.name!r})"

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """One run. Whatever ADK raises becomes an AdapterFailedError."""
        with framework_errors(f"the ADK agent {self.name!r}"):
            events, waits = past_events(await turn.journal.read(), answering=turn.answer is not None)
            if turn.answer:
                calls = _open_calls(events) if waits else []
                if not calls:
                    yield _GONE
                    return
                message = _answers(calls, turn.answer)
                if message is None:
                    for call in calls:
                        yield ask_of(call)
                    return
            else:
                events = events or to_events(await turn.history(), self.name, self._root.node.name)
                message = to_content(turn.messages, keeps_json=not self._root.is_agent)
            session = TurnSession(self._app.name, turn, events)
            async with aclosing(self._replies(turn, session, message)) as replies:
                async for reply in replies:
                    yield reply

    async def _replies(self, turn: Turn, session: TurnSession, message: Any) -> AsyncGenerator[Reply | str, None]:
        reading = Reading(self._root)
        care = Care(reading.failed, self._root.careful, session.session.id)
        app = self._app.model_copy(update={"plugins": [*self._app.plugins, care]})
        runner = Runner(app=app, session_service=session, **self._services)
        run = runner.run_async(
            user_id=session.session.user_id,
            session_id=session.session.id,
            new_message=message,
            run_config=RunConfig(streaming_mode=StreamingMode.SSE),
        )
        said = False
        async with aclosing(run) as events:
            async for event in events:
                for reply in reading.take(event):
                    said = said or isinstance(reply, str) or (isinstance(reply, Chunk) and reply.artifact == ANSWER)
                    yield reply
                while care.used:
                    yield care.used.pop(0)
        for reply in reading.end():
            yield reply
        if reading.error and not said:
            yield Fail(f"The model gave no answer ({reading.error}).")
            return
        waiting = reading.waiting
        record = session.to_record(waits=bool(waiting), answers=turn.answer is not None)
        await turn.journal.append(record)
        for call in waiting:
            yield ask_of(call)


class Care(BasePlugin):  # type: ignore[misc]  # checked without the framework's types
    """What a broken tool tells the model: that it failed, and how; ADK would end the run. An agent that has a callback
    of its own for that keeps it. And what agents behind tools use: they run in sessions of which no event tells."""

    def __init__(self, failed: set[str], careful: set[str], session_id: str) -> None:
        super().__init__(name="a2a_bridge_care")
        self.used: list[Usage] = []
        self._failed = failed
        self._careful = careful
        self._session_id = session_id

    async def after_model_callback(self, *, callback_context: Any, llm_response: Any) -> None:
        """A model has answered somebody."""
        used = llm_response.usage_metadata
        if used is not None and not llm_response.partial and callback_context.session.id != self._session_id:
            spent, made = used.prompt_token_count or 0, used.candidates_token_count or 0
            self.used.append(Usage(spent, made, model=llm_response.model_version))

    async def on_tool_error_callback(
        self, *, tool: Any, tool_args: dict[str, Any], tool_context: Any, error: Exception
    ) -> dict[str, Any] | None:
        """The result that stands for the error; None where the agent decides itself."""
        if tool_context.agent_name in self._careful:
            return None
        self._failed.add(tool_context.function_call_id)
        return {"error": f"The tool failed: {type(error).__name__}"}


def _open_calls(events: Iterable[Any]) -> list[Any]:
    """The calls of a session that wait for an answer."""
    found: dict[str, Any] = {}
    for event in events:
        for call in event.get_function_calls():
            if call.id in (event.long_running_tool_ids or ()):
                found[call.id] = call
        for response in event.get_function_responses():
            found.pop(response.id, None)
    return list(found.values())


def _answers(calls: list[Any], answer: Answer) -> Any:
    """What the run goes on with; None if one of the answers is unclear."""
    given = Answer(tuple(ask_of(call) for call in calls), answer.message)
    parts = [response_to(call, given) for call in calls]
    return None if None in parts else types.Content(role="user", parts=parts)
