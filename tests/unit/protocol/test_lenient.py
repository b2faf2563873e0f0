"""Answers of other servers: what is patient, what is strict (T-13, T-29)."""

from typing import Any

import pytest

from a2a_bridge.errors import InvalidAgentResponseError
from a2a_bridge.protocol.lenient import quick, read_value
from a2a_bridge.protocol.objects import Role, Task, TaskState
from a2a_bridge.protocol.requests import ListTasksResponse, StreamResponse


def test_printed_defaults_mean_absent() -> None:
    """T-13: `filename:""` must not leak in; an empty text is a text."""
    part = {"text": "", "filename": "", "mediaType": "", "metadata": None}
    task = read_value(
        Task,
        {
            "id": "t",
            "contextId": "",
            "status": {"state": "TASK_STATE_COMPLETED", "message": None, "timestamp": ""},
            "artifacts": [{"artifactId": "a", "parts": [part], "extensions": []}],
            "history": [],
        },
    )
    assert task.context_id is None
    assert task.artifacts is not None
    assert task.artifacts[0].parts[0].is_plain_text
    assert task.artifacts[0].parts[0].text == ""


def test_what_is_missing_is_filled_in() -> None:
    """T-29: ids and roles of messages, ids of artifacts, parts without content."""
    task = read_value(
        Task,
        {
            "id": "t",
            "status": {"state": 2, "message": {"parts": [{"text": "hi"}, {}]}},
            "artifacts": [{"parts": []}, {"parts": [{"data": None}]}],
            "history": [{"messageId": "", "role": "ROLE_USER", "parts": []}, {"parts": [{"text": "x"}]}],
        },
    )
    assert task.status.state is TaskState.WORKING
    assert task.status.message is not None
    assert task.status.message.message_id.startswith("unnamed-")
    assert task.status.message.role is Role.AGENT
    assert len(task.status.message.parts) == 1
    assert task.artifacts is not None
    assert [artifact.artifact_id for artifact in task.artifacts] == ["artifact-0", "artifact-1"]
    assert [part.kind for part in task.artifacts[1].parts] == ["data"]
    assert task.history is not None
    assert [message.text for message in task.history] == ["x"]


def test_free_form_content_is_left_as_it_is() -> None:
    """Nothing inside `data` and `metadata` is ours to clean."""
    content: dict[str, Any] = {"filename": "", "message": {}, "parts": [], "x": None}
    message = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"data": content}], "metadata": content}
    found = read_value(StreamResponse, {"message": message}).message
    assert found is not None
    assert found.parts[0].data == content
    assert found.metadata == content


def test_an_update_without_a_task_id_is_read() -> None:
    """The stream knows which task it is about."""
    found = read_value(StreamResponse, {"statusUpdate": {"status": {"state": "TASK_STATE_WORKING"}}})
    assert found.status_update is not None
    assert found.status_update.task_id == ""


def test_a_list_without_its_counts_is_read() -> None:
    """R-LIST-05 on other servers: four members always, or not."""
    assert read_value(ListTasksResponse, {}).tasks == ()
    found = read_value(ListTasksResponse, {"tasks": [{"id": "t", "status": {"state": "TASK_STATE_FAILED"}}]})
    assert (found.page_size, found.total_size, found.next_page_token) == (1, 1, "")


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"id": "t", "status": {"state": "TASK_STATE_SLEEPING"}}, "status.state"),
        ({"id": "t"}, "status"),
        ({"status": {"state": "TASK_STATE_WORKING"}}, "id"),
        ([], "cannot be read"),
    ],
)
def test_what_cannot_be_guessed_is_refused(value: Any, where: str) -> None:
    """A state we do not know, a task without id: the message says where."""
    with pytest.raises(InvalidAgentResponseError, match=where):
        read_value(Task, value)


def test_the_fast_way_takes_only_what_needs_no_cleaning() -> None:
    """Both ways give the same object."""
    body = '{"id":"t","status":{"state":"TASK_STATE_COMPLETED"}}'
    assert quick(Task, body) == read_value(Task, {"id": "t", "status": {"state": "TASK_STATE_COMPLETED"}})
    assert quick(Task, body.replace("}}", '},"contextId":""}')) is None
    assert quick(Task, "{}") is None
