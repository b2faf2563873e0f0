"""The image's own commands without an engine: three processes from the built wheel, in an empty folder."""

import asyncio
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from a2a_bridge import Client, Task, TaskState
from a2a_bridge.demo.processes import is_ready
from a2a_bridge.testing.fake_model import Conversation, Said
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.server import free_socket

ROOT = Path(__file__).parents[2]
INTERPRETERS = {"market-crew": ROOT / ".venv-crewai" / "bin" / "python"}
READY_SECONDS = 90.0


def commands() -> dict[str, list[str]]:
    """The command of each service, as compose.yaml has it."""
    text = (ROOT / "compose.yaml").read_text("utf-8")
    found = re.findall(r"^  ([a-z-]+):\n(?:    .*\n)*?    command: (\[.*\])$", text, re.MULTILINE)
    return {name: json.loads(command) for name, command in found}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel, unpacked; nothing of the checkout is in it that the build did not put there."""
    out, unpacked = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT, check=True, capture_output=True, timeout=50,
    )  # fmt: skip
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        archive.extractall(unpacked)
    return unpacked


def test_the_wheel_holds_the_adapters_and_the_cards(wheel: Path) -> None:
    """Ours: they lie beside the package, where a build forgets them easily."""
    assert (wheel / "adapters" / "langgraph" / "adapter.py").is_file()
    assert (wheel / "adapters" / "crewai" / "adapter.py").is_file()
    assert not (wheel / "adapters" / "__init__.py").exists()
    assert (wheel / "agent_cards" / "planner.json").is_file()
    assert (wheel / "a2a_bridge" / "py.typed").is_file()
    assert not (wheel / "tests").exists()


@contextmanager
def started(command: list[str], interpreter: Path, environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    folder.mkdir()
    log = (folder / "log").open("wb")
    arguments = [str(interpreter), *command[1:]]
    inherited = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    process = subprocess.Popen(
        arguments, cwd=folder, env={**inherited, "HOME": str(folder), **environment}, stdin=subprocess.DEVNULL,
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)
        log.close()


async def ready(url: str) -> None:
    """Returns when the service says that it is ready; what it is waiting for is another process's start."""
    pause = asyncio.Event()
    async with asyncio.timeout(READY_SECONDS):
        while not await asyncio.to_thread(is_ready, url):
            asyncio.get_running_loop().call_later(0.05, pause.set)
            await pause.wait()
            pause.clear()


def choosing(conversation: Conversation) -> Said:
    """Lets the two remote seats speak, then ends."""
    if conversation.schema is None:
        return Said("A sensible sentence.")
    text = " ".join(line.text for line in conversation.lines)
    spoken = [name for name in ("planner", "market_crew") if f'"speaker": "{name}"' in text or f'"{name}":' in text]
    order = ["planner", "market_crew", "END"]
    return Said(json.dumps({"next": order[len(spoken)], "reason": "one after the other"}))


@pytest.mark.timeout(180)
async def test_the_three_services_of_compose_run_from_the_wheel_and_talk_to_each_other(
    wheel: Path, tmp_path: Path
) -> None:
    """Ours: the issue's container, by its exact commands."""
    sockets = {name: free_socket() for name in commands()}
    urls = {name: f"http://127.0.0.1:{bound.getsockname()[1]}" for name, bound in sockets.items()}
    for bound in sockets.values():
        bound.close()
    assert set(urls) == {"planner", "market-crew", "room"}
    with FakeOpenAI(choosing) as model, ExitStack() as stack:
        for name, command in commands().items():
            environment = {
                "PYTHONPATH": str(wheel),
                "PORT": urls[name].rpartition(":")[2],
                "OPENAI_BASE_URL": model.base_url,
                "OPENAI_API_KEY": "any",
                "OPENAI_MODEL": "fake",
                "ROOM_SEATS": f"{urls['planner']},{urls['market-crew']}",
            }
            told = [re.sub(r"^http://[a-z0-9.-]+:8080$", urls[name], word) for word in command]
            interpreter = INTERPRETERS.get(name, Path(sys.executable))
            stack.enter_context(started(told, interpreter, environment, tmp_path / name))
        for url in urls.values():
            await ready(url)
        async with Client(urls["room"]) as client:
            task = await client.send("What should we do first?")
    assert isinstance(task, Task)
    assert task.status.state is TaskState.COMPLETED, (tmp_path / "room" / "log").read_text()
    speakers = {artifact.name for artifact in task.artifacts or ()}
    assert {"planner", "market_crew"} <= speakers
