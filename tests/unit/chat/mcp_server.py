"""A real MCP server for the tests: `python mcp_server.py stdio`, or `http PORT`."""

import os
import sys

from mcp.server.fastmcp import Context, FastMCP

server = FastMCP("tests", host="127.0.0.1", port=int(sys.argv[2]) if len(sys.argv) > 2 else 0)


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def fail(why: str) -> str:
    """Fail."""
    raise ValueError(why)


@server.tool(name="env.get")
def environment(name: str) -> str:
    """A variable of the environment."""
    return os.environ.get(name, "nothing")


@server.tool()
def die() -> str:
    """End the server."""
    os._exit(1)


@server.tool()
def process() -> int:
    """Its process id."""
    return os.getpid()


@server.tool()
async def grow(context: Context) -> str:
    """Offer one tool more, and say so."""
    server.add_tool(process, name="grown")
    await context.session.send_tool_list_changed()
    return "grown"


if __name__ == "__main__":
    server.run("stdio" if sys.argv[1] == "stdio" else "streamable-http")
