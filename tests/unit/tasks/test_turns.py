"""Turns of a task and of a context: questions and answers, messages to a running task, order, waiting, expiry."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from a2a_bridge.agent import Ask, Chunk, Say, Traits, parts_of
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.protocol.extensions import TURN_EXTENSION
from a2a_bridge.protocol.objects import Part
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.tasks.live import Keeping
from a2a_bridge.testing.agents import Gate, Scripted
from a2a_bridge.testing.wire import Wire, eventually, fields_of, say

KEEPS = Traits(keeps_context=True)


def texts(messages: Any) -> list[str]:
    return ["".join(part.get("text", "") for part in message["parts"]) for message in messages]


def state_of(task: dict[str, Any]) -> str:
    return str(task["status"]["state"]).removeprefix("TASK_STATE_")


async def shown(wire: Wire, **filters: Any) -> list[dict[str, Any]]:
    """The tasks that are listed; a list may be two milliseconds behind, so it is asked until it has some."""
    return await eventually(lambda: wire.tasks(**filters))


# --- questions and answers


async def test_the_next_turn_gets_the_answer_and_what_it_answers(serve: Any, store: Any) -> None:
    """R-CTX-09, failure 23: the asks with their ids and options, the message, and a turn of its own."""
    asks = (
        Ask("Colour?", id="colour", options=("red", "blue")),
        Ask("How many?", id="count", schema={"type": "integer"}),
    )

    async def behaviour(turn: Any) -> Any:
        if turn.answer is None:
            for ask in asks:
                yield ask
        else:
            yield f"{turn.answer.option('colour')} {turn.answer.value('count')}"

    agent = Scripted(behaviour)
    wire: Wire = await serve(agent, store=store)
    task = await wire.send("paint")
    assert texts([task["status"]["message"]]) == ["Colour?How many?"]
    told = task["status"]["message"]["metadata"][TURN_EXTENSION]["asks"]
    assert [ask["id"] for ask in told] == ["colour", "count"]
    assert told[1]["schema"] == {"type": "integer"}
    task = await wire.send(taskId=task["id"], parts=[{"data": {"colour": "BLUE", "count": 3}}])
    assert task["artifacts"] == [{"artifactId": "answer.2", "parts": [{"text": "blue 3"}]}]
    first, second = agent.turns
    assert second.answer.asks == asks
    assert second.messages == (second.answer.message,)
    assert (first.id, second.id) == (f"{task['id']}.1", f"{task['id']}.2")
    assert [message.text for message in await second.history()] == ["paint", "Colour?\nHow many?"]


@pytest.mark.parametrize("kinds", [("input", "auth"), ("auth", "input")])
async def test_several_asks_are_one_pause_in_the_state_of_the_first(serve: Any, kinds: Any) -> None:
    """Our decision: one message answers them all."""

    async def behaviour(turn: Any) -> Any:
        for kind in kinds:
            yield Ask(f"{kind}?", kind=kind)

    task = await (await serve(Scripted(behaviour))).send()
    assert state_of(task) == {"input": "INPUT_REQUIRED", "auth": "AUTH_REQUIRED"}[kinds[0]]


@pytest.mark.parametrize(
    ("again", "note"),
    [
        (Ask("Colour?", options=("red", "blue")), "Please answer with one of: red, blue"),
        (Ask("Colour?", (Part(text="Please answer with one of: red, blue"),), options=("red", "blue")), None),
        (Ask("And the door?", options=("red", "blue")), None),
    ],
)
async def test_a_question_put_again_says_once_which_answers_there_are(serve: Any, again: Ask, note: Any) -> None:
    """Our decision: a person who said something else learns why; a remote agent's question may say it already."""

    async def behaviour(turn: Any) -> Any:
        yield again if turn.answer else Ask("Colour?", options=("red", "blue"))

    wire: Wire = await serve(Scripted(behaviour))
    task = await wire.send("paint")
    assert texts([task["status"]["message"]]) == ["Colour?"]
    task = await wire.send("green", taskId=task["id"])
    said = [part["text"] for part in task["status"]["message"]["parts"]]
    assert said == [part.text for part in parts_of(again)] + ([note] if note else [])


async def test_a_question_with_one_option_takes_other_words_too(serve: Any) -> None:
    """Our decision: "yes, or what to change" may be asked again after a change."""

    async def behaviour(turn: Any) -> Any:
        yield Ask("All right?", options=("yes",))

    wire: Wire = await serve(Scripted(behaviour))
    task = await wire.send("write")
    task = await wire.send("shorter", taskId=task["id"])
    assert texts([task["status"]["message"]]) == ["All right?"]


async def test_an_ask_without_words_still_says_something(serve: Any) -> None:
    """R-AUTHREQ-01: the message of a pause has at least one part."""

    async def behaviour(turn: Any) -> Any:
        yield Ask()

    task = await (await serve(Scripted(behaviour))).send()
    assert texts([task["status"]["message"]])[0]


async def test_artifacts_of_later_turns_do_not_replace_earlier_ones(serve: Any) -> None:
    """R-ART-01 (our decision): `answer`, `answer.2`, `answer.3`."""

    async def behaviour(turn: Any) -> Any:
        yield Chunk(turn.text)
        if turn.text != "end":
            yield Ask("more?")

    wire: Wire = await serve(Scripted(behaviour))
    task = await wire.send("one")
    for word in ("two", "end"):
        task = await wire.send(word, taskId=task["id"])
    assert [(a["artifactId"], a["parts"][0]["text"]) for a in task["artifacts"]] == [
        ("answer", "one"), ("answer.2", "two"), ("answer.3", "end"),
    ]  # fmt: skip


async def test_two_answers_at_once_are_one_turn(serve: Any, store: Any) -> None:
    """R-SEND-10, trap of two clients: the first to be accepted answers; the other one comes along and is not lost."""

    async def behaviour(turn: Any) -> Any:
        if turn.answer is None:
            yield Ask("?")
        else:
            yield turn.answer.message.text

    agent = Scripted(behaviour)
    wire: Wire = await serve(agent, store=store)
    task = await wire.send("go")
    one, two = await asyncio.gather(*(wire.send(word, taskId=task["id"]) for word in ("one", "two")))
    assert one == two
    assert texts(one["artifacts"]) == ["one"]
    assert sorted(texts(one["history"])) == sorted(["go", "?", "one", "two"])
    assert [sorted(message.text for message in turn.messages) for turn in agent.turns] == [["go"], ["one", "two"]]


# --- credentials


async def test_credentials_are_for_their_turn_only(serve: Any, tmp_path: Any) -> None:
    """R-AUTHREQ-04, R-AUTHREQ-05: the agent gets them; no store, history, list, stream or log keeps them."""

    async def behaviour(turn: Any) -> Any:
        if turn.answer is None:
            yield Ask("Password?", kind="auth")
        else:
            assert turn.answer.message.text == "hunter2"
            assert turn.messages[0].metadata == {"token": "hunter2"}
            yield "welcome"

    path = tmp_path / "s.sqlite"
    wire: Wire = await serve(Scripted(behaviour), store=SQLiteStore(path))
    task = await wire.send("open", contextId="c")
    sent = say("hunter2", taskId=task["id"], metadata={"token": "hunter2"}) | {"metadata": {"also": "hunter2"}}
    frames = await wire.frames("SendStreamingMessage", sent)
    assert frames[-1].state == "TASK_STATE_COMPLETED"
    replay = await wire.frames("SubscribeToTask", {"id": task["id"]}, {"last-event-id": "0"})
    shown = [
        await wire.get(task["id"]),
        await wire.result("ListTasks", {}),
        [frame.data for frame in [*frames, *replay]],
    ]
    assert "hunter2" not in json.dumps(shown)
    assert texts(shown[0]["history"]) == ["open", "Password?", "(not kept: credentials)"]
    assert all(b"hunter2" not in found.read_bytes() for found in tmp_path.iterdir())


async def test_the_later_history_of_a_context_has_no_credentials(serve: Any) -> None:
    """R-AUTHREQ-05: not even for the agent itself."""

    async def behaviour(turn: Any) -> Any:
        if turn.text == "open":
            yield Ask("Password?", kind="auth")
        else:
            yield "ok"

    agent = Scripted(behaviour)
    wire: Wire = await serve(agent)
    task = await wire.send("open", contextId="c")
    await wire.send("hunter2", taskId=task["id"])
    await wire.send("later", contextId="c")
    assert [m.text for m in await agent.turns[-1].history()] == ["open", "Password?", "(not kept: credentials)", "ok"]


async def test_the_same_credentials_again_are_the_same_send(serve: Any) -> None:
    """R-SEND-09: a repeat is recognised although the words were not kept."""

    async def behaviour(turn: Any) -> Any:
        if turn.answer is None:
            yield Ask("Password?", kind="auth")
        else:
            yield "welcome"

    agent = Scripted(behaviour)
    wire: Wire = await serve(agent)
    task = await wire.send("open")
    answer = say("hunter2", taskId=task["id"])
    first, again = await wire.result("SendMessage", answer), await wire.result("SendMessage", answer)
    assert first == again
    answer["message"]["parts"] = [{"text": "other"}]
    assert fields_of(await wire.error("SendMessage", answer)) == ["message.messageId"]
    assert len(agent.turns) == 2


# --- an ask that does not end its turn


async def test_a_message_during_an_out_of_band_ask_does_not_start_a_second_turn(serve: Any) -> None:
    """R-AUTHREQ-03, R-AUTHREQ-04, R-SEND-10: the turn that runs is the one that gets it."""
    gate = Gate()
    heard: list[str] = []

    async def behaviour(turn: Any) -> Any:
        yield Ask("Log in, or send a code.", kind="auth", ends_turn=False)
        await gate()
        async for message in turn.interjections():
            heard.append(message.text)
            break
        yield "in"

    agent = Scripted(behaviour)
    wire: Wire = await serve(agent)
    sending = asyncio.create_task(wire.send("open"))
    await gate.reached()
    (task,) = await shown(wire, status="TASK_STATE_AUTH_REQUIRED")
    code = asyncio.create_task(wire.send("123456", taskId=task["id"]))
    gate.open()
    for found in (await sending, await code):
        assert state_of(found) == "COMPLETED"
        assert texts(found["history"]) == ["open", "(not kept: credentials)", "Log in, or send a code."]
    assert heard == ["123456"]
    assert len(agent.turns) == 1


async def test_a_turn_that_asked_out_of_band_may_end_with_a_question(serve: Any) -> None:
    """R-STRM-04: the first ask is over when the agent goes on; the second one waits."""

    async def behaviour(turn: Any) -> Any:
        if turn.answer is None:
            yield Ask("Log in.", kind="auth", ends_turn=False)
            yield "logged in"
            yield Ask("Now what?")
        else:
            yield turn.answer.message.text

    wire: Wire = await serve(Scripted(behaviour))
    task = await wire.send()
    assert state_of(task) == "INPUT_REQUIRED"
    assert state_of(await wire.send("this", taskId=task["id"])) == "COMPLETED"


# --- messages to a running task


async def test_an_agent_that_listens_hears_messages_while_it_works(serve: Any, store: Any) -> None:
    """R-SEND-10: taken at once, part of the history, answered when the turn ends."""
    gate = Gate()

    async def behaviour(turn: Any) -> Any:
        yield "started "
        count = 0
        await gate()
        async for message in turn.interjections():
            yield f"heard {message.text} "
            count += 1
            if count == 2:
                return

    agent = Scripted(behaviour, traits=Traits(takes_interjections=True))
    wire: Wire = await serve(agent, store=store)
    sending = asyncio.create_task(wire.send("go"))
    await gate.reached()
    (task,) = await shown(wire)
    gate.open()
    one = asyncio.create_task(wire.send("one", taskId=task["id"]))
    two = asyncio.create_task(wire.send("two", taskId=task["id"]))
    for found in (await sending, await one, await two):
        assert state_of(found) == "COMPLETED"
        assert texts(found["history"]) == ["go", "one", "two"]
    assert (await wire.get(task["id"]))["artifacts"][0]["parts"] == [{"text": "started heard one heard two "}]
    assert len(agent.turns) == 1


async def test_a_message_to_an_agent_that_does_not_listen_waits_for_the_next_turn(serve: Any, store: Any) -> None:
    """R-SEND-10: it answers no question that came later; the pause stays, and it is offered with the answer."""
    gate = Gate()

    async def behaviour(turn: Any) -> Any:
        if turn.answer is None:
            yield "working"
            await gate()
            yield Ask("Which colour?")
        else:
            yield f"{[message.text for message in turn.messages]} answer: {turn.answer.message.text}"

    agent = Scripted(behaviour)
    wire: Wire = await serve(agent, store=store)
    sending = asyncio.create_task(wire.send("go"))
    await gate.reached()
    (task,) = await shown(wire)
    early = asyncio.create_task(wire.send("hurry", taskId=task["id"]))
    await asyncio.sleep(0)
    gate.open()
    assert state_of(await sending) == "INPUT_REQUIRED"
    assert not early.done()
    answered = await wire.send("blue", taskId=task["id"])
    assert answered["artifacts"][-1]["parts"] == [{"text": "['hurry', 'blue'] answer: blue"}]
    assert texts(answered["history"]) == ["go", "Which colour?", "hurry", "blue"]
    assert texts((await early)["history"]) == texts(answered["history"])


@pytest.mark.parametrize("immediately", [False, True])
async def test_a_message_to_a_task_that_ends_first_is_refused(serve: Any, immediately: bool) -> None:
    """R-SEND-10, R-SEND-06: never lost in silence; returnImmediately does not shorten the wait for its fate."""
    gate = Gate()

    async def behaviour(turn: Any) -> Any:
        yield "working"
        await gate()

    agent = Scripted(behaviour)
    wire: Wire = await serve(agent)
    sending = asyncio.create_task(wire.send("go"))
    await gate.reached()
    (task,) = await shown(wire)
    params = say("late", taskId=task["id"]) | {"configuration": {"returnImmediately": immediately}}
    late = asyncio.create_task(wire.call("SendMessage", params))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not late.done()
    gate.open()
    assert (await late)["error"]["code"] == -32004
    assert texts((await sending)["history"]) == ["go"]
    assert len(agent.turns) == 1


async def test_a_repeated_message_to_a_running_task_is_heard_once(serve: Any, store: Any) -> None:
    """R-SEND-09, R-SEND-10, failure 22: twenty times at once, and again when it has been taken."""
    gate, heard = Gate(), []

    async def behaviour(turn: Any) -> Any:
        yield "working"
        async for message in turn.interjections():
            heard.append(message.text)
            if message.text == "stop":
                return
            gate.open()

    wire: Wire = await serve(Scripted(behaviour), store=store)
    sending = asyncio.create_task(wire.send("go"))
    (task,) = await shown(wire)
    message = say("listen", taskId=task["id"])
    repeats = [asyncio.create_task(wire.call("SendMessage", message)) for _ in range(20)]
    async with asyncio.timeout(5):
        await gate()
    repeats.append(asyncio.create_task(wire.call("SendMessage", message)))
    other = await wire.error("SendMessage", say("other", taskId=task["id"], messageId=message["message"]["messageId"]))
    assert fields_of(other) == ["message.messageId"]
    await wire.send("stop", taskId=task["id"])
    found = [(await repeat)["result"]["task"] for repeat in repeats]
    assert {state_of(task) for task in found} == {"COMPLETED"}
    assert heard == ["listen", "stop"]
    assert texts((await sending)["history"]) == ["go", "listen", "stop"]


# --- agents that keep context


async def test_turns_of_one_context_run_one_after_another_if_the_agent_keeps_it(serve: Any, store: Any) -> None:
    """Our decision: in the order in which they came; other contexts do not wait."""
    order: list[str] = []
    gates = {"one": Gate(), "else": Gate()}

    async def behaviour(turn: Any) -> Any:
        order.append(f"begin {turn.text}")
        if turn.text in gates:
            await gates[turn.text]()
        order.append(f"end {turn.text}")
        yield turn.text

    wire: Wire = await serve(Scripted(behaviour, traits=KEEPS), store=store)
    sends = [asyncio.create_task(wire.send("one", contextId="c"))]
    await gates["one"].reached()
    for word in ("two", "three"):
        sends.append(asyncio.create_task(wire.send(word, contextId="c")))
        await shown(wire, contextId="c", status="TASK_STATE_SUBMITTED")  # shown after half a second: it waits
    assert state_of(await wire.send("other", contextId="d")) == "COMPLETED"
    gates["one"].open()
    await asyncio.gather(*sends)
    order.remove("begin other")
    order.remove("end other")
    assert order == ["begin one", "end one", "begin two", "end two", "begin three", "end three"]


async def test_turns_of_one_context_run_side_by_side_otherwise(serve: Any) -> None:
    """Our decision: an agent that keeps nothing has nothing to protect."""
    gate = Gate()

    async def behaviour(turn: Any) -> Any:
        if turn.text == "slow":
            await gate()
        yield turn.text

    wire: Wire = await serve(Scripted(behaviour))
    slow = asyncio.create_task(wire.send("slow", contextId="c"))
    await gate.reached()
    assert state_of(await wire.send("quick", contextId="c")) == "COMPLETED"
    gate.open()
    assert state_of(await slow) == "COMPLETED"


async def behave_with_questions(turn: Any) -> AsyncGenerator[Any, None]:
    if turn.text.startswith("ask"):
        yield Ask("?")
    elif turn.text == "crash":
        raise RuntimeError
    else:
        yield turn.text


async def test_while_an_agent_that_keeps_context_waits_other_messages_are_rejected(serve: Any, store: Any) -> None:
    """Our decision: REJECTED, and the answer names the task that waits; other contexts are free."""
    agent = Scripted(behave_with_questions, traits=KEEPS)
    wire: Wire = await serve(agent, store=store)
    waiting = await wire.send("ask", contextId="c")
    rejected = await wire.send("hello", contextId="c")
    assert state_of(rejected) == "REJECTED"
    assert waiting["id"] in texts([rejected["status"]["message"]])[0]
    assert state_of(await wire.send("hello", contextId="d")) == "COMPLETED"
    again = await wire.send("ask again", taskId=waiting["id"])
    assert state_of(again) == "INPUT_REQUIRED"
    assert state_of(await wire.send("hello", contextId="c")) == "REJECTED"
    assert state_of(await wire.send("blue", taskId=waiting["id"])) == "COMPLETED"
    assert state_of(await wire.send("hello", contextId="c")) == "COMPLETED"
    assert len(agent.turns) == 5


@pytest.mark.parametrize("end", ["cancel", "crash", "cancel while answering"])
async def test_a_context_is_free_again_however_its_waiting_task_ended(serve: Any, end: str) -> None:
    """Failure 16: nothing is blocked by a task that is no more."""
    gate = Gate()

    async def behaviour(turn: Any) -> Any:
        if turn.text == "slow":
            await gate()
        async for reply in behave_with_questions(turn):
            yield reply

    wire: Wire = await serve(Scripted(behaviour, traits=KEEPS))
    task = await wire.send("ask", contextId="c")
    if end == "crash":
        assert state_of(await wire.send("crash", taskId=task["id"])) == "FAILED"
    elif end == "cancel":
        await wire.result("CancelTask", {"id": task["id"]})
    else:
        answering = asyncio.create_task(wire.send("slow", taskId=task["id"]))
        await gate.reached()
        await wire.result("CancelTask", {"id": task["id"]})
        assert state_of(await answering) == "CANCELED"
    assert state_of(await wire.send("hello", contextId="c")) == "COMPLETED"


async def test_a_turn_that_waits_for_its_context_can_be_canceled(serve: Any) -> None:
    """R-CANC-01: it never runs."""
    gate = Gate()

    async def behaviour(turn: Any) -> Any:
        await gate()
        yield turn.text

    agent = Scripted(behaviour, traits=KEEPS)
    wire: Wire = await serve(agent)
    first = asyncio.create_task(wire.send("one", contextId="c"))
    await gate.reached()
    second = asyncio.create_task(wire.send("two", contextId="c"))
    (task,) = await shown(wire, status="TASK_STATE_SUBMITTED")
    assert state_of(await wire.result("CancelTask", {"id": task["id"]})) == "CANCELED"
    assert state_of(await second) == "CANCELED"
    gate.open()
    assert state_of(await first) == "COMPLETED"
    assert len(agent.turns) == 1


async def test_a_journal_goes_on_from_turn_to_turn(serve: Any, store: Any) -> None:
    """Our decision: what an agent remembers of a context is kept by whoever runs it."""

    async def behaviour(turn: Any) -> Any:
        await turn.journal.append(turn.text.encode())
        yield ",".join(record.data.decode() for record in await turn.journal.read())

    wire: Wire = await serve(Scripted(behaviour, traits=KEEPS), store=store)
    for said, expected in (("a", "a"), ("b", "a,b"), ("c", "a,b,c")):
        assert texts((await wire.send(said, contextId="x"))["artifacts"]) == [expected]
    assert texts((await wire.send("z", contextId="y"))["artifacts"]) == ["z"]


async def test_an_agent_that_keeps_no_context_has_no_journal(serve: Any) -> None:
    """Our decision: appending is a mistake of the agent, and fails its turn."""

    async def behaviour(turn: Any) -> Any:
        await turn.journal.append(b"x")
        yield "kept"

    assert state_of(await (await serve(Scripted(behaviour))).send()) == "FAILED"


# --- waiting, expiry, direct answers


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_question_that_nobody_answers_expires(start: Any, store: Any) -> None:
    """Our decision: after a week the task FAILS, says so, and its agent is told."""
    told: list[str] = []

    async def abandoned(turn: Any) -> None:
        told.append(turn.task_id)

    clock = Clock()
    agent = Scripted(behave_with_questions, traits=KEEPS, on_abandon=abandoned)
    bridge = Bridge(agent, store=store, options=Options(clock=clock))
    wire = Wire(await start(bridge))
    task = await wire.send("ask", contextId="c")
    clock.now += Keeping().waiting - 1
    await bridge.service.sweep()
    assert state_of(await wire.get(task["id"])) == "INPUT_REQUIRED"
    clock.now += 2
    await bridge.service.sweep()
    ended = await wire.get(task["id"])
    assert state_of(ended) == "FAILED"
    assert "in time" in texts([ended["status"]["message"]])[0]
    assert told == [task["id"]]
    assert state_of(await wire.send("hello", contextId="c")) == "COMPLETED"


@pytest.mark.parametrize("how", ["raises", "hangs"])
async def test_an_agent_that_cannot_abandon_does_not_hold_up_the_cancel(serve: Any, how: str, monkeypatch: Any) -> None:
    """Our decision: the task has ended whatever its agent's clean-up does; that has five seconds."""
    monkeypatch.setattr("a2a_bridge.tasks.service.ABANDON_SECONDS", 0.05)

    async def abandoned(turn: Any) -> None:
        if how == "raises":
            raise RuntimeError("secret")
        await asyncio.Event().wait()

    wire: Wire = await serve(Scripted(behave_with_questions, on_abandon=abandoned))
    task = await wire.send("ask")
    assert state_of(await wire.result("CancelTask", {"id": task["id"]})) == "CANCELED"


async def test_what_has_been_kept_long_enough_is_forgotten(start: Any, store: Any) -> None:
    """R-SEC-12. Our decision: messageIds after ten minutes, events after a day, tasks after thirty days."""
    clock = Clock()
    agent = Scripted(behave_with_questions)
    bridge = Bridge(agent, store=store, options=Options(clock=clock))
    wire = Wire(await start(bridge))
    params = say("hello", contextId="c")
    task = (await wire.result("SendMessage", params))["task"]
    clock.now += 601
    await bridge.service.sweep()
    again = (await wire.result("SendMessage", params))["task"]
    assert again["id"] != task["id"]
    assert await wire.frames("SubscribeToTask", {"id": task["id"]}, {"last-event-id": "1"})
    clock.now += 24 * 3600
    await bridge.service.sweep()
    frames = await wire.frames("SubscribeToTask", {"id": task["id"]}, {"last-event-id": "1"})
    assert [frame.kind for frame in frames] == ["task"]
    assert state_of(await wire.get(task["id"])) == "COMPLETED"
    clock.now += 30 * 24 * 3600
    await bridge.service.sweep()
    assert (await wire.error("GetTask", {"id": task["id"]}))["code"] == -32001
    assert (await wire.result("ListTasks", {}))["totalSize"] == 0


async def test_a_task_of_several_turns_leaves_no_message_ids_behind(start: Any, store: Any) -> None:
    """Our decision: the ids of all its messages are forgotten, also those of turns before the last."""
    clock = Clock()
    bridge = Bridge(Scripted(behave_with_questions), store=store, options=Options(clock=clock))
    wire = Wire(await start(bridge))
    task = await wire.send("ask", messageId="first")
    await wire.send("blue", taskId=task["id"], messageId="second")
    clock.now += 601
    await bridge.service.sweep()
    for name in ("first", "second"):
        assert await store.get("sent", f"/anonymous/scripted/{name}") is None


async def test_a_direct_answer_is_part_of_the_context(serve: Any, store: Any) -> None:
    """R-STRM-01: it is no task, but it was said."""

    async def behaviour(turn: Any) -> Any:
        yield Say(f"{[message.text for message in await turn.history()]}", direct=True)

    wire: Wire = await serve(Scripted(behaviour), store=store)
    await wire.send("one", contextId="c")
    assert texts([await wire.send("two", contextId="c")]) == ["['one', '[]']"]
