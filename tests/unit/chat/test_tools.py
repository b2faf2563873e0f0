"""Tools: a typed function is one, and what a model gets wrong about it is told to it in one line."""

import asyncio
import threading
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from a2a_bridge.agent import Ask, ToolCall, ToolResult, Traits, Turn, speaker_metadata
from a2a_bridge.chat.assistant import AssistantAgent
from a2a_bridge.chat.registering import register_function
from a2a_bridge.chat.tools import Context, ReplyResult, Tool, call, tool
from a2a_bridge.chat.user_proxy import UserProxyAgent
from a2a_bridge.chat.variables import ContextVariables
from a2a_bridge.chat.wording import calls_part
from a2a_bridge.errors import ToolError
from a2a_bridge.store.journal import MemoryJournal
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of


@pytest.fixture
def server() -> Any:
    with FakeOpenAI() as fake:
        yield fake


def at(server: FakeOpenAI) -> dict[str, Any]:
    return {"model": "m", "base_url": server.base_url}


async def asked(made: Tool, **arguments: Any) -> ToolResult:
    result, _ = await call(made, ToolCall("1", made.name, arguments), Context(make_turn("x"), ContextVariables()))
    return result


def results(replies: list[Any]) -> list[Any]:
    return [each.content for each in replies if isinstance(each, ToolResult)]


class Place(BaseModel):
    city: str
    zone: int = 0


def test_a_schema_comes_from_the_signature_and_its_notes() -> None:
    """Issue 4: a typed Python function is a tool."""

    @tool
    def weather(
        place: Annotated[Place, "where"], unit: Literal["C", "F"] = "C", days: Annotated[int, Field(ge=1)] = 1
    ) -> str:
        """The weather."""
        return ""

    assert weather.offer["function"]["description"] == "The weather."
    schema: Any = weather.parameters
    assert schema["required"] == ["place"]
    assert schema["properties"]["unit"] == {"default": "C", "enum": ["C", "F"], "type": "string"}
    assert schema["properties"]["days"] == {"default": 1, "minimum": 1, "type": "integer"}
    assert schema["properties"]["place"]["description"] == "where"
    assert schema["additionalProperties"] is False


async def test_arguments_are_checked_and_turned_into_what_the_function_wants() -> None:
    """Issue 4: validated arguments, errors in one line."""
    got: list[Any] = []

    @tool
    def go(place: Place, json: int = 0, model_config: str = "", *, _x: int = 1) -> Any:
        got.append((place, json, model_config, _x))
        return {"ok": True}

    assert (await asked(go, place={"city": "Ulm"}, model_config="m", _x=3)).content == '{"ok": true}'
    assert got == [(Place(city="Ulm"), 0, "m", 3)]
    bad = await asked(go, place={"zone": "x"}, more=1)
    assert bad.is_error
    assert bad.content == (
        "Error: the arguments are not valid: place.city: Field required; place.zone: Input should be a valid integer,"
        " unable to parse string as an integer; more: Extra inputs are not permitted"
    )


async def test_what_a_tool_raises_is_one_line_without_paths(caplog: pytest.LogCaptureFixture) -> None:
    """Issue 4: errors are shown to the model in one line without paths; our log has the rest."""

    @tool
    def read(name: str) -> str:
        raise FileNotFoundError(f"no such file: '/srv/secret/place/{name}'\nand C:\\Users\\me\\x.txt, ../up/there")

    result = await asked(read, name="a")
    assert result.content == "Error: FileNotFoundError: no such file: '(a path)' and (a path) (a path)"
    assert "secret" in caplog.text


async def test_a_url_is_no_path_and_stays() -> None:
    """Ours: the model may need it."""

    @tool
    def fetch() -> str:
        raise ToolError("https://example.org/a/b answered 404 and 1/2 is fine")

    assert (await asked(fetch)).content == "Error: https://example.org/a/b answered 404 and 1/2 is fine"


async def test_a_sync_function_runs_in_a_thread_and_is_left_behind_when_its_time_is_over() -> None:
    """Issue 4: sync in a thread, timeouts."""
    release, ended = threading.Event(), threading.Event()

    @tool(timeout=0.05)
    def slow() -> str:
        release.wait(5)
        ended.set()
        return threading.current_thread().name

    assert (await asked(slow)).content == "Error: no result within 0.05 seconds"
    release.set()
    assert await asyncio.to_thread(ended.wait, 5)
    assert slow.is_blocking

    @tool
    def quick() -> str:
        return threading.current_thread().name

    assert (await asked(quick)).content == "a2a-bridge-call"


async def test_an_async_function_is_cancelled_when_its_time_is_over_and_may_clean_up() -> None:
    """Issue 4: timeouts."""
    cleaned = []

    @tool(timeout=0.05)
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    assert (await asked(slow)).is_error
    assert cleaned == [True]


async def test_a_long_result_is_cut() -> None:
    """Issue 4: a result size limit."""
    made = tool(max_result=10, name="long")(lambda: "x" * 50)
    assert (await asked(made)).content == "xxxxxxxxxx... (cut: 50 characters)"


def test_what_cannot_be_a_tool_is_refused_when_it_is_made() -> None:
    """Ours: not at the first call."""
    with pytest.raises(TypeError, match=r"parameter \*names: str must be one that can be named"):

        @tool
        def many(*names: str) -> str:
            return ""

    with pytest.raises(ValueError, match="cannot be called 'no spaces'"):
        tool(name="no spaces")(lambda: "")
    with pytest.raises(ValueError, match="two tools are called 'f'"):
        AssistantAgent("a", tools=[tool(name="f")(lambda: ""), tool(name="f")(lambda: "")])
    with pytest.raises(ValueError, match="seconds above 0"):
        tool(name="f", timeout=0)(lambda: "")


async def test_a_model_calls_a_tool_and_answers_with_what_it_said(server: FakeOpenAI) -> None:
    """Issue 4: tools=[...]; calls and results are shown to observers."""

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    agent = AssistantAgent("bot", llm_config=at(server), tools=[add])
    replies = await replies_of(agent, make_turn('CALL add {"a": 2, "b": 3}'))
    assert next(each for each in replies if isinstance(each, ToolCall)).arguments == {"a": 2, "b": 3}
    assert results(replies) == ["5"]
    assert "".join(each for each in replies if isinstance(each, str)) == "Tool said: 5"
    assert server.requests[0].body["tools"][0]["function"]["name"] == "add"
    assert agent.traits == Traits(framework="a2a_bridge", stops_on_cancel=False), "its thread cannot be stopped"


async def test_calls_of_one_answer_run_at_the_same_time(server: FakeOpenAI) -> None:
    """Issue 4: parallel calls."""
    meeting = asyncio.Barrier(2)

    async def meet(name: str) -> str:
        await asyncio.wait_for(meeting.wait(), 5)
        return name

    agent = AssistantAgent("bot", llm_config=at(server), tools=[meet])
    replies = await replies_of(agent, make_turn('PARALLEL CALL meet {"name": "a"} CALL meet {"name": "b"}'))
    assert "".join(each for each in replies if isinstance(each, str)) == "Tool said: a | b"


async def test_a_call_of_something_that_is_no_tool_is_told_to_the_model() -> None:
    """Ours: models make names up, and get their JSON wrong."""
    model = ScriptedModel([[ToolCall("1", "nope", {}), ToolCall("2", "f", '{"a":')], "I see."])
    agent = AssistantAgent("bot", llm_config=model, tools=[tool(name="f")(lambda a: a)])
    assert "I see." in "".join(each for each in await replies_of(agent, make_turn("x")) if isinstance(each, str))
    told = [each["content"] for each in model.calls[1].messages if each["role"] == "tool"]
    assert told == [
        "Error: there is no tool 'nope'; there are: f",
        "Error: the arguments are not a JSON object",
    ]


async def test_a_model_that_goes_round_in_circles_is_stopped() -> None:
    """Demand 4. Ours: 25 rounds of calls in one turn are a loop."""
    model = ScriptedModel(lambda messages: ToolCall(str(len(messages)), "f", {}))
    with pytest.raises(Exception, match="has called tools 25 times in one turn"):
        await replies_of(AssistantAgent("bot", llm_config=model, tools=[tool(name="f")(lambda: "")]), make_turn("x"))


async def test_one_agent_proposes_and_another_one_runs(server: FakeOpenAI) -> None:
    """AutoGen: register_for_llm and register_for_execution, as stacked decorators."""
    assistant = AssistantAgent("assistant", llm_config=at(server))
    user = UserProxyAgent("user", human_input_mode="NEVER", is_termination_msg=lambda m: "Tool" in str(m["content"]))
    ran: list[str] = []

    @user.register_for_execution()
    @assistant.register_for_llm(name="shout", description="Says it loudly.")
    def loud(text: Annotated[str, "what"]) -> str:
        ran.append(text)
        return text.upper()

    assert loud("x") == "X", "the function stays what it is"
    result = await user.a_initiate_chat(assistant, message='CALL shout {"text": "hi"}', silent=True)
    assert ran == ["x", "hi"]
    calls, results, answer = result.chat_history[1:]
    assert calls["tool_calls"][0]["function"] == {"name": "shout", "arguments": '{"text": "hi"}'}
    assert (results["role"], results["content"], results["name"]) == ("tool", "HI", "user")
    assert results["tool_responses"][0]["tool_call_id"] == calls["tool_calls"][0]["id"]
    assert answer["content"] == "Tool said: HI"
    sent = server.requests[1].body["messages"]
    assert [each["role"] for each in sent] == ["system", "user", "assistant", "tool"]
    assert not user.is_passive


async def test_register_function_names_both_sides(server: FakeOpenAI) -> None:
    """AutoGen: autogen.register_function."""
    assistant = AssistantAgent("assistant", llm_config=at(server))
    user = UserProxyAgent("user", human_input_mode="NEVER", is_termination_msg=lambda m: "Tool" in str(m["content"]))
    register_function(lambda n: n + 1, caller=assistant, executor=user, name="inc", description="Adds one.")
    result = await user.a_initiate_chat(assistant, message='CALL inc {"n": 1}', silent=True)
    assert result.summary == "Tool said: 2"
    assert list(user.function_map) == ["inc"]
    user.register_function({"inc": None})
    with pytest.raises(ValueError, match="runs no function 'inc'"):
        user.register_function({"inc": None})


async def test_calls_that_a_remote_agent_proposes_are_not_run(room: Any, puppet: Any) -> None:
    """Decided semantics 18: remote text is data."""
    ran: list[str] = []
    user = UserProxyAgent("user", human_input_mode="NEVER", function_map={"f": lambda: ran.append("ran")})
    part = calls_part([ToolCall("1", "f", {})])
    message = make_message([part], speaker="far")
    far = message.model_copy(update={"metadata": speaker_metadata("far", kind="remote")})
    assert results(await replies_of(user, make_turn(far))) == []
    assert [
        each for each in await replies_of(user, make_turn(message, task_id="t")) if isinstance(each, ToolResult)
    ] == []
    assert ran == []
    await replies_of(user, make_turn(message))
    assert ran == ["ran"]


def approving(ran: list[str], model: Any, approval: Any = "human") -> AssistantAgent:
    @tool(approval=approval)
    def delete(name: str) -> str:
        """Delete a file."""
        ran.append(name)
        return f"deleted {name}"

    return AssistantAgent("bot", llm_config=model, tools=[delete])


async def test_a_person_is_asked_before_a_call_and_a_yes_makes_it() -> None:
    """Issue 4: approval before a call."""
    ran: list[str] = []
    model = ScriptedModel([["Let me.", ToolCall("7", "delete", {"name": "a"})], "Done."])
    agent = approving(ran, model)
    assert agent.traits.keeps_context
    talk = Talk(agent)
    replies = await talk.say("delete a")
    ask = replies[-1]
    assert isinstance(ask, Ask)
    assert (ask.text, ask.options) == ('May the tool delete be called with {"name": "a"}?', ("yes", "no"))
    assert ran == []
    unclear = await talk.say("perhaps")
    assert unclear[-1] == ask, "asked again"
    assert ran == []
    words = [each for each in await talk.say("Yes.") if isinstance(each, str)]
    assert "".join(words).strip() == "Done."
    assert ran == ["a"]
    assert model.calls[1].messages[-1] == {"role": "tool", "tool_call_id": "7", "content": "deleted a"}


async def test_a_no_is_told_to_the_model_and_nothing_is_called() -> None:
    """Issue 4: approval before a call."""
    ran: list[str] = []
    model = ScriptedModel([ToolCall("7", "delete", {"name": "a"}), "All right."])
    talk = Talk(approving(ran, model))
    await talk.say("delete a")
    await talk.say("no")
    assert ran == []
    assert "a person refused this call" in str(model.calls[1].messages[-1]["content"])


@pytest.mark.parametrize("verdict", [True, False])
async def test_a_function_may_approve_instead(verdict: bool) -> None:
    """Issue 4: approval by a function."""
    ran: list[str] = []
    seen: list[ToolCall] = []

    async def decide(asked: ToolCall) -> bool:
        seen.append(asked)
        return verdict

    model = ScriptedModel([ToolCall("7", "delete", {"name": "a"}), "Done."])
    await replies_of(approving(ran, model, decide), make_turn("delete a"))
    assert (ran, seen[0].name) == (["a"] if verdict else [], "delete")


async def test_the_same_answer_twice_makes_the_call_once() -> None:
    """Issue 4: survives a restart, a call is not made twice."""
    ran: list[str] = []
    model = ScriptedModel([ToolCall("7", "delete", {"name": "a"}), "Done.", "Done again."])
    agent = approving(ran, model)
    talk = Talk(agent)
    await talk.say("delete a")
    turn = talk.turn("yes")
    await replies_of(agent, turn)
    again = approving(ran, model)  # the process has been started again, and the turn is run again
    replies = await replies_of(again, turn)
    assert ran == ["a"]
    assert results(replies) == ["deleted a"]


async def test_a_call_that_was_interrupted_is_not_made_again() -> None:
    """Issue 4: killed between the beginning and the end of a call."""
    started = asyncio.Event()

    @tool(approval="human")
    async def pay() -> str:
        started.set()
        await asyncio.Event().wait()
        return "paid"

    model = ScriptedModel([ToolCall("7", "pay", {}), "Unclear."])
    talk = Talk(AssistantAgent("bot", llm_config=model, tools=[pay]))
    await talk.say("pay")
    turn = talk.turn("yes")
    task = asyncio.create_task(replies_of(talk.agent, turn))
    await asyncio.wait_for(started.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    replies = await replies_of(AssistantAgent("bot", llm_config=model, tools=[pay]), turn)
    assert results(replies) == ["Error: it was interrupted; it may or may not have been done, and is not tried again"]


async def test_an_approval_goes_through_a_room_to_its_person(room: Any, puppet: Any) -> None:
    """Issue 4: the question is the room's, and the answer finds its way back."""
    ran: list[str] = []
    model = ScriptedModel([ToolCall("7", "delete", {"name": "a"}), "Done."])
    questions: list[str] = []

    def human(question: str) -> str:
        questions.append(question)
        return "yes"

    result = await room(approving(ran, model), max_round=2, human=human).chat("go")
    assert ran == ["a"]
    assert questions == ['bot: May the tool delete be called with {"name": "a"}? [yes / no]']
    assert result.summary.strip() == "Done."


async def test_an_executor_asks_before_it_runs_what_another_agent_proposes() -> None:
    """Issue 4: approval, in AutoGen's split of two agents."""
    ran: list[str] = []
    model = ScriptedModel([ToolCall("7", "delete", {"name": "a"}), "Done. TERMINATE"])
    assistant = AssistantAgent("assistant", llm_config=model)
    user = UserProxyAgent("user", human_input_mode="NEVER")

    @user.register_for_execution()
    @assistant.register_for_llm()
    @tool(approval="human")
    def delete(name: str) -> str:
        """Delete."""
        ran.append(name)
        return "gone"

    talk = Talk(user)
    replies = await talk.say(make_message([calls_part([ToolCall("7", "delete", {"name": "a"})])], speaker="assistant"))
    assert isinstance(replies[-1], Ask)
    assert ran == []
    replies = await talk.say("yes")
    assert ran == ["a"]
    assert results(replies) == ["gone"]


async def test_any_agent_is_a_tool(puppet: Any, server: FakeOpenAI) -> None:
    """Issue 4: any A2A agent as a tool; here one of this program."""
    expert = puppet("the expert", lambda turn: [f"heard {turn.text}"])
    agent = AssistantAgent("bot", llm_config=at(server), tools=[expert])
    replies = await replies_of(agent, make_turn('CALL the_expert {"message": "why?"}'))
    assert "".join(each for each in replies if isinstance(each, str)) == "Tool said: heard why?"
    assert expert.turns[0].hops == 1
    silent = AssistantAgent("bot", llm_config=at(server), tools=[puppet("mute", [])])
    replies = await replies_of(silent, make_turn('CALL mute {"message": "why?"}'))
    assert results(replies) == ["Error: mute said nothing"]


async def test_an_agent_that_asks_back_is_told_that_nobody_answers(puppet: Any, server: FakeOpenAI) -> None:
    """Ours: its question is the result."""
    asker = puppet("asker", [Ask("Which one?")])
    agent = AssistantAgent("bot", llm_config=at(server), tools=[asker])
    replies = await replies_of(agent, make_turn('CALL asker {"message": "do it"}'))
    assert results(replies) == ["Error: asker asks back: Which one?"]


async def test_variables_are_filled_in_changed_and_kept(server: FakeOpenAI) -> None:
    """AutoGen: context_variables; what a tool changes is there in the next turn, and never shown to the model."""
    seen: list[Any] = []

    def visit(city: str, context_variables: ContextVariables, turn: Turn) -> ReplyResult:
        """Note a visit."""
        seen.append((dict(context_variables), turn.text))
        context_variables["last"] = city
        return ReplyResult("noted", context_variables={"count": int(str(context_variables.get("count", 0))) + 1})

    agent = AssistantAgent("bot", llm_config=at(server), tools=[visit], context_variables={"count": 0})
    talk = Talk(agent)
    await talk.say('CALL visit {"city": "Ulm"}')
    await talk.say('CALL visit {"city": "Bonn"}')
    assert [each for each, _ in seen] == [{"count": 0}, {"count": 1, "last": "Ulm"}]
    assert "context_variables" not in server.requests[0].body["tools"][0]["function"]["parameters"]["properties"]
    assert agent.context_variables == {"count": 0}, "configuration is not written to"


async def test_seats_of_a_room_share_their_variables(room: Any) -> None:
    """Ours: a fold of the room's journal."""
    seen: list[Any] = []

    def put(context_variables: ContextVariables) -> str:
        context_variables["found"] = True
        return "ok"

    def look(context_variables: ContextVariables) -> str:
        seen.append(context_variables.to_dict())
        return "ok"

    def model(name: str) -> ScriptedModel:
        return ScriptedModel([ToolCall("1", name, {}), "done"])

    ann = AssistantAgent("ann", llm_config=model("put"), tools=[put], context_variables={})
    ben = AssistantAgent("ben", llm_config=model("look"), tools=[look], context_variables={"own": 1})
    await room(ann, ben, max_round=3).chat("go")
    assert seen == [{"own": 1, "found": True}]


async def test_a_tool_that_sets_variables_of_an_agent_without_any_is_an_error() -> None:
    """Ours: nothing is silently ignored."""
    made = tool(name="f")(lambda: ReplyResult("x", context_variables={"a": 1}))
    model = ScriptedModel([ToolCall("1", "f", {}), "ok"])
    replies = await replies_of(AssistantAgent("bot", llm_config=model, tools=[made]), make_turn("x"))
    assert "give it context_variables={}" in str(results(replies)[0])


async def test_cancelling_a_turn_cancels_its_calls() -> None:
    """Issue 4: cancel goes through."""
    started, stopped = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    model = ScriptedModel([ToolCall("1", "wait", {}), "x"])
    task = asyncio.create_task(
        replies_of(AssistantAgent("bot", llm_config=model, tools=[wait]), make_turn("x", journal=MemoryJournal()))
    )
    await asyncio.wait_for(started.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped.is_set()


async def test_an_approval_that_raises_fails_the_turn_before_any_call() -> None:
    """Ours: in doubt nothing is called, and what was raised is raised as it is."""
    ran: list[str] = []

    def decide(asked: ToolCall) -> bool:
        if asked.id == "2":
            raise LookupError("no policy")
        return True

    model = ScriptedModel([[ToolCall("1", "delete", {"name": "a"}), ToolCall("2", "delete", {"name": "b"})]])
    with pytest.raises(LookupError, match="no policy"):
        await replies_of(approving(ran, model, decide), make_turn("go"))
    assert ran == []


async def test_what_a_hook_raises_is_raised_as_it_is() -> None:
    """Ours: not in a group, whatever the calls were run in."""
    model = ScriptedModel([ToolCall("1", "f", {})])
    agent = AssistantAgent("bot", llm_config=model, tools=[tool(name="f")(lambda: "x")])

    def hook(call: Any) -> Any:
        raise LookupError("hook")

    agent.register_hook("safeguard_tool_inputs", hook)
    with pytest.raises(LookupError, match="hook"):
        await replies_of(agent, make_turn("go"))
