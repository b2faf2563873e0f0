"""chat: on a terminal, in a pipe, interrupted."""

import fcntl
import io
import os
import pty
import selectors
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


class Terminal:
    """A chat on a pseudo-terminal: what it shows, and keys to press."""

    def __init__(self, *arguments: str, cwd: Path) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "a2a_bridge", "chat", *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(cwd)},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_own_terminal,
        )
        os.close(theirs)
        self.heard = ""

    def until(self, wanted: str) -> str:
        """What it shows up to `wanted`, which is then left behind."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._ours, selectors.EVENT_READ)
            while wanted not in self.heard:
                if not selector.select(20):
                    raise AssertionError(f"{wanted!r} did not come; shown: {self.heard!r}")
                self.heard += os.read(self._ours, 65536).decode().replace("\r\n", "\n")
        shown, _, self.heard = self.heard.partition(wanted)
        return shown + wanted

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        os.close(self._ours)


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[list[Terminal]]:
    made: list[Terminal] = []
    yield made
    for one in made:
        one.close()


def test_a_conversation_on_a_terminal(served, terminal, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §6.2: the waiting task goes along, and nothing is shown twice."""
    chat = Terminal("-a", served.agent("asks"), cwd=tmp_path)
    terminal.append(chat)
    chat.until("asks: Asks for a name.\n> ")
    chat.press("hello\n")
    assert chat.until("> ") == "hello\nWhat is your name?\n> "
    chat.press("Bob\n")
    assert chat.until("> ") == "Bob\nHello Bob\n> "
    chat.press("again\n")
    assert chat.until("> ") == "again\nWhat is your name?\n> "
    chat.press("/new\n")
    chat.until("New context.\n> ")
    chat.press("\x04")
    assert chat.process.wait(10) == 0


def test_a_question_shows_its_options_on_a_terminal(served, terminal, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Ours: and says which words it takes when another one came."""
    chat = Terminal("-a", served.agent("decides"), cwd=tmp_path)
    terminal.append(chat)
    chat.until("> ")
    chat.press("pay\n")
    assert chat.until("> ") == "pay\nMay pay be called?\nOptions: yes, no\n> "
    chat.press("maybe\n")
    assert "Please answer with one of: yes, no\nOptions: yes, no\n" in chat.until("> ")
    chat.press("yes\n")
    assert chat.until("> ") == "yes\nyes it is\n> "


def test_a_question_shows_its_options_and_why_it_is_put_again(served, run) -> None:  # type: ignore[no-untyped-def]
    """Ours: who reads text sees the words to choose from, and what was wrong with others."""
    first = run("send", "-a", served.agent("decides"), "pay")
    assert "Text: May pay be called?\nOptions: yes, no\nResume: " in first.out
    task_id = first.out.splitlines()[0].removeprefix("Task ID: ")
    again = run("send", "-a", served.agent("decides"), "--task-id", task_id, "maybe")
    asked = "Text: May pay be called?\nText: Please answer with one of: yes, no\nOptions: yes, no\n"
    assert asked in again.out
    done = run("send", "-a", served.agent("decides"), "--task-id", task_id, "--stream", "Yes.")
    assert "Text: yes it is\n" in done.out


def test_ctrl_c_cancels_the_turn_and_not_the_chat(served, terminal, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Our decision: the task is ended, and the prompt comes back; at the prompt Ctrl-C leaves."""
    chat = Terminal("-a", served.agent("slow"), cwd=tmp_path)
    terminal.append(chat)
    chat.until("> ")
    before = run("task", "list", "-a", served.agent("slow"), "--status", "canceled", "-o", "json").json["totalSize"]
    chat.press("go\n")
    chat.until("began")
    chat.press("\x03")
    chat.until("Canceled.\n> ")
    after = run("task", "list", "-a", served.agent("slow"), "--status", "canceled", "-o", "json").json["totalSize"]
    assert after == before + 1
    chat.press("\x03")
    assert chat.process.wait(10) == 130


def test_failures_and_notes_are_shown_and_the_chat_goes_on(served, terminal, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Our decision: a failed task ends a turn, not the conversation."""
    chat = Terminal("-a", served.agent("fails"), cwd=tmp_path)
    terminal.append(chat)
    chat.until("> ")
    chat.press("x\n")
    assert chat.until("> ") == "x\n(trying)\nno luck\nThe task ended as TASK_STATE_FAILED.\n> "
    chat.press("/quit\n")
    assert chat.process.wait(10) == 0


def test_files_and_data_stand_on_their_own_lines(served, terminal, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §8.2: nothing is dropped, and nothing controls the terminal."""
    chat = Terminal("-a", served.agent("parts"), cwd=tmp_path)
    terminal.append(chat)
    chat.until("> ")
    chat.press("x\n")
    shown = chat.until("y.png\n> ")
    assert "What came: x\none\ntwo[31m red\nData:\n{" in shown
    assert "\nFile: x.bin\n" in shown


def test_a_pipe_is_a_conversation_too(served, shell) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §9.2: without a terminal the text form, and nobody is asked for anything."""
    done = shell("chat", "-a", served.agent("asks"), stdin="hello\n\nBob\n")
    assert done.code == 0
    assert "> " not in done.err
    assert done.golden == (
        "Task ID: <id 1>\n"
        "Context ID: <id 2>\n"
        "State: TASK_STATE_WORKING\n"
        "State: TASK_STATE_INPUT_REQUIRED\n"
        "Message ID: <id 3>\n"
        "Text: What is your name?\n"
        "State: TASK_STATE_WORKING\n"
        "Artifact ID: answer.2\n"
        "Text: Hello Bob\n"
        "State: TASK_STATE_COMPLETED\n"
    )


def test_the_context_goes_along(served, run, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §6.2: every turn in the context that the first one opened, or that was given."""
    context = run("send", "-a", served.agent("echo"), "-o", "json", "x").json["task"]["contextId"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\ntwo\n"))
    done = run("chat", "-a", served.agent("echo"), "--context-id", context)
    assert done.code == 0
    assert {line for line in done.out.splitlines() if line.startswith("Context ID")} == {f"Context ID: {context}"}


def test_in_a_pipe_the_first_failure_ends_the_chat(served, run, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """Nobody is there to read and try again: exit code 5 for a turn that took too long, 3 for nobody there."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("x\ny\n"))
    late = run("chat", "-a", served.agent("slow"), "--timeout", "1s")
    assert late.code == 5
    assert "was not done within 1 s" in late.err
    assert run("chat", "-a", "127.0.0.1:9").code == 3


def test_chat_has_no_json(run) -> None:  # type: ignore[no-untyped-def]
    """Exit code 2, and where to go instead."""
    done = run("chat", "-a", "127.0.0.1:9", "-o", "json")
    assert done.code == 2
    assert done.json["error"]["hint"] == "a2a-bridge send -o json"


def test_a_new_context_and_leaving_work_in_a_pipe(served, run, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """/new forgets the waiting task, /quit leaves what comes after it unread."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("a\n/new\nb\n/quit\nc\n"))
    done = run("chat", "-a", served.agent("asks"))
    assert done.code == 0
    assert "New context." in done.err
    assert done.out.count("Text: What is your name?") == 2
    assert "Hello" not in done.out
