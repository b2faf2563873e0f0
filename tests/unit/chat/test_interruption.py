"""Ctrl-C at the terminal: the room ends in good order, says so, and can be gone on with."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.agent import Traits, Turn
from a2a_bridge.chat.conversable import ConversableAgent
from a2a_bridge.chat.explain import explain
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.sync_edge import run_sync
from a2a_bridge.chat.user_proxy import UserProxyAgent


class Interrupted:
    """Presses Ctrl-C in its first turn, and answers in others."""

    name = "slow"
    description = "Takes its time."
    traits = Traits(after_crash="restartable")

    def __init__(self, then: Callable[[], None] | None = None) -> None:
        self.turns: list[str] = []
        self.closed = 0
        self._press = then or (lambda: signal.raise_signal(signal.SIGINT))

    async def run(self, turn: Turn) -> AsyncGenerator[str, None]:
        self.turns.append(turn.id)
        try:
            yield "thinking "
            if len(self.turns) == 1:
                self._press()
                await asyncio.Event().wait()
            yield "done"
        finally:
            self.closed += 1


def board(slow: Interrupted, quick: Any, store: Path | None = None, **rules: Any) -> GroupChatManager:
    chat = GroupChat([quick, slow], speaker_selection_method="round_robin", max_round=3, **rules)
    return GroupChatManager(chat, store=store)


def test_ctrl_c_ends_a_chat_and_what_was_said_can_be_read(puppet: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """AutoGen: KeyboardInterrupt; `chat_messages` has what was said. Another chat goes on with it."""
    slow, quick = Interrupted(), puppet("quick")
    manager = board(slow, quick)
    human = UserProxyAgent("human", human_input_mode="NEVER")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as raised:
        human.initiate_chat(manager, message="go")
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert signal.getsignal(signal.SIGINT) is before
    assert slow.closed == 1
    ended = "The conversation ended (interrupted by human): Ctrl-C\n"
    assert capsys.readouterr().out.endswith(ended)
    assert [said["content"] for said in human.chat_messages[manager]] == ["go", "quick speaks"]
    kept = human.result_with(manager)
    assert kept is not None
    assert kept.stop.kind == "interrupted"
    again = human.initiate_chat(manager, message="well?", clear_history=False, silent=True)
    assert [said.text for said in again.messages] == [
        "go", "quick speaks", "well?", "quick speaks", "thinking done",
    ]  # fmt: skip
    assert again.entries[0].kind == "said"


def test_a_kept_room_that_was_interrupted_says_so_is_replayed_and_goes_on(puppet: Any, tmp_path: Path) -> None:
    """Issue 4, part 5: who has answered is not asked again; the log has the interruption in it, and is whole."""
    slow, quick = Interrupted(), puppet("quick")
    manager = board(slow, quick, tmp_path / "rooms.sqlite")
    with pytest.raises(KeyboardInterrupt):
        run_sync(lambda: manager.chat("go"), "")
    (kept,) = asyncio.run(manager.rooms())
    assert kept.state == "interrupted"
    told = asyncio.run(manager.explain(kept.room_id))
    assert "ended by human (interrupted): Ctrl-C; it can be gone on with" in told
    assert asyncio.run(manager.replay(kept.room_id)).is_same
    result = run_sync(lambda: manager.resume(kept.room_id), "")
    assert [said.text for said in result.messages] == ["go", "quick speaks", "thinking done"]
    assert (len(quick.turns), len(slow.turns), len(set(slow.turns))) == (1, 2, 1)
    assert result.stop.kind == "max_round"
    found = asyncio.run(manager.replay(kept.room_id))
    assert found.is_same, found
    assert found.runs == 2
    once_more = run_sync(lambda: manager.resume(kept.room_id), "")
    assert [entry.kind for entry in once_more.entries] == [entry.kind for entry in result.entries]
    assert "interrupted" in explain(once_more.entries)
    (kept,) = asyncio.run(manager.rooms())
    assert kept.state == "max_round"


def test_ctrl_c_in_a_chat_with_a_kept_room_says_how_to_go_on_and_resume_does(
    puppet: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: `initiate_chat` keeps the room in its manager's store, also one that was interrupted."""
    slow, quick = Interrupted(), puppet("quick")
    manager = board(slow, quick, tmp_path / "rooms.sqlite")
    with pytest.raises(KeyboardInterrupt):
        ConversableAgent("human", human_input_mode="NEVER").initiate_chat(manager, message="go")
    (kept,) = asyncio.run(manager.rooms())
    assert kept.state == "interrupted"
    assert f"Ctrl-C; it can be gone on with: resume('{kept.room_id}')" in capsys.readouterr().out
    result = run_sync(lambda: manager.resume(kept.room_id), "")
    assert [said.text for said in result.messages] == ["go", "quick speaks", "thinking done"]
    assert len(quick.turns) == 1


def test_a_cancellation_that_is_no_ctrl_c_writes_nothing(puppet: Any, tmp_path: Path) -> None:
    """Ours: nothing is written while being cancelled."""
    manager = board(Interrupted(lambda: None), puppet("quick"), tmp_path / "rooms.sqlite")

    async def cut_off() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(manager.chat("go"), 0.2)

    run_sync(cut_off, "")
    (kept,) = asyncio.run(manager.rooms())
    assert kept.state == "running"
    assert "interrupted" not in asyncio.run(manager.explain(kept.room_id))


async def test_ctrl_c_in_a_notebook_ends_the_room_in_its_thread(
    puppet: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: the cell waits in the main thread, where Ctrl-C arrives; the room runs in another one."""
    ipython = type(sys)("IPython")
    monkeypatch.setattr(ipython, "get_ipython", lambda: object(), raising=False)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    main = threading.main_thread().ident or 0
    manager = board(Interrupted(lambda: signal.pthread_kill(main, signal.SIGINT)), puppet("quick"))
    human = ConversableAgent("human")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            human.initiate_chat(manager, message="go")
    finally:
        signal.signal(signal.SIGINT, before)
    assert "ended (interrupted by human)" in capsys.readouterr().out


def test_ctrl_c_wakes_a_loop_that_is_waiting_whatever_thread_it_meets() -> None:
    """Ours: a signal that another thread meets, or that comes just before the wait, interrupts no system call."""
    waits = threading.Event()

    async def thinks(text: str) -> str:
        asyncio.get_running_loop().call_later(0.05, waits.set)
        await asyncio.Event().wait()
        return text

    def press() -> None:
        waits.wait(10)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    presses = threading.Thread(target=press)
    presses.start()
    human = UserProxyAgent("human", human_input_mode="NEVER")
    manager = GroupChatManager(GroupChat([human, thinks], speaker_selection_method="round_robin"))
    with pytest.raises(KeyboardInterrupt):
        human.initiate_chat(manager, message="go", silent=True)
    presses.join()
    assert signal.set_wakeup_fd(-1) == -1


PROGRAM = """
    from a2a_bridge import ConversableAgent, GroupChat, GroupChatManager, UserProxyAgent

    human = UserProxyAgent("human")
    kept = GroupChatManager(
        GroupChat([human, ConversableAgent("bot", default_auto_reply="hm")], speaker_selection_method="round_robin"),
        store="rooms.sqlite",
    )
    unkept = GroupChatManager(kept.groupchat)
"""


def pressed(command: list[str], folder: Path, at: str, terminal: int) -> tuple[int, str]:
    """Run a program with this terminal as its standard input, and press Ctrl-C when it has printed these words."""
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parents[3]}:{folder}"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        shown = b""
        while at.encode() not in shown:
            more = os.read(process.stdout.fileno(), 4096)
            assert more, shown.decode()
            shown += more
        process.send_signal(signal.SIGINT)
        shown += process.stdout.read()
        return process.wait(10), shown.decode()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_program_and_the_command_line_end_without_a_traceback_of_ours(tmp_path: Path, is_terminal: bool) -> None:
    """Ours: while somebody is asked at the terminal, which a thread reads that cannot be stopped."""
    text = textwrap.dedent(PROGRAM)
    (tmp_path / "room.py").write_text(text)
    (tmp_path / "program.py").write_text(f'{text}human.initiate_chat(kept, message="go")\n')
    ours, theirs = pty.openpty() if is_terminal else os.pipe()[::-1]
    try:
        code, shown = pressed([sys.executable, "program.py"], tmp_path, "Your reply", theirs)
        assert code == -signal.SIGINT
        assert "The conversation ended (interrupted by human)" in shown
        assert shown.rstrip().endswith("\nKeyboardInterrupt")
        assert "During handling" not in shown
        assert "Fatal" not in shown
        group = [sys.executable, "-m", "a2a_bridge", "group"]
        code, shown = pressed([*group, "run", "room:kept", "go"], tmp_path, "hm", theirs)
        assert code == 130
        assert "Traceback" not in shown
        listed = subprocess.run([*group, "list", "room:kept"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert "State: interrupted" in listed.stdout
        room_id = listed.stdout.splitlines()[0].removeprefix("Room: ")
        assert shown.endswith(f"Interrupted. Room: {room_id}\nTo go on: a2a-bridge group resume room:kept {room_id}\n")
        code, shown = pressed([*group, "run", "room:unkept", "go", "-o", "json"], tmp_path, "hm", theirs)
        assert code == 130
        assert '"stop":{"kind":"interrupted","by":"human","detail":"nothing is kept' in shown
    finally:
        os.close(ours)
        os.close(theirs)
