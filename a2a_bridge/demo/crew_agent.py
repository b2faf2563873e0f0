"""The demo's CrewAI crew. The only file of the demo that imports CrewAI.

`python -m a2a_bridge.demo.crew_agent --port PORT` publishes it. CrewAI writes below the home folder, sends telemetry
and, on a terminal, asks whether it may; it reads its switches while it is imported, so they are set before.
"""

# ruff: noqa: E402
from a2a_bridge.demo.processes import watch_parent

watch_parent()  # before the slow imports

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from a2a_bridge.demo.endpoint import Endpoint, endpoint_in
from a2a_bridge.demo.roles import MARKET_CREW

_BOILERPLATE = re.compile(r"\n*This is the expected criteria for your final answer:.*?not a summary\.", re.DOTALL)


def keep_quiet(cache: Path) -> None:
    """Telemetry off, and everything that CrewAI writes goes below `cache`."""
    home = cache / "crewai-home"
    home.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        HOME=str(home),
        CREWAI_STORAGE_DIR=str(cache / "crewai"),
        CREWAI_DISABLE_TELEMETRY="true",
        CREWAI_TRACING_ENABLED="false",
        CREWAI_DISABLE_VERSION_CHECK="true",
    )


def default_cache() -> Path:
    """Where a crew that is started by hand keeps its things."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "a2a-bridge"


def build_crew(endpoint: Endpoint) -> Any:
    """A crew of one analyst. A very small model hears one prompt, others the whole conversation."""
    from crewai import LLM, Agent, Crew, Task

    llm = LLM(model=f"openai/{endpoint.model}", base_url=endpoint.base_url, api_key=endpoint.api_key, stream=True)
    analyst = Agent(
        role="market analyst",
        goal="say what a development means for the people who use it",
        backstory=MARKET_CREW.system,
        llm=llm,
        allow_delegation=False,
        max_iter=1,
        max_retry_limit=0,
        verbose=False,
    )
    about = "{message}" if endpoint.is_embedded else "{transcript}\n\n" + MARKET_CREW.question
    task = Task(description=about, expected_output="Two short sentences.", agent=analyst)
    return Crew(agents=[analyst], tasks=[task], name=MARKET_CREW.name, verbose=False)


def speak_plainly() -> Callable[[], None]:
    """Take CrewAI's own sentences out of each prompt: a very small model repeats them instead of answering. What is
    returned puts them back."""
    from crewai.hooks import register_before_llm_call_hook, unregister_before_llm_call_hook

    def plain(context: Any) -> None:
        for message in context.messages:
            if isinstance(message.get("content"), str):
                text = _BOILERPLATE.sub("", message["content"])
                message["content"] = (
                    text.replace("Current Task: ", "").replace("Provide your complete response:", "").strip()
                )

    register_before_llm_call_hook(plain)

    def undo() -> None:
        unregister_before_llm_call_hook(plain)

    return undo


def main() -> None:
    endpoint = endpoint_in(os.environ)
    if endpoint is None:
        raise SystemExit("set OPENAI_BASE_URL or OPENAI_API_KEY, and OPENAI_MODEL")
    keep_quiet(Path(os.environ.get("DEMO_CACHE") or default_cache()))
    from a2a_bridge.adaptation import adapt
    from a2a_bridge.demo.prompt import Quoting
    from a2a_bridge.demo.publish import publish

    agent = adapt(build_crew(endpoint), name=MARKET_CREW.name, description=MARKET_CREW.description)
    if endpoint.is_embedded:
        speak_plainly()
        agent = Quoting(agent, MARKET_CREW)
    publish(agent)


if __name__ == "__main__":
    main()
