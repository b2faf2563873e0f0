"""Who sits in the demo's room: two local agents, and one agent of each framework that is installed, behind A2A."""

import importlib.util
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import Agent, Turn
from a2a_bridge.chat.assistant import AssistantAgent
from a2a_bridge.chat.model import OpenAIModel, Piece
from a2a_bridge.demo.endpoint import Endpoint
from a2a_bridge.demo.processes import Child, Children, free_port
from a2a_bridge.demo.prompt import Quoting
from a2a_bridge.demo.roles import Role

READY_SECONDS = 120.0


def local_agent(role: Role, endpoint: Endpoint) -> Agent:
    """An agent in this process: an AssistantAgent, or for a very small model a function that asks it one thing."""
    if not endpoint.is_embedded:
        told = {"model": endpoint.model, "base_url": endpoint.base_url, "api_key": endpoint.api_key}
        return AssistantAgent(name=role.name, system_message=role.system, description=role.description, llm_config=told)
    speak = speaking(role, OpenAIModel(endpoint.model, endpoint.api_key, endpoint.base_url))
    return Quoting(adapt(speak, name=role.name, description=role.description), role)


def speaking(role: Role, model: OpenAIModel) -> Callable[[Turn], AsyncIterator[Piece]]:
    """A plain function as an agent: it hands on what the model says, and what it used."""

    async def speak(turn: Turn) -> AsyncIterator[Piece]:
        messages = [{"role": "system", "content": role.system}, {"role": "user", "content": turn.text}]
        async with aclosing(model.stream(messages)) as pieces:
            async for piece in pieces:
                yield piece

    return speak


@dataclass(frozen=True, slots=True)
class Plan:
    """A process to start: its agent's name, what it runs in, and with which interpreter."""

    name: str
    framework: str
    module: str
    python: str


def plan_of_planner(note: Callable[[str], None]) -> Plan:
    """The agent that has a process in any case; what it is made of depends on what is installed."""
    if _has("langgraph") and _has("langchain_openai"):
        return Plan("planner", "LangGraph", "langgraph_agent", sys.executable)
    note("LangGraph is not installed here: a plain agent stands in for it behind A2A.")
    return Plan("planner", "Python", "plain_agent", sys.executable)


def plans(crewai_python: str | None, note: Callable[[str], None]) -> list[Plan]:
    """The agents that get a process; what is left out, and why, is noted."""
    found = [plan_of_planner(note)]
    if crewai_python or _has("crewai"):
        found.append(Plan("market_crew", "CrewAI", "crew_agent", crewai_python or sys.executable))
    else:
        note("CrewAI is not installed here (it needs a Python before 3.14): going on without the crew.")
    return found


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def start_all(plans: Sequence[Plan], children: Children, endpoint: Endpoint, note: Callable[[str], None]) -> list[str]:
    """The agents in their processes, all ready; their URLs. What is started, and when it is ready, is noted."""
    began = time.monotonic()
    for plan in plans:
        child = _start(plan, children, endpoint)
        note(f"Starting {plan.name} ({plan.framework}) in a process of its own, number {child.process.pid} ...")

    def ready(child: Child) -> None:
        where = f"{child.url}/.well-known/agent-card.json"
        note(f"  {child.name} is ready after {time.monotonic() - began:.1f} s: {where}")

    children.wait_until_ready(READY_SECONDS, ready)
    return [child.url for child in children.running]


def _start(plan: Plan, children: Children, endpoint: Endpoint) -> Child:
    port = free_port()
    environ = {**os.environ, **endpoint.environ(), "DEMO_CACHE": str(children.folder)}
    # Without .pyc files the frameworks take twice as long to start.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [plan.python, "-m", f"a2a_bridge.demo.{plan.module}", "--host", "127.0.0.1", "--port", str(port)]
    return children.start(plan.name, command, port, environ)
