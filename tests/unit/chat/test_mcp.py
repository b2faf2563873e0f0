"""MCP servers as tools, against a real server of the package mcp."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.agent import ToolCall, ToolResult
from a2a_bridge.chat.assistant import AssistantAgent
from a2a_bridge.chat.mcp import McpOptions, McpServer
from a2a_bridge.chat.tools import Context, call
from a2a_bridge.chat.variables import ContextVariables
from a2a_bridge.errors import ToolError
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.turns import make_turn, replies_of

SERVER = str(Path(__file__).with_name("mcp_server.py"))


def started(**options: Any) -> McpServer:
    return McpServer.stdio(sys.executable, [SERVER, "stdio"], env={"GIVEN": "yes"}, options=McpOptions(**options))


async def result_of(server: McpServer, name: str, /, **arguments: Any) -> ToolResult:
    made = {each.name: each for each in await server.tools()}[name]
    result, _ = await call(made, ToolCall("1", name, arguments), Context(make_turn("x"), ContextVariables()))
    return result


async def test_a_model_calls_the_tools_of_a_server_that_is_started_for_it() -> None:
    """Issue 4: MCP servers as tools, over stdio."""
    async with started() as server:
        with FakeOpenAI() as fake:
            model = {"model": "m", "base_url": fake.base_url}
            agent = AssistantAgent("bot", llm_config=model, tools=[server])
            replies = await replies_of(agent, make_turn('CALL add {"a": 2, "b": 40}'))
            offered = {each["function"]["name"]: each["function"] for each in fake.requests[0].body["tools"]}
    assert "".join(each for each in replies if isinstance(each, str)) == "Tool said: 42"
    assert offered["add"]["description"] == "Add two numbers."
    assert offered["add"]["parameters"]["properties"]["a"]["type"] == "integer"
    assert "env_get" in offered


async def test_what_goes_wrong_in_the_server_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 4: errors shown to the model; its environment is its own."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    async with started() as server:
        failed = await result_of(server, "fail", why="no /etc/passwd here")
        assert failed.is_error
        assert failed.content == "Error: Error executing tool fail: no (a path) here"
        assert (await result_of(server, "env_get", name="OPENAI_API_KEY")).content == "nothing"
        assert (await result_of(server, "env_get", name="GIVEN")).content == "yes"


async def test_a_server_ends_with_its_owner() -> None:
    """Issue 4: lifecycle owned and closed."""
    async with started() as server:
        pid = int(str((await result_of(server, "process")).content))
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_ends_with_the_event_loop_that_nobody_closed_it_in() -> None:
    """Ours: nothing is left behind by a program that just ends."""

    async def use() -> int:
        return int(str((await result_of(started(), "process")).content))

    pid = asyncio.run(use())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_server_that_dies_fails_the_call_and_is_started_again_by_the_next() -> None:
    """Ours: no call is made twice."""
    async with started() as server:
        dead = await asyncio.wait_for(result_of(server, "die"), 20)
        assert dead.is_error
        assert (await result_of(server, "add", a=1, b=1)).content == "2"


async def test_a_server_that_says_so_is_asked_for_its_tools_again() -> None:
    """MCP: notifications/tools/list_changed."""
    async with started() as server:
        assert "grown" not in {each.name for each in await server.tools()}
        await result_of(server, "grow")
        assert "grown" in {each.name for each in await server.tools()}


async def test_tools_may_be_chosen_renamed_and_put_under_approval() -> None:
    """Ours: a server offers more than an agent should have."""
    async with started(prefix="my_", only=("add",), approval="human") as server:
        agent = AssistantAgent("bot", llm_config=ScriptedModel([]), tools=[server])
        assert [each.name for each in await server.tools()] == ["my_add"]
        assert agent.traits.keeps_context, "a person may be asked"


async def test_a_server_that_cannot_be_started_or_reached_is_named() -> None:
    """Ours: speak plainly."""
    with pytest.raises(ToolError, match="the MCP server program cannot be used: FileNotFoundError"):
        await McpServer.stdio("/no/such/program").tools()
    with pytest.raises(ToolError, match=r"the MCP server http://127\.0\.0\.1:9/mcp cannot be used"):
        await McpServer.http("http://127.0.0.1:9/mcp").tools()
    silent = McpServer.stdio(
        sys.executable, ["-c", "import sys; sys.stdin.read()"], options=McpOptions(connect_timeout=0.3)
    )
    with pytest.raises(ToolError, match=r"did not answer in 0\.3 seconds"):
        await silent.tools()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = await asyncio.create_subprocess_exec(
        sys.executable, SERVER, "http", str(port), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert server.stderr is not None
    while b"running on" not in await asyncio.wait_for(server.stderr.readline(), 20):
        pass
    yield f"http://127.0.0.1:{port}/mcp"
    server.kill()
    await server.communicate()


async def test_a_server_somewhere_is_spoken_to_over_streamable_http(url: str) -> None:
    """Issue 4: MCP over streamable HTTP."""
    async with McpServer.http(url, headers={"x-test": "1"}) as server:
        both = await asyncio.gather(result_of(server, "add", a=1, b=2), result_of(server, "add", a=3, b=4))
    assert [each.content for each in both] == ["3", "7"]
