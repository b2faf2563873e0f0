"""Text of cards, events and odd content."""

import pytest

from a2a_bridge.cards.load import card_from_json
from a2a_bridge.cli.chat import _Live
from a2a_bridge.cli.output import card_text, content, event_json, event_text, field, safe, task_text
from a2a_bridge.protocol.objects import (
    Artifact,
    Message,
    Part,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)


def said(text: str, message_id: str = "m1") -> Message:
    return Message(message_id=message_id, role=Role.AGENT, parts=(Part(text=text),))


def piece(text: str, *, artifact: str = "a", append: bool = True, name: str | None = None) -> TaskArtifactUpdateEvent:
    return TaskArtifactUpdateEvent(
        task_id="t", artifact=Artifact(artifact_id=artifact, name=name, parts=(Part(text=text),)), append=append
    )


def test_a_field_is_one_line_and_content_of_several_lines_is_a_block() -> None:
    """a2a-cli 0.2 §9.2."""
    assert field("Name", "a\nb\r\nc") == "Name: a b c\n"
    assert content("Text", "one") == "Text: one\n"
    assert content("Text", "one\ntwo") == "Text:\none\ntwo\n\n"
    assert content("Text", "one\n") == "Text:\none\n\n"


@pytest.mark.parametrize("text", ["\x1b[2J", "\x07", "\x9b31m", "\u202e", "\u2066x", "\r", "\x08"])
def test_what_could_control_a_terminal_is_taken_out(text: str) -> None:
    """Reliability §3.1: the words of another party are data."""
    assert not set(safe(f"a{text}b\tc\n")) & set("\x1b\x07\x9b\u202e\u2066\r\x08")
    assert safe("a\tb\n") == "a\tb\n"


def test_a_rich_card_is_shown_whole() -> None:
    """a2a-cli 0.2 §8.1: identity, interfaces, capabilities, security, skills."""
    card = card_from_json(
        {
            "name": "rich",
            "description": "two\nlines",
            "version": "1",
            "provider": {"organization": "Org", "url": "https://org.example"},
            "documentationUrl": "https://docs.example",
            "supportedInterfaces": [{"url": "https://a.example", "protocolBinding": "GRPC", "protocolVersion": "1.0"}],
            "capabilities": {"extensions": [{"uri": "urn:x", "required": True}], "extendedAgentCard": True},
            "securitySchemes": {"key": {"apiKeySecurityScheme": {"location": "header", "name": "X"}}, "odd": {}},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [{"id": "s", "name": "S", "description": "d", "tags": ["t"], "examples": ["Do it."]}],
        }
    )
    assert card_text(card) == (
        "Name: rich\nDescription:\ntwo\nlines\n\nVersion: 1\nProvider: Org (https://org.example)\n"
        "Documentation: https://docs.example\nInterface: GRPC 1.0 https://a.example\nStreaming: no\n"
        "Push notifications: no\nExtended card: yes\nExtension: urn:x (required)\n"
        "Security scheme: key (apiKeySecurityScheme)\nSecurity scheme: odd (unknown)\n"
        "Input modes: text/plain\nOutput modes: text/plain\nSkill: s: S [t]\nDescription: d\nExample: Do it.\n"
    )


def test_a_task_without_context_and_time_is_shown() -> None:
    """Servers may leave both out; the labels stay."""
    task = Task(
        id="t",
        status=TaskStatus(state=TaskState.WORKING),
        artifacts=(Artifact(artifact_id="a", description="d", parts=(Part(url="https://x.example/f"),)),),
    )
    assert task_text(task) == (
        "Task ID: t\nContext ID: \nState: TASK_STATE_WORKING\nArtifact ID: a\nDescription: d\n"
        "File: https://x.example/f\nURL: https://x.example/f\n"
    )


def test_events_have_text_and_json() -> None:
    """a2a-cli 0.2 §9.3: each event is a StreamResponse."""
    status = TaskStatusUpdateEvent(task_id="t", status=TaskStatus(state=TaskState.WORKING, message=said("on it")))
    assert event_text(status) == "Task ID: t\nContext ID: \nState: TASK_STATE_WORKING\nMessage ID: m1\nText: on it\n"
    assert list(event_json(status)) == ["statusUpdate"]
    assert list(event_json(piece("x"))) == ["artifactUpdate"]
    with pytest.raises(TypeError, match="not an event: str"):
        event_json("x")  # type: ignore[arg-type]


def test_live_text_runs_on_and_other_things_stand_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Our decision: chat reads like a conversation, and nothing is shown twice."""
    live = _Live()
    live.show(piece("Hel", append=False))
    live.show(piece("lo"))
    live.show(piece("Wait", artifact="b", append=False, name="critic"))
    live.show(
        TaskStatusUpdateEvent(task_id="t", status=TaskStatus(state=TaskState.AUTH_REQUIRED, message=said("Sign in")))
    )
    live.show(Task(id="t", status=TaskStatus(state=TaskState.AUTH_REQUIRED, message=said("Sign in")),
                   artifacts=(Artifact(artifact_id="b", parts=(Part(text="Wait"),)),
                              Artifact(artifact_id="c", parts=(Part(data=1),)))))  # fmt: skip
    live.show(Message(message_id="m2", role=Role.AGENT, parts=(Part(text="bye"), Part(data=None))))
    live.end()
    assert capsys.readouterr().out == "Hello\ncritic: Wait\nSign in\nData: 1\nText: bye\nData: null\n"
