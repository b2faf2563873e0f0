"""One seat, or one function of the user's, must not end a room: whatever it does is its own failure, and is told."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from a2a_bridge.agent import Ask, Chunk, Reply, Turn, Usage
from a2a_bridge.chat.assistant import AssistantAgent
from a2a_bridge.chat.conversable import ConversableAgent
from a2a_bridge.chat.entry import entry_json
from a2a_bridge.chat.listen import SilenceError, Watch, heard
from a2a_bridge.chat.seat import SILENCE, Seat
from a2a_bridge.chat.termination import Condition, FunctionalTermination
from a2a_bridge.chat.user_proxy import UserProxyAgent
from a2a_bridge.errors import SpeakerSelectionError, framework_errors
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.model import ScriptedModel

NAN = float("nan")


def raises(error: BaseException) -> Any:
    def bad(text: str) -> str:
        raise error

    return bad


async def raises_while_streaming(turn: Turn) -> AsyncGenerator[str, None]:
    yield "half a sen"
    raise ValueError("secret")


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (lambda text: NAN, "bad could not answer: its data cannot be written as JSON (Out of range float"),
        (lambda text: {"a": NAN}, "bad could not answer: its data cannot be written as JSON (Out of range float"),
        (lambda text: Chunk(parts=(Part(text="x", metadata={"a": NAN}),)), "bad could not answer: its data cannot"),
        (lambda text: Ask("What?", schema=NAN), "bad could not answer: what it said cannot be written down"),
        (lambda text: [Usage(cost_usd=NAN)][0], "bad could not answer: what it said cannot be written down"),
        (lambda text: Chunk(3, artifact="notes"), "bad could not answer: what it said cannot be written down"),  # type: ignore[arg-type]
        (raises(SystemExit(3)), "bad could not answer. "),
        (raises(asyncio.CancelledError()), "bad could not answer: it raised CancelledError although nobody had"),
        (raises_while_streaming, "bad could not answer. "),
        (raises(ExceptionGroup("g", [ValueError("secret")])), "bad could not answer. "),
    ],
)
async def test_whatever_a_seat_says_or_raises_is_its_own_failure(room: Any, puppet: Any, bad: Any, told: str) -> None:
    """Ours: the room is told, and goes on."""
    good = puppet("good")
    result = await room(Seat(bad, name="bad"), good, max_round=3).chat("go")
    assert good.heard[0][1].startswith(told)
    assert result.stop.kind == "max_round"
    assert "secret" not in good.heard[0][1]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_what_ends_the_program_goes_through_a_seat(room: Any, puppet: Any, kind: type[BaseException]) -> None:
    """Ours: a signal handler may raise these wherever the program is, and it is the program that is meant."""

    class Pressed(kind):  # type: ignore[misc, valid-type]
        pass

    class Bad:
        name, description = "bad", "is interrupted"

        async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
            yield "half"
            raise Pressed

    replies = heard(Bad().run(None), None, Watch())  # type: ignore[arg-type]
    assert await anext(replies) == "half"
    with pytest.raises(Pressed):
        await anext(replies)


async def test_a_termination_function_that_raises_stops_the_room_and_the_conversation_is_kept(
    room: Any, puppet: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: is_termination_msg, and conditions of the user's own."""

    def ends(message: Any) -> bool:
        raise KeyError("secret")

    class Odd(Condition):
        def verdict(self, state: Any) -> Any:
            raise KeyError("secret")

    told = "the condition that ends the conversation raised KeyError, see the log"
    for rule in ({"is_termination_msg": ends}, {"until": FunctionalTermination(ends)}, {"until": Odd()}):
        result = await room(puppet("a"), **rule).chat("go")
        assert (result.stop.kind, result.stop.detail) == ("failed", told)
        assert result.chat_history[0]["content"] == "go"
    assert "KeyError: 'secret'" in caplog.text


def test_a_summary_function_that_raises_costs_the_summary_only() -> None:
    """Ours: the last words stand for it."""

    def summary(*anything: Any) -> str:
        raise KeyError("x")

    user = UserProxyAgent("user", human_input_mode="NEVER")
    echo = ConversableAgent("echo", default_auto_reply="yes", human_input_mode="NEVER")
    result = user.initiate_chat(echo, message="go", max_turns=1, summary_method=summary, silent=True)
    assert (result.summary, result.stop.kind) == ("yes", "max_turns")


async def test_a_human_function_that_raises_stops_the_room_and_the_conversation_is_kept(room: Any, puppet: Any) -> None:
    """Ours: nobody can answer; what was said stays."""

    def human(question: str) -> str:
        raise KeyError("secret")

    result = await room(puppet("a"), puppet("b", [Ask("Which?")]), human=human).chat("go")
    assert (result.stop.kind, result.stop.by) == ("failed", "chat_manager")
    assert result.stop.detail == "b asks: Which? (human=... raised KeyError, see the log)"
    assert [said["content"] for said in result.chat_history] == ["go", "a speaks"]


async def test_a_model_that_raises_anything_is_a_choice_that_failed(room: Any, puppet: Any) -> None:
    """Ours: a model of the user's own may raise what it likes."""
    model = ScriptedModel([ValueError("secret"), '{"next": "END", "reason": ""}'])
    result = await room(puppet("a"), puppet("b"), llm_config=model).chat("go")
    assert result.decisions[0].rejected == ("no answer: raised ValueError, see the log",)
    assert result.stop.kind == "converged"


async def test_a_function_that_hands_over_to_a_model_that_is_not_there_stops_the_room(room: Any, puppet: Any) -> None:
    """Ours: a sentence, not an exception, once the room runs."""
    result = await room(puppet("a"), speaker_selection_method=lambda last, chat: "auto").chat("go")
    assert (result.stop.kind, "needs a model" in result.stop.detail) == ("selection_failed", True)


async def test_a_card_that_cannot_be_read_for_whatever_reason_does_not_keep_the_room_from_starting(
    room: Any, puppet: Any
) -> None:
    """Ours: one seat must not end a room."""

    class Odd(puppet):  # type: ignore[misc]
        async def describe(self) -> Any:
            raise ValueError("odd")

    assert (await room(Odd("odd"), max_round=2).chat("go")).summary == "odd speaks"


def test_words_that_a_terminal_cannot_show_do_not_end_a_chat(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: half a surrogate pair is printed as something else."""
    user = UserProxyAgent("user", human_input_mode="NEVER")
    result = user.initiate_chat(lambda text: "x\ud800y", message="go", max_turns=1)
    assert result.stop.kind == "max_turns"
    assert "x?y" in capsys.readouterr().out


# Silence.


async def silent(text: str) -> str:
    await asyncio.Event().wait()
    return "never"


async def test_a_seat_that_says_nothing_for_too_long_has_failed(room: Any, puppet: Any) -> None:
    """Ours: Seat(timeout=), in seconds; the failure says so in one sentence."""
    good = puppet("good")
    await room(Seat(silent, timeout=0.01), good, max_round=3).chat("go")
    assert good.heard[0][1] == (
        "silent did not answer in time: nothing came for 0.01 seconds; Seat(timeout=...) says how long is waited."
        " The conversation goes on without that answer."
    )


async def test_a_seat_that_keeps_speaking_may_take_as_long_as_it_likes(caplog: pytest.LogCaptureFixture) -> None:
    """Ours: silence counts, not the whole turn; nor does what the reader does in between."""
    loop = asyncio.get_running_loop()

    async def later(seconds: float) -> None:
        done = asyncio.Event()
        loop.call_later(seconds, done.set)
        await done.wait()

    async def words() -> AsyncGenerator[str, None]:
        for number in range(40):
            await later(0.02)
            yield f"{number} "

    said = ""
    async with asyncio.timeout(5), aclosing(heard(words(), 0.5, Watch())) as replies:
        async for reply in replies:
            said += str(reply)
            if reply == "2 ":
                await later(0.6)
    assert said.split() == [str(number) for number in range(40)]
    assert caplog.records == [], "no timer fell over itself"


async def test_a_blocking_function_is_left_behind() -> None:
    """Ours: a thread cannot be stopped, and the room goes on all the same."""
    release = threading.Event()
    seat = Seat(lambda text: release.wait(5) and "late")
    turn = Turn(id="t", messages=(), context_id="c")
    try:
        with pytest.raises(SilenceError):
            async with asyncio.timeout(4), aclosing(heard(seat.agent.run(turn), 0.01, Watch(0.01))) as replies:
                await anext(replies)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
    finally:
        release.set()


async def test_a_cancellation_by_somebody_else_is_not_taken_for_silence() -> None:
    """Ours: cancel goes through, whatever timers run."""
    turn = Turn(id="t", messages=(), context_id="c")

    async def read() -> None:
        async with aclosing(heard(Seat(silent).agent.run(turn), 60, Watch())) as replies:
            await anext(replies)

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


async def test_who_is_cancelled_while_a_silent_seat_cleans_up_is_cancelled() -> None:
    """Ours: the time-out takes back its own cancellation and nobody else's."""
    cleaning = asyncio.Event()

    async def slow_to_go() -> AsyncGenerator[str, None]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cleaning.set()
            await asyncio.Event().wait()
        yield "never"

    async def read() -> None:
        async with aclosing(heard(slow_to_go(), 0.01, Watch())) as replies:
            await anext(replies)

    task = asyncio.create_task(read())
    await asyncio.wait_for(cleaning.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


def test_every_seat_has_a_limit_but_those_that_wait_for_a_person_and_rooms(room: Any, puppet: Any) -> None:
    """Ours: 300 seconds without a reply, for local and remote."""
    assert Seat(puppet("a")).timeout == Seat("http://127.0.0.1:9/").timeout == SILENCE == 300
    assert Seat(puppet("a"), timeout=None).timeout is None
    asks = UserProxyAgent("user", human=input)
    assert Seat(asks).timeout is None
    assert Seat(room(puppet("a"))).timeout is None
    assert Seat(asks, timeout=300.0 + 0).timeout == 300
    for wrong in (0, -1, NAN, "5"):
        with pytest.raises(ValueError, match="seconds above 0"):
            Seat(puppet("a"), timeout=wrong)  # type: ignore[arg-type]


# Reasons.


async def test_a_missing_key_is_named_where_the_room_stops(
    room: Any, puppet: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: our own errors say what to do; one line in the log, without a traceback."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    writer = AssistantAgent("writer", llm_config={"model": "gpt-5"})
    told = "writer could not answer: there is no key for the model 'gpt-5': set OPENAI_API_KEY"
    user = UserProxyAgent("user", human_input_mode="NEVER")
    pair = await user.a_initiate_chat(writer, message="go", silent=True)
    assert pair.stop.detail.startswith(told)
    assert entry_json(pair.entries[-2])["text"], "a failure is not an empty statement"
    result = await room(writer).chat("go")
    assert result.stop.detail.startswith(f"0 of 1 seats can answer, 1 are needed: {told}")
    assert result.chat_history[-1]["content"].startswith(told)
    assert [record.exc_info for record in caplog.records] == [None, None]
    chooser = room(puppet("a"), puppet("b"), llm_config={"model": "gpt-5"})
    stop = (await chooser.chat("go")).stop
    assert (stop.kind, "set OPENAI_API_KEY" in stop.detail) == ("selection_failed", True)


async def test_a_foreign_exception_has_one_traceback_for_each_seat_and_run(
    room: Any, puppet: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: a seat that always fails does not fill the log."""
    bad, worse = puppet("bad", [ValueError("x")]), puppet("worse", [ValueError("y")])
    await room(bad, worse, puppet("good"), max_round=8).chat("go")
    traced = [record.args[0] for record in caplog.records if record.exc_info]  # type: ignore[index]
    assert traced == ["bad", "worse"]
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 5


async def test_a_choice_that_failed_twice_says_what_to_do(room: Any, puppet: Any) -> None:
    """Ours: the stop names the way out."""
    result = await room(puppet("a"), puppet("b"), llm_config=ScriptedModel(lambda said: "?")).chat("go")
    assert result.stop.detail.startswith("twice in a row: no answer of the model could be used ('?': the answer is")
    assert result.stop.detail.endswith('; to go on all the same, use Selector(on_failure="fallback")')


async def test_a_script_that_has_ended_says_so_where_the_room_stops(room: Any) -> None:
    """Ours: a test that asks once too often reads why."""
    agent = AssistantAgent("a", llm_config=ScriptedModel([]))
    result = await room(agent).chat("go")
    assert "the script of 'scripted' has 0 replies, and one more was wanted" in result.stop.detail


async def test_data_is_its_json_wherever_there_is_only_text(
    room: Any, puppet: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: a seat that returns the number 3 has not said nothing."""
    model = ScriptedModel(['{"next": "a", "reason": ""}', '{"next": "END", "reason": ""}'])
    user = UserProxyAgent("user", human_input_mode="NEVER")
    manager = room(user, Seat(lambda text: 3, name="a"), Seat(lambda text: 4, name="b"), llm_config=model)
    result = await user.a_initiate_chat(manager, message="go")
    assert result.chat_history[1]["content"] == result.summary == "3"
    assert [entry_json(entry)["text"] for entry in result.entries if entry.kind == "said"] == ["go", "3"]
    assert "a (to chat_manager):\n\n3\n" in capsys.readouterr().out
    assert '"said": "3"' in model.calls[1].text


async def test_max_turns_is_told_in_its_own_words() -> None:
    """Ours: nobody who says max_turns=2 should have to count rounds."""
    user = UserProxyAgent("user", human_input_mode="NEVER", default_auto_reply="more")
    result = await user.a_initiate_chat(lambda text: "yes", message="go", max_turns=2, silent=True)
    assert result.stop.detail == "max_turns=2: each of the two has had so many turns"


def test_a_selection_error_of_the_users_function_is_shown_as_it_is(room: Any, puppet: Any) -> None:
    """Ours: a typed error carries its own sentence."""

    def pick(last: Any, chat: Any) -> Any:
        raise SpeakerSelectionError("nobody is free today.")

    result = asyncio.run(room(puppet("a"), speaker_selection_method=pick).chat("go"))
    assert result.stop.detail == "pick nobody is free today"


async def test_a_framework_that_fails_is_one_line_with_the_cause(
    room: Any, puppet: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: the traceback is there for who asks for it, at debug level; the room hears nothing of it."""

    async def broken(text: str) -> str:
        with framework_errors("the agent 'x'"):
            raise OSError("500 the model is ill")

    caplog.set_level(logging.DEBUG, "a2a_bridge.chat.failure")
    result = await room(broken, puppet("b"), max_round=3).chat("go")
    assert "the model is ill" not in str(result.chat_history)
    lines = [one for one in caplog.records if one.name == "a2a_bridge.chat.failure"]
    warned = [one for one in lines if one.levelno >= logging.WARNING]
    assert warned[0].getMessage() == "broken failed in its turn: OSError: 500 the model is ill"
    assert not any(one.exc_info for one in warned)
    assert any(one.exc_info for one in lines if one.levelno == logging.DEBUG)
