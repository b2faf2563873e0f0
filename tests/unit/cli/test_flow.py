"""How a stream reads as text (`cli/flow.py`)."""

from a2a_bridge.cli.flow import Flow
from a2a_bridge.protocol.objects import (
    Artifact,
    Message,
    Part,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
)


def piece(artifact: str, *parts: Part, append: bool = True) -> TaskArtifactUpdateEvent:
    """A piece of an artifact of task t."""
    made = Artifact(artifact_id=artifact, parts=parts)
    return TaskArtifactUpdateEvent(task_id="t", context_id="c", artifact=made, append=append)


def text(words: str) -> Part:
    return Part(text=words)


def test_words_of_one_artifact_follow_each_other_under_one_label() -> None:
    """Ours: a person reads sentences; another artifact, or the same one anew, has a label of its own."""
    flow = Flow()
    events = [
        piece("a", text("one "), append=False), piece("a", text("two")), piece("b", text("x"), append=False),
        piece("a", text("three")), piece("a", text("anew\x1b[31m"), append=False),
    ]  # fmt: skip
    shown = "".join(flow.text(event) for event in events) + flow.end()
    assert shown == (
        "Artifact ID: a\nText: one two\nArtifact ID: b\nText: x\nArtifact ID: a\nText: three\n"
        "Artifact ID: a\nText: anew[31m\n"
    )
    assert flow.end() == ""


def test_what_is_no_text_stands_on_lines_of_its_own() -> None:
    """a2a-cli 0.2 §8.2: nothing is dropped."""
    flow = Flow()
    events = [piece("a", text("see"), append=False), piece("a", Part(data=1)), piece("a", text("that"))]
    shown = "".join(flow.text(event) for event in events) + flow.end()
    assert shown == "Artifact ID: a\nText: see\nData: 1\nArtifact ID: a\nText: that\n"


def test_a_chat_tells_nothing_twice() -> None:
    """Ours: a turn that goes on with a task begins with that task as it stands, which has been read."""
    flow = Flow(is_chat=True)
    asked = Message(message_id="m", role=Role.AGENT, parts=(text("Who?"),))
    task = Task(
        id="t",
        context_id="c",
        status=TaskStatus(state=TaskState.INPUT_REQUIRED, message=asked),
        artifacts=(Artifact(artifact_id="a", parts=(text("one"),)),),
    )
    flow.text(piece("a", text("one"), append=False))
    assert flow.text(task) == (
        "\nTask ID: t\nContext ID: c\nState: TASK_STATE_INPUT_REQUIRED\nMessage ID: m\nText: Who?\n"
    )
    assert flow.text(task) == ""
