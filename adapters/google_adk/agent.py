"""An agent of Google's Agent Development Kit as an agent.

ADK's agents are configuration: what a conversation is stands in the events of a session. Each turn has a session and a
runner of its own (`sessions.py`), made from the turn's journal, and leaves its events there in the end; so a tool's
confirmation may come in another process. A turn that was cancelled, failed or given up leaves the conversation as it
was before it. The run's events belong to `_replies`, which closes them however it is left; the model call ends with
them.
"""

import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import Any

from google.adk.agents import BaseAgent, LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.apps.app import App
from google.adk.plugins.base_plugin import BasePlugin
from google.adk.runners import Runner
from google.genai import types

from a2a_bridge.agent import Answer, Fail, Reply, Traits, Turn
from a2a_bridge.errors import AdapterError, framework_errors
from a2a_bridge.protocol.card import AgentSkill
from adapters.google_adk.messages import FILES, to_content, to_events
from adapters.google_adk.questions import ask_of, response_to
from adapters.google_adk.reading import Reading
from adapters.google_adk.sessions import TurnSession, past_events

_GONE = Fail("The question that this answers is not open any more. Please start again.")

_NOT_IN_A_NAME = re.compile(r"\W+")


class AdkAgent:
    """Takes turns with an agent, which is shared by all of them; an `App` brings its plugins, a `Runner` its stores of
    artifacts and memories."""

    def __init__(self, obj: Any, *, name: str | None = None, description: str | None = None) -> None:
        self._services = {}
        if isinstance(obj, Runner):
            stores = ("artifact_service", "memory_service", "credential_service")
            self._services = {store: getattr(obj, store) for store in stores}
            plugins = list(obj.plugin_manager.plugins)
            app = App.model_construct(
                name=obj.app_name,
                root_agent=obj.agent,
                plugins=plugins,
                context_cache_config=obj.context_cache_config,
                resumability_config=obj.resumability_config,
            )
        elif isinstance(obj, App):
            app = obj
        else:
            app = App.model_construct(name=_NOT_IN_A_NAME.sub("_", obj.name), root_agent=obj, plugins=[])
        self._app, root = app, app.root_agent
        if not isinstance(root, BaseAgent):
            raise AdapterError(f"the app {app.name!r} has a {type(root).__name__} at its root: give it an agent there")
        agents = list(_agents(root))
        models = [agent for agent in agents if isinstance(agent, LlmAgent)]
        self._root = root.name
        self._models = {agent.name: _model_name(agent) for agent in models}
        self._structured = {agent.name for agent in models if agent.output_schema is not None}
        self._careful = {agent.name for agent in models if agent.on_tool_error_callback is not None}
        self._names_speakers = len([agent for agent in agents if not agent.sub_agents or agent in models]) > 1
        self.name = name or root.name
        self.description = description or root.description or f"An agent called {self.name}."
        self.traits = Traits(
            framework="google_adk",
            skills=tuple(_skills(models)),
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
                events = events or to_events(await turn.history(), self.name, self._root)
                message = to_content(turn.messages)
            session = TurnSession(self._app.name, turn, events)
            async with aclosing(self._replies(turn, session, message)) as replies:
                async for reply in replies:
                    yield reply

    async def _replies(self, turn: Turn, session: TurnSession, message: Any) -> AsyncGenerator[Reply | str, None]:
        reading = Reading(models=self._models, structured=self._structured, names_speakers=self._names_speakers)
        app = self._app.model_copy(update={"plugins": [*self._app.plugins, ToolErrors(reading.failed, self._careful)]})
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
                    said = said or isinstance(reply, str)
                    yield reply
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


class ToolErrors(BasePlugin):  # type: ignore[misc]  # checked without the framework's types
    """What a broken tool tells the model: that it failed, and how; ADK would end the run. An agent that has a callback
    of its own for that keeps it."""

    def __init__(self, failed: set[str], careful: set[str]) -> None:
        super().__init__(name="a2a_bridge_tool_errors")
        self._failed = failed
        self._careful = careful

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


def _agents(root: Any) -> Iterator[Any]:
    yield root
    for agent in root.sub_agents:
        yield from _agents(agent)


def _model_name(agent: Any) -> str:
    return agent.model if isinstance(agent.model, str) else str(getattr(agent.model, "model", ""))


def _skills(agents: Iterable[Any]) -> Iterator[AgentSkill]:
    """The tools of all agents, for the card; toolsets tell theirs only when they run."""
    tools: dict[str, str] = {}
    for agent in agents:
        for tool in agent.tools:
            name = getattr(tool, "name", None) or getattr(tool, "__name__", None)
            if name and not hasattr(tool, "get_tools"):
                tools.setdefault(name, getattr(tool, "description", None) or getattr(tool, "__doc__", None) or name)
    for name, text in tools.items():
        yield AgentSkill(id=name, name=name, description=text.strip(), tags=("tool",))
