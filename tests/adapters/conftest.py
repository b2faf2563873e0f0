"""Every test runs inside the network guard; what was tried is told, and written down if asked.

With WRITE_VERSIONS=1 in the environment, a run that passed writes the line "Tried with ..." of each adapter's README.
"""

import importlib
import os
import platform
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the helpers that lie beside the tests


@pytest.fixture(autouse=True)
def _nothing_leaves_this_machine() -> Iterator[None]:
    """Issue 5: a connection that is not loopback is refused, recorded, and fails the test that made it."""
    from a2a_bridge.testing.network_guard import network_guard

    with network_guard() as attempts:
        yield
    assert attempts == []


@pytest.fixture(autouse=True)
async def _clients_end_with_their_test() -> AsyncIterator[None]:
    from tests.adapters.clients import close_all

    yield
    await close_all()


@pytest.fixture
def model() -> Iterator[Any]:
    """The fake model."""
    from a2a_bridge.testing.fake_openai import FakeOpenAI

    with FakeOpenAI() as model:
        yield model


@pytest.fixture
async def remote() -> AsyncIterator[Any]:
    """A `Remote` behind a server in this event loop, and its URL."""
    from a2a_bridge.bridge import Bridge
    from a2a_bridge.testing.server import running
    from tests.adapters.remote_agent import Remote

    agent = Remote()
    async with running(lambda url: Bridge(agent, public_url=url)) as url:
        yield agent, url


def tried(session: pytest.Session) -> dict[str, str]:
    """The module of each adapter whose contract was run, and the versions it was run with."""
    from a2a_bridge.testing.adapter_case import AdapterCase, versions

    found = {}
    for item in session.items:
        case = getattr(item, "cls", None)
        if isinstance(case, type) and issubclass(case, AdapterCase) and case.module not in found:
            told = [
                f"{name} {version}" for name, version in versions(importlib.import_module(case.module).ADAPTER).items()
            ]
            found[case.module] = ", ".join([*told, f"Python {platform.python_version()}"])
    return found


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Tell the versions, and write them down if this is asked for."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    for module, told in tried(session).items():
        if reporter is not None:
            reporter.write_line(f"\n{module}: {told}")
        if exitstatus == 0 and os.environ.get("WRITE_VERSIONS") == "1":
            readme = Path(str(importlib.import_module(module).__file__)).with_name("README.md")
            text = re.sub(r"(?m)^Tried with .*$", f"Tried with {told}.", readme.read_text())
            readme.write_text(text)
