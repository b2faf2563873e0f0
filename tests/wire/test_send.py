"""SendMessage (A2A 1.0.1 §3.1.1, §3.2): what comes back, what is refused, which ids and which history it shows."""

import asyncio
from typing import Any

import pytest

from a2a_bridge.agent import Traits
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.cards.build import build_card
from a2a_bridge.protocol.card import AgentCard, AgentSkill
from a2a_bridge.tasks.push import Push
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.receiver import Receiver
from a2a_bridge.testing.wire import Wire, fields_of, reason_of, say


def texts(messages: Any) -> list[str]:
    return ["".join(part.get("text", "") for part in message["parts"]) for message in messages]


async def test_the_answer_is_a_task_that_has_ended(wire: Wire) -> None:
    """R-SEND-01, R-SEND-02, R-SEND-13: the result is in an artifact, the message in the history."""
    result = await wire.result("SendMessage", say("hello"))
    assert result.keys() == {"task"}
    task = result["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert task["artifacts"] == [{"artifactId": "answer", "parts": [{"text": "echo: hello"}]}]
    assert texts(task["history"]) == ["hello"]


async def test_a_direct_answer_is_a_message_and_no_task(wire: Wire) -> None:
    """R-SEND-01, R-CTX-02, R-CTX-10: with a context, without a task, and nothing to find afterwards."""
    result = await wire.result("SendMessage", say("direct", contextId="c-9"))
    assert result.keys() == {"message"}
    message = result["message"]
    assert message["parts"] == [{"text": "directly"}]
    assert (message["role"], message["contextId"]) == ("ROLE_AGENT", "c-9")
    assert message["messageId"]
    assert "taskId" not in message
    assert (await wire.result("ListTasks", {}))["totalSize"] == 0


@pytest.mark.parametrize(
    ("word", "state", "said"),
    [
        ("fail", "TASK_STATE_FAILED", "no more paint"),
        ("refuse", "TASK_STATE_REJECTED", "not my job"),
        ("ask", "TASK_STATE_INPUT_REQUIRED", "Which colour?"),
        ("auth", "TASK_STATE_AUTH_REQUIRED", "Log in first."),
        ("files", "TASK_STATE_COMPLETED", "two files"),
    ],
)
async def test_each_end_of_a_turn_answers_the_send(wire: Wire, word: str, state: str, said: str) -> None:
    """R-SEND-02, R-SEND-12, R-AUTHREQ-01: terminal and interrupted states alike, with the agent's words."""
    task = await wire.send(word)
    assert task["status"]["state"] == state
    assert texts([task["status"]["message"]]) == [said]
    assert task["status"]["message"]["role"] == "ROLE_AGENT"
    assert task["status"]["message"]["taskId"] == task["id"]


async def test_an_agent_that_raises_fails_its_task_and_its_words_stay_here(wire: Wire) -> None:
    """R-SEND-12, R-ERR-06: FAILED with an id that stands in our log; no text of the exception, anywhere."""
    response = await wire.post({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say("crash")})
    task = response.json()["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert texts([task["status"]["message"]])[0].startswith("The agent failed (error ")
    assert task["artifacts"][0]["parts"] == [{"text": "so far"}]
    assert "secret" not in response.text
    assert "RuntimeError" not in response.text


async def test_the_words_of_a_failure_are_in_the_log_under_the_id_that_was_told(wire: Wire, caplog: Any) -> None:
    """R-ERR-06: whoever runs the server finds them."""
    task = await wire.send("crash")
    error_id = texts([task["status"]["message"]])[0].partition("error ")[2][:8]
    assert error_id in caplog.text
    assert "secret words of a stack trace" in caplog.text


# --- returnImmediately


async def test_a_send_may_return_as_soon_as_the_task_exists(wire: Wire, agent: Obedient) -> None:
    """R-SEND-03: the work goes on, also when nobody asks any more."""
    task = (await wire.result("SendMessage", say("wait") | {"configuration": {"returnImmediately": True}}))["task"]
    assert task["status"]["state"] in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING")
    agent.gate.open()
    async with wire.stream("SubscribeToTask", {"id": task["id"]}) as reader:
        await reader.until("TASK_STATE_COMPLETED")
    assert (await wire.get(task["id"]))["artifacts"][0]["parts"] == [{"text": "before after"}]


async def test_returning_immediately_changes_nothing_for_a_direct_answer(wire: Wire) -> None:
    """R-SEND-04."""
    result = await wire.result("SendMessage", say("direct") | {"configuration": {"returnImmediately": True}})
    assert result.keys() == {"message"}


async def test_a_stream_ignores_return_immediately(wire: Wire) -> None:
    """R-SEND-04."""
    params = say("tokens") | {"configuration": {"returnImmediately": True}}
    frames = await wire.frames("SendStreamingMessage", params)
    assert frames[-1].state == "TASK_STATE_COMPLETED"


# --- ids


async def test_the_server_makes_the_ids(wire: Wire) -> None:
    """R-CTX-01, R-CTX-02, R-CTX-06: each task has its own, and a context that is told."""
    one, other = await wire.send(), await wire.send()
    assert len({one["id"], other["id"], one["contextId"], other["contextId"]}) == 4
    assert one["history"][0]["contextId"] == one["contextId"]
    assert one["history"][0]["taskId"] == one["id"]


async def test_a_context_of_the_client_is_kept(wire: Wire) -> None:
    """R-CTX-03: never silently replaced."""
    one, other = await wire.send(contextId="my context / 1"), await wire.send(contextId="my context / 1")
    assert one["contextId"] == other["contextId"] == "my context / 1"
    assert one["id"] != other["id"]


async def test_nobody_chooses_the_id_of_a_new_task(wire: Wire) -> None:
    """R-SEND-05: an unknown taskId is not found, by send and by stream, before anything runs."""
    for method in ("SendMessage", "SendStreamingMessage"):
        error = await wire.error(method, say(taskId="mine"))
        assert (error["code"], reason_of(error)) == (-32001, "TASK_NOT_FOUND")


@pytest.mark.parametrize("word", ["hello", "fail", "refuse", "crash"])
async def test_a_task_that_has_ended_takes_no_message(wire: Wire, agent: Obedient, word: str) -> None:
    """R-SEND-06: refused by send and stream, and the agent is not asked."""
    task = await wire.send(word)
    asked = len(agent.turns)
    for method in ("SendMessage", "SendStreamingMessage"):
        error = await wire.error(method, say(taskId=task["id"]))
        assert (error["code"], reason_of(error)) == (-32004, "UNSUPPORTED_OPERATION")
    assert len(agent.turns) == asked


async def test_a_follow_up_needs_the_task_id_only(wire: Wire) -> None:
    """R-CTX-04, R-CTX-09: the context is the task's, in every event."""
    task = await wire.send("ask", contextId="c-4")
    frames = await wire.frames("SendStreamingMessage", say("blue", taskId=task["id"]))
    assert {frame.value.get("contextId") for frame in frames} == {"c-4"}
    assert {frame.value.get("id") or frame.value["taskId"] for frame in frames} == {task["id"]}
    assert frames[-1].state == "TASK_STATE_COMPLETED"


@pytest.mark.parametrize("word", ["ask", "hello"])
async def test_a_context_that_is_not_the_tasks_is_invalid(wire: Wire, word: str) -> None:
    """R-CTX-05: told before the state of the task is."""
    task = await wire.send(word)
    error = await wire.error("SendMessage", say(taskId=task["id"], contextId="another"))
    assert (error["code"], fields_of(error)) == (-32602, ["message.contextId"])


async def test_the_matching_context_may_be_given_with_the_task(wire: Wire) -> None:
    """R-CTX-05."""
    task = await wire.send("ask")
    answered = await wire.send("blue", taskId=task["id"], contextId=task["contextId"])
    assert answered["status"]["state"] == "TASK_STATE_COMPLETED"


# --- history


async def test_the_history_is_told_in_the_order_it_was_said(wire: Wire) -> None:
    """R-HIST-05: question before answer; the last words of the agent are in the status only."""
    task = await wire.send("ask again")
    assert texts(task["history"]) == ["ask again"]
    task = await wire.send("ask once more", taskId=task["id"])
    assert texts(task["history"]) == ["ask again", "Which colour?", "ask once more"]
    task = await wire.send("blue", taskId=task["id"])
    again = "Which colour?Please answer with one of: red, blue"  # two parts
    said = ["ask again", "Which colour?", "ask once more", again, "blue"]
    assert texts(task["history"]) == said
    assert texts((await wire.get(task["id"]))["history"]) == said
    assert len({message["messageId"] for message in task["history"]}) == 5


@pytest.mark.parametrize(("length", "expected"), [(None, 3), (0, 0), (1, 1), (2, 2), (3, 3), (99, 3)])
async def test_the_history_is_as_long_as_was_asked_for(wire: Wire, length: int | None, expected: int) -> None:
    """R-HIST-01, R-HIST-02, R-HIST-03: the newest ones, oldest first; none at all means no member."""
    task = await wire.send("ask")
    limit = {} if length is None else {"historyLength": length}
    answered = (await wire.result("SendMessage", say("blue", taskId=task["id"]) | {"configuration": limit}))["task"]
    got = await wire.get(task["id"], **limit)
    listed = (await wire.result("ListTasks", limit))["tasks"][0]
    for shown in (answered, got, listed):
        assert ("history" in shown) == (expected > 0)
        assert texts(shown.get("history", [])) == ["ask", "Which colour?", "blue"][3 - expected :]


async def test_history_length_applies_to_the_opening_of_a_stream(wire: Wire) -> None:
    """R-HIST-03: the snapshot that a stream begins with is a task like any other."""
    params = say("tokens") | {"configuration": {"historyLength": 0}}
    frames = await wire.frames("SendStreamingMessage", params)
    assert frames[0].kind == "task"
    assert "history" not in frames[0].value


async def test_what_is_said_about_a_message_is_kept(wire: Wire, agent: Obedient) -> None:
    """R-EXT-05, R-HIST-05, R-CTX-08: metadata, extensions and references stay with it, and the agent is told them."""
    more = {"metadata": {"urn:x": {"a": 1}}, "extensions": ["urn:x"], "referenceTaskIds": ["t-1"]}
    task = await wire.send(**more)
    assert {key: task["history"][0][key] for key in more} == more
    assert agent.turns[0].messages[-1].reference_task_ids == ("t-1",)


# --- repeats


async def test_a_repeated_message_is_the_same_task(wire: Wire, agent: Obedient) -> None:
    """R-SEND-09, failure 22: one run, however often the message comes."""
    params = say("hello")
    tasks = [(await wire.result("SendMessage", params))["task"] for _ in range(3)]
    assert tasks[0] == tasks[1] == tasks[2]
    assert len(agent.turns) == 1


async def test_twenty_repeats_at_once_run_once(wire: Wire, agent: Obedient) -> None:
    """R-SEND-09, failure 22: also while the first is being accepted."""
    params = say("tokens")
    answers = await asyncio.gather(*(wire.result("SendMessage", params) for _ in range(20)))
    assert len({answer["task"]["id"] for answer in answers}) == 1
    assert len(agent.turns) == 1


async def test_a_repeat_of_a_direct_answer_is_the_same_message(wire: Wire, agent: Obedient) -> None:
    """R-SEND-09, R-STRM-01: by send, by stream and at once."""
    params = say("direct")
    first = (await wire.result("SendMessage", params))["message"]
    assert (await wire.result("SendMessage", params))["message"] == first
    immediate = await wire.result("SendMessage", params | {"configuration": {"returnImmediately": True}})
    assert immediate["message"] == first
    frames = await wire.frames("SendStreamingMessage", params)
    assert [frame.value for frame in frames] == [first]
    assert len(agent.turns) == 1


async def test_the_same_id_with_other_words_is_invalid(wire: Wire, agent: Obedient) -> None:
    """R-SEND-09 (our decision): it is a mistake of the client, and must not look like an answer."""
    await wire.send("one", messageId="used")
    for other in (say("two", messageId="used"), say("one", messageId="used", contextId="c")):
        error = await wire.error("SendMessage", other)
        assert (error["code"], fields_of(error)) == (-32602, ["message.messageId"])
    assert len(agent.turns) == 1


async def test_a_repeated_answer_is_the_same_turn(wire: Wire, agent: Obedient) -> None:
    """R-SEND-09: follow-ups are repeated too, also twenty at once."""
    task = await wire.send("ask")
    answer = say("blue", taskId=task["id"])
    found = await asyncio.gather(*(wire.call("SendMessage", answer) for _ in range(20)))
    assert {body["result"]["task"]["status"]["state"] for body in found} == {"TASK_STATE_COMPLETED"}
    assert texts(found[0]["result"]["task"]["history"]).count("blue") == 1
    assert len(agent.turns) == 2


async def test_the_spelling_of_a_repeat_does_not_matter(wire: Wire, agent: Obedient) -> None:
    """R-SEND-09, R-DM-02: it is the message that is compared, not its bytes."""
    await wire.result("SendMessage", {"message": {"messageId": "x", "role": 1, "parts": [{"text": "hi"}]}})
    again = {"message": {"parts": [{"text": "hi", "raw": None}], "role": "ROLE_USER", "message_id": "x", "novel": 1}}
    await wire.result("SendMessage", again)
    assert len(agent.turns) == 1


# --- content types, hops, webhooks


@pytest.mark.parametrize("kind", ["application/pdf", "image/png", "text", "application/x-unsupported-tck-type"])
async def test_a_media_type_that_the_agent_does_not_take_is_refused(wire: Wire, kind: str) -> None:
    """R-SEND-07: before anything runs, and the answer says what would be taken."""
    error = await wire.error("SendMessage", say(parts=[{"text": "x"}, {"raw": "AA==", "mediaType": kind}]))
    assert (error["code"], reason_of(error)) == (-32005, "CONTENT_TYPE_NOT_SUPPORTED")
    assert "text/plain" in error["message"]
    assert (await wire.result("ListTasks", {}))["totalSize"] == 0


@pytest.mark.parametrize(
    "kind", ["text/plain", "TEXT/Plain; charset=utf-8", "application/json", "application/vnd.x+json", None]
)
async def test_a_media_type_that_the_agent_takes_is_accepted(wire: Wire, kind: str | None) -> None:
    """R-SEND-07: compared without parameters and case; +json is JSON; a part that says nothing is not checked."""
    await wire.send(parts=[{"text": "x"} | ({"mediaType": kind} if kind else {})])


@pytest.mark.parametrize(("modes", "kind", "taken"), [
    (("image/*",), "image/png", True), (("*/*",), "a/b", True), (("image/*",), "video/mp4", False),
    (("image/png",), "image/*", True), (("image/png",), "video/*", False),
])  # fmt: skip
async def test_wildcards_of_the_agent_are_honoured(start: Any, modes: Any, kind: str, taken: bool) -> None:
    """R-SEND-07."""
    wire = Wire(await start(Bridge(Obedient(traits=Traits(input_modes=modes)))))
    found = await wire.call("SendMessage", say(parts=[{"raw": "AA==", "mediaType": kind}]))
    assert ("result" in found) is taken


async def test_the_types_of_a_card_count(start: Any) -> None:
    """R-SEND-07: what the card promises is taken: the defaults and those of every skill."""
    skill = AgentSkill(id="s", name="s", description="d", tags=("t",), input_modes=("image/png",))
    card = AgentCard(name="n", description="d", version="1", default_input_modes=("text/csv",), skills=(skill,))
    wire = Wire(await start(Bridge(Obedient(), cards={"obedient": card})))
    for kind, taken in (("text/csv", True), ("image/png", True), ("application/json", False)):
        found = await wire.call("SendMessage", say(parts=[{"text": "x", "mediaType": kind}]))
        assert ("result" in found) is taken, kind


async def test_the_url_of_a_part_is_not_fetched(wire: Wire, agent: Obedient) -> None:
    """R-SEC-08: it is told to the agent as it stands, and nobody calls it."""
    async with Receiver() as elsewhere:
        task = await wire.send(parts=[{"text": "look"}, {"url": elsewhere.url, "mediaType": "text/plain"}])
        assert task["history"][0]["parts"][1]["url"] == elsewhere.url
        assert agent.turns[0].messages[-1].parts[1].url == elsewhere.url
        assert elsewhere.got == []


@pytest.mark.parametrize(
    ("hops", "taken"), [(0, True), (8, True), (9, False), (999, False), (-1, True), ("9", True), (True, True)]
)
async def test_a_message_that_came_through_too_many_rooms_is_refused(wire: Wire, hops: Any, taken: bool) -> None:
    """Our decision: rooms that seat each other must stop (eight at most); nonsense counts as none."""
    metadata = {"urn:a2a-bridge:turn:1": {"hops": hops}}
    found = await wire.call("SendMessage", say() | {"metadata": metadata})
    assert ("result" in found) is taken
    if not taken:
        assert found["error"]["code"] == -32004


async def test_the_agent_is_told_how_far_a_message_has_come(wire: Wire, agent: Obedient) -> None:
    """Our decision: a room gives its seats one more than this."""
    await wire.result("SendMessage", say() | {"metadata": {"urn:a2a-bridge:turn:1": {"hops": 3}, "k": "v"}})
    assert agent.turns[0].hops == 3
    assert agent.turns[0].metadata["k"] == "v"


async def test_the_agent_is_told_what_the_caller_accepts(wire: Wire, agent: Obedient) -> None:
    """R-SEND-08: it may choose its output by it."""
    await wire.result("SendMessage", say() | {"configuration": {"acceptedOutputModes": ["text/markdown"]}})
    assert agent.turns[0].accepted_output_modes == ("text/markdown",)


@pytest.mark.parametrize("who", ["server", "card"])
async def test_a_webhook_in_a_send_is_refused_before_anything_runs(
    start: Any, agent: Obedient, binding: type[Wire], who: str
) -> None:
    """R-CAP-01: who sends none says so rather than dropping it, whether the server is said so or the agent's card."""
    card = build_card(agent, url="https://example.org")
    push = None if who == "server" else Push()
    cards = {"obedient": card} if who == "card" else None
    wire = binding(await start(Bridge(agent, cards=cards, options=Options(push=push))))
    params = say() | {"configuration": {"taskPushNotificationConfig": {"url": "https://example.org/hook"}}}
    assert (await wire.error("SendMessage", params))["code"] == -32003
    assert agent.turns == []


async def test_messages_of_a_context_make_its_history(wire: Wire, agent: Obedient) -> None:
    """Our decision: the agent can read what was said before in the context, and what came of it."""
    await wire.send("one", contextId="c")
    await wire.send("direct", contextId="c")
    await wire.send("elsewhere", contextId="d")
    await wire.send("two", contextId="c")
    history = await agent.turns[-1].history()
    assert [message.text for message in history] == ["one", "echo: one", "direct", "directly"]
    assert [message.text for message in await agent.turns[-1].history(1)] == ["directly"]
    assert await agent.turns[-1].history(0) == ()
