"""One agent of each framework that talks to the fake model, and the framework's own way to take a turn and stream.

Tokens are counted both ways, as our adapters do. Each is a function from the model's URL to the object and its own
turn; frameworks are imported when they are asked for.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

OwnTurn = Callable[[str], Awaitable[None]]
"""Takes one turn in a conversation of its own and reads every token, as a program without us would."""

Subject = tuple[Any, OwnTurn]


def langgraph(url: str) -> Subject:
    """`create_agent` without a checkpointer."""
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    graph = create_agent(ChatOpenAI(model="fake-model", base_url=url, api_key="x", stream_usage=True))

    async def own(text: str) -> None:
        asked = {"messages": [{"role": "user", "content": text}]}
        async for _ in graph.astream(asked, stream_mode=["messages", "updates"]):
            pass

    return graph, own


def ag2(url: str) -> Subject:
    """An agent of AG2 1.x."""
    import httpx2
    from ag2 import Agent
    from ag2.config import OpenAIConfig
    from ag2.stream import MemoryStream

    # Without a client of its own AG2 makes one for each turn, which costs more than everything else.
    client = httpx2.AsyncClient()
    config = OpenAIConfig("fake-model", base_url=url, api_key="x", streaming=True, http_client=client)
    agent = Agent("worker", "You work.", config=config)

    async def own(text: str) -> None:
        stream = MemoryStream()
        heard: list[Any] = []

        async def hear(event: Any) -> None:
            heard.append(event)

        stream.subscribe(hear)
        await agent.ask(text, stream=stream)

    return agent, own


def ag2_classic(url: str) -> Subject:
    """A classic ConversableAgent, which streams to an IOStream."""
    from autogen import ConversableAgent, LLMConfig
    from autogen.io import IOStream

    class Silent:
        """Takes what AutoGen would print."""

        def send(self, message: Any) -> None: ...
        def print(self, *objects: Any, sep: str = " ", end: str = "\n", flush: bool = False) -> None: ...

    entry = {"model": "fake-model", "base_url": url, "api_key": "x", "price": [0, 0], "stream": True}
    config = LLMConfig(entry, cache_seed=None)
    # Its own turns are counted by the agent itself, and there are many.
    agent = ConversableAgent("worker", llm_config=config, human_input_mode="NEVER", max_consecutive_auto_reply=10**9)

    async def own(text: str) -> None:
        with IOStream.set_default(Silent()):
            await agent.a_generate_reply(messages=[{"role": "user", "content": text}])

    return agent, own


def autogen(url: str) -> Subject:
    """An AssistantAgent of autogen-agentchat."""
    from autogen_agentchat.agents import AssistantAgent
    from autogen_core import CancellationToken
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    info = {
        "vision": False,
        "function_calling": True,
        "json_output": True,
        "family": "unknown",
        "structured_output": True,
    }
    client = OpenAIChatCompletionClient(
        model="fake-model",
        base_url=url,
        api_key="x",
        model_info={**info, "family": "unknown"},
        include_name_in_message=False,
    )
    agent = AssistantAgent("worker", client, model_client_stream=True)

    async def own(text: str) -> None:
        await agent.on_reset(CancellationToken())
        async for _ in agent.run_stream(task=text):
            pass

    return agent, own


def openai_agents(url: str) -> Subject:
    """An agent of the OpenAI Agents SDK on chat completions."""
    from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, RunConfig, Runner
    from openai import AsyncOpenAI

    model = OpenAIChatCompletionsModel("fake-model", openai_client=AsyncOpenAI(base_url=url, api_key="x"))
    agent: Any = Agent(name="worker", model=model, model_settings=ModelSettings(include_usage=True))
    config = RunConfig(tracing_disabled=True)

    async def own(text: str) -> None:
        async for _ in Runner.run_streamed(agent, text, run_config=config).stream_events():
            pass

    return agent, own


def pydantic_ai(url: str) -> Subject:
    """An agent of pydantic-ai."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    agent = Agent(OpenAIChatModel("fake-model", provider=OpenAIProvider(base_url=url, api_key="x")), name="worker")

    async def own(text: str) -> None:
        async with agent.run_stream_events(text) as events:
            async for _ in events:
                pass

    return agent, own


def agent_framework(url: str) -> Subject:
    """An agent of Microsoft's agent-framework."""
    from agent_framework import Agent
    from agent_framework.openai import OpenAIChatCompletionClient

    client = OpenAIChatCompletionClient(model="fake-model", base_url=url, api_key="x")
    agent: Any = Agent(client, name="worker")

    async def own(text: str) -> None:
        stream = agent.run(text, stream=True)
        async for _ in stream:
            pass
        await stream.get_final_response()

    return agent, own


def google_adk(url: str) -> Subject:
    """An agent of Google's ADK on chat completions, run by a Runner with sessions in memory."""
    from google.adk.agents import LlmAgent
    from google.adk.agents.run_config import RunConfig, StreamingMode
    from google.adk.integrations.openai import OpenAILlm
    from google.adk.runners import Runner
    from google.adk.sessions import InMemorySessionService
    from google.genai import types

    agent = LlmAgent(name="worker", model=OpenAILlm(model="fake-model", base_url=url, api_key="x"))
    sessions = InMemorySessionService()
    runner = Runner(app_name="worker", agent=agent, session_service=sessions)
    config = RunConfig(streaming_mode=StreamingMode.SSE)

    async def own(text: str) -> None:
        session = await sessions.create_session(app_name="worker", user_id="user")
        message = types.Content(role="user", parts=[types.Part(text=text)])
        run = runner.run_async(user_id="user", session_id=session.id, new_message=message, run_config=config)
        async for _ in run:
            pass

    return agent, own


def crewai(url: str) -> Subject:
    """A crew of one agent with one task, streamed."""
    from crewai import LLM, Agent, Crew, Task

    import adapters.crewai.adapter  # noqa: F401  # before CrewAI: it switches the telemetry off, for both ways

    def crew(**options: Any) -> Any:
        llm = LLM(model="openai/fake-model", base_url=url, api_key="x", stream=True)
        agent = Agent(role="Worker", goal="to work", backstory="Born to.", llm=llm)
        task = Task(description="{message}", expected_output="words", agent=agent)
        return Crew(agents=[agent], tasks=[task], **options)

    streamed = crew(stream=True)

    async def own(text: str) -> None:
        output = await streamed.akickoff(inputs={"message": text})
        async for _ in output:
            pass
        assert output.result.raw

    return crew(), own


FRAMEWORKS: Mapping[str, Callable[[str], Subject]] = {
    "langgraph": langgraph,
    "ag2": ag2,
    "ag2_classic": ag2_classic,
    "autogen": autogen,
    "openai_agents": openai_agents,
    "agent_framework": agent_framework,
    "google_adk": google_adk,
    "pydantic_ai": pydantic_ai,
    "crewai": crewai,
}
"""In the order of the table that is printed."""

ELSEWHERE: Mapping[str, str] = {"crewai": ".venv-crewai"}
"""The environment of a framework that does not go with the others: a folder beside the project."""
