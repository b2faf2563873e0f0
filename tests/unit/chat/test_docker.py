"""DockerExecutor against a fake engine on a real unix socket: what is asked for, and what comes through."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.chat.execution.config import execution_of
from a2a_bridge.chat.execution.contract import CodeBlock, Limits
from a2a_bridge.chat.execution.docker import DockerExecutor
from a2a_bridge.errors import CodeExecutionError
from a2a_bridge.testing.fake_engine import FakeEngine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(tmp_path) as fake:
        yield fake


def run(engine: FakeEngine, limits: Limits = Limits(timeout=20)) -> DockerExecutor:
    return DockerExecutor(socket=engine.path, limits=limits)


async def test_a_container_is_made_hardened(engine: FakeEngine) -> None:
    """Issue 4: no network, read-only, no capabilities, nobody, limits."""
    executor = DockerExecutor(socket=engine.path, runtime="runsc", limits=Limits(processes=10, memory_mb=256))
    await executor.execute([CodeBlock("sh", "true")])
    wanted = engine.wanted[0]
    host = wanted["HostConfig"]
    assert (wanted["User"], wanted["Tty"], wanted["NetworkDisabled"]) == ("65534:65534", False, True)
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (256 << 20, 256 << 20, 10**9)
    assert host["PidsLimit"] == 14
    assert host["Runtime"] == "runsc"
    assert "Binds" not in host
    assert "Mounts" not in host
    assert "Privileged" not in host
    assert set(host["Tmpfs"]) == {"/tmp", "/work"}
    assert all("nosuid,nodev,size=64m" in words for words in host["Tmpfs"].values())
    assert "noexec" in host["Tmpfs"]["/tmp"].split(",")
    assert "exec" in host["Tmpfs"]["/work"].split(",")
    assert not any("KEY" in each or "TOKEN" in each for each in wanted["Env"])
    assert engine.calls == [
        "GET /_ping", "POST /containers/create", "POST /containers/ID/attach", "POST /containers/ID/start",
        "POST /containers/ID/wait", "GET /containers/ID/json", "DELETE /containers/ID",
    ]  # fmt: skip
    assert engine.left == 0


async def test_code_files_output_and_exit_code_come_through(engine: FakeEngine) -> None:
    """Issue 4: the contract of every executor."""
    code = "print(open('in').read()); open('out', 'wb').write(bytes(200_000))"
    blocks = [CodeBlock("python", code), CodeBlock("sh", "exit 3")]
    result = await run(engine).execute(blocks, {"in": b"given" * 50_000})
    assert (result.exit_code, result.is_cut) == (3, True)
    assert result.output == ("given" * 50_000)[: 64 * 1024]
    assert result.files == {"out": bytes(200_000)}


@pytest.mark.parametrize("versions", [((1, 24), (1, 41)), ((1, 44), (1, 52)), ((1, 52), (1, 99))])
async def test_the_version_of_the_api_is_agreed_on(engine: FakeEngine, versions: Any) -> None:
    """Docker 29 refuses versions below 1.44, Podman says 1.41; a newer engine speaks ours for years."""
    engine.versions = versions
    assert (await run(engine).execute([CodeBlock("sh", "exit 3")])).exit_code == 3


async def test_what_is_no_engine_is_told_apart(engine: FakeEngine) -> None:
    """Ours: another program may listen at that socket."""
    engine.versions = (0, 0), (0, 0)
    with pytest.raises(CodeExecutionError, match="is no Docker engine: it names no version"):
        await run(engine).check()


async def test_processes_of_other_containers_do_not_count(engine: FakeEngine) -> None:
    """RLIMIT_NPROC counts all processes of a user on the machine; the container has a limit of its own."""
    await run(engine, limits=Limits(processes=1, timeout=20)).execute([CodeBlock("sh", "true | true")])
    assert "PROCESSES=" in engine.wanted[0]["Env"]
    assert engine.wanted[0]["HostConfig"]["PidsLimit"] == 5


async def test_time_is_limited_inside_of_the_container_too(engine: FakeEngine) -> None:
    """Issue 4: it ends by itself, also if this process is gone."""
    result = await run(engine, limits=Limits(timeout=0.5)).execute([CodeBlock("sh", "while :; do :; done")])
    assert (result.exit_code, result.stopped_by) == (124, "timeout")
    assert engine.left == 0


async def test_out_of_memory_is_told(engine: FakeEngine) -> None:
    """Issue 4: memory limits."""
    engine.out_of_memory = True
    assert (await run(engine).execute([CodeBlock("sh", "exit 1")])).stopped_by == "memory"


async def test_cancelling_kills_and_removes_the_container(engine: FakeEngine) -> None:
    """Issue 4: cancel kills the process tree."""
    task = asyncio.create_task(
        run(engine).execute([CodeBlock("python", "import signal; signal.alarm(50); signal.pause()")])
    )
    await asyncio.to_thread(engine.wait_until_started)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert engine.calls[-2:] == ["POST /containers/ID/kill", "DELETE /containers/ID"]
    assert engine.left == 0


async def test_an_image_that_is_not_there_is_not_fetched(engine: FakeEngine) -> None:
    """Ours: nothing is downloaded unasked."""
    with pytest.raises(CodeExecutionError, match="docker pull other:1"):
        await DockerExecutor("other:1", socket=engine.path).execute([CodeBlock("sh", "true")])


@pytest.mark.parametrize(
    ("end", "told"), [("/start", "does not start"), ("/create", "does not make"), ("/attach", "attach")]
)
async def test_an_engine_that_refuses_is_quoted_and_nothing_stays(engine: FakeEngine, end: str, told: str) -> None:
    """Ours: speak plainly, clean up."""
    engine.refuse[end] = 500
    with pytest.raises(CodeExecutionError, match=told):
        await run(engine).execute([CodeBlock("sh", "true")])
    assert engine.left == 0


async def test_without_an_engine_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 4: never a silent fallback."""
    nobody = DockerExecutor(socket=str(tmp_path / "no.sock"))
    with pytest.raises(
        CodeExecutionError, match=r"no Docker engine answers at .*no\.sock .*so no code is run: start it"
    ):
        await nobody.execute([CodeBlock("sh", "true")])
    with pytest.raises(CodeExecutionError, match="no Docker engine"):
        await nobody.check()
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    with pytest.raises(CodeExecutionError, match="only an engine at a unix socket"):
        await DockerExecutor().check()


async def test_docker_host_names_the_socket(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's own variable."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{engine.path}")
    await DockerExecutor().check()
    assert engine.calls == ["GET /_ping"]


def test_the_classic_words_choose_the_executor() -> None:
    """AutoGen: use_docker."""
    assert execution_of(None, None) is None
    assert execution_of(False, None) is None
    kinds = {}
    for value in (True, "image:1", False):
        found = execution_of({"use_docker": value, "timeout": 5}, None)
        assert found is not None
        assert found.executor.limits.timeout == 5
        kinds[value] = repr(found.executor)[:20]
    assert kinds[True].startswith("DockerExecutor('pyth")
    assert kinds["image:1"].startswith("DockerExecutor('imag")
    assert kinds[False].startswith("BubblewrapExecutor")
    assert repr(execution_of({}, None).executor).startswith("DockerExecutor")  # type: ignore[union-attr]
    with pytest.raises(TypeError, match="say it to the executor"):
        execution_of({"executor": DockerExecutor(), "timeout": 3}, None)
    with pytest.raises(TypeError, match="not both"):
        execution_of({"use_docker": True}, DockerExecutor())
    with pytest.raises(ValueError, match="a number from 1"):
        execution_of({"last_n_messages": 0}, None)
    with pytest.raises(ValueError, match="more than 0"):
        Limits(timeout=0)
