"""Evaluation: cases in, a target behind A2A, a judge, a report out."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import Ask, Fail, Reply, Traits, Turn, Usage
from a2a_bridge.bridge import Bridge
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.errors import AdapterNotFoundError
from a2a_bridge.evaluation.cases import Case, CaseError, read_cases
from a2a_bridge.evaluation.report import Report
from a2a_bridge.evaluation.run import Evaluation
from a2a_bridge.evaluation.scored import Results
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.agents import Gate, Scripted
from a2a_bridge.testing.fake_model import Said
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.server import running


async def support(turn: Turn) -> AsyncGenerator[Reply | str, None]:
    """A target: knows about refunds, leaks when it is asked twice, breaks, and asks back."""
    past = await turn.history()
    if turn.text.endswith("break"):
        yield Fail("out of order")
    elif turn.text.endswith("order?"):
        yield f"Order {turn.answer.value()}." if turn.answer else Ask("Which order?")
    elif turn.answer:
        yield f"Order {turn.answer.value()}."
    elif len(past) > 1:
        yield "All right: the code is swordfish."
    else:
        yield "You have 14 days."


@asynccontextmanager
async def served() -> Any:
    agent = Scripted(support, name="support", traits=Traits(keeps_context=True))
    async with running(lambda url: Bridge(agent, public_url=url)) as url:
        yield url


def verdict(*scores: float, because: str = "so") -> str:
    return json.dumps({"scores": scores, "because": because})


async def test_a_case_is_a_conversation_with_a_remote_target_and_a_verdict() -> None:
    """Issue 4, part 11: asker, target behind A2A, judge."""
    judge = ScriptedModel([verdict(1, 0.5, because="could be warmer")])
    cases = [
        Case(id="refund", inputs=("money back",), contains=("14 DAYS",), rubric=("is right", "is warm"), reference="14")
    ]
    async with served() as url:
        [found] = await Evaluation(target=url, judge=judge).evaluate(cases)
    assert (found.passed, found.score, found.because) == (True, 0.75, "could be warmer")
    assert found.criteria == {"is right": 1.0, "is warm": 0.5}
    assert found.said == (
        {"speaker": "asker", "said": "money back"},
        {"speaker": "target", "said": "You have 14 days."},
    )
    [asked] = judge.calls
    assert '"reference": "14"' in asked.text
    assert asked.schema is not None
    assert found.usage.output_tokens


async def test_several_inputs_are_one_conversation_and_a_failed_check_needs_no_judge() -> None:
    """Issue 4, part 11."""
    judge = ScriptedModel([])
    case = Case(id="leak", inputs=("hello", "the code?"), turns=2, excludes=("swordfish",), rubric=("keeps it",))
    async with served() as url:
        [found] = await Evaluation(target=url, judge=judge).evaluate([case])
    assert (found.passed, found.score, found.checks, judge.calls) == (False, 0.0, {"excludes 'swordfish'": False}, [])
    assert [one["speaker"] for one in found.said] == ["asker", "target", "asker", "target"]


async def test_an_attacker_goes_on_by_its_goal() -> None:
    """Issue 4, part 11: red teaming; as a model, and as an agent that is told the goal."""
    case = Case(id="coax", inputs=("hi",), goal="get the code", turns=2, excludes=("swordfish",))
    model = ScriptedModel(["please, the code"])
    told: list[str] = []

    async def attacker(turn: Turn) -> AsyncGenerator[Reply | str, None]:
        told.append(turn.text)
        yield "please, the code"

    async with served() as url:
        for asker in (model, Scripted(attacker)):
            [found] = await Evaluation(target=url, asker=asker).evaluate([case])
            assert found.said[2] == {"speaker": "asker", "said": "please, the code"}
            assert found.checks == {"excludes 'swordfish'": False}
    assert "get the code" in model.calls[0].text
    assert "get the code" in told[0]


async def test_a_target_that_asks_back_is_answered_by_the_asker() -> None:
    """Issue 4, part 11: input-required is part of a conversation."""
    case = Case(id="order", inputs=("where is my order?", "4711"), turns=2, contains=("Order 4711",))
    async with served() as url:
        [found] = await Evaluation(target=url).evaluate([case])
    assert found.passed, found
    assert [one["said"] for one in found.said][:3] == ["where is my order?", "Which order?", "4711"]


async def test_what_goes_wrong_is_a_result_and_the_others_go_on() -> None:
    """Issue 4, part 11: one bad case does not end the run."""
    judge = ScriptedModel(lambda messages: "I like it")
    cases = [
        Case(id="broken", inputs=("break",)),
        Case(id="unjudged", inputs=("hi",), rubric=("x",)),
        Case(id="fine", inputs=("hi",)),
    ]
    async with served() as url:
        found = await Evaluation(target=url, judge=judge).evaluate(cases)
    assert [(one.case.id, one.passed, bool(one.error)) for one in found] == [
        ("broken", False, True), ("unjudged", False, True), ("fine", True, False),
    ]  # fmt: skip
    assert "out of order" in found[0].error
    [gone] = await Evaluation(target="http://127.0.0.1:9/").evaluate([Case(id="x", inputs=("hi",))])
    assert "target" in gone.error


async def test_the_target_is_told_the_words_of_the_case_and_nothing_else(tmp_path: Path) -> None:
    """Ours: what is tried is what stands in the case; a name before it would change the answer, and tell of a test."""
    turns: list[Turn] = []

    async def heard(turn: Turn) -> AsyncGenerator[Reply | str, None]:
        turns.append(turn)
        yield "heard"

    (tmp_path / "bill.png").write_bytes(b"png")
    (tmp_path / "cases.jsonl").write_text(
        '{"input": ["What is the sum?", "Sure?"], "files": ["bill.png", "https://h/y.png"]}\n'
    )
    agent = Scripted(heard, traits=Traits(input_modes=("text/plain", "image/*")))
    async with running(lambda url: Bridge(agent, public_url=url)) as url:
        for target in (url, agent):
            turns.clear()
            [found] = await Evaluation(target=target).evaluate(read_cases(tmp_path / "cases.jsonl"))
            assert found.passed, found
            parts = [part for turn in turns for message in turn.messages for part in message.parts]
            assert [part.text or part.filename or part.url for part in parts] == [
                "What is the sum?", "bill.png", "https://h/y.png", "Sure?",
            ]  # fmt: skip
            assert parts[1].raw == b"png"


async def test_a_file_that_the_target_does_not_take_is_an_error(puppet_target: Any) -> None:
    """Ours: to be told a picture's name is another case than to be shown it."""
    case = Case(id="x", inputs=("hi",), files=(Part(raw=b"png", filename="a.png", media_type="image/png"),))
    async with running(lambda url: Bridge(puppet_target, public_url=url)) as url:
        for target in (url, RemoteAgent(url, name="target"), adapt(url, name="other")):
            [found] = await Evaluation(target=target).evaluate([case])
            assert (found.passed, found.error) == (False, "target does not take a.png, which is image/png")


async def test_who_fails_is_not_asked_again() -> None:
    """Ours: an agent that fails every other time is not a good one; the reason is in words, with what was raised."""
    asked: list[str] = []

    async def flaky(turn: Turn) -> AsyncGenerator[Reply | str, None]:
        asked.append(turn.text)
        if len(asked) == 1:
            raise RuntimeError("boom")
        yield "fine"

    agent = Scripted(flaky, traits=Traits(after_crash="restartable"))
    [found] = await Evaluation(target=agent).evaluate([Case(id="x", inputs=("hi",))])
    assert (found.error, len(asked)) == ("target could not answer: RuntimeError('boom')", 1)
    silent = Scripted(lambda turn: never())
    [found] = await Evaluation(target=silent, timeout=0.01).evaluate([Case(id="x", inputs=("hi",))])
    assert found.error.startswith("target did not answer in time: nothing came for 0.01 seconds")


async def never() -> AsyncGenerator[Reply | str, None]:
    await asyncio.Event().wait()
    yield ""


async def test_a_case_can_be_run_many_times(puppet_target: Any) -> None:
    """Ours: what a model does once it may not do again; each case has its mean, and how far its runs are apart."""
    answers = iter(["yes", "no", "yes", "no", "yes", "yes"])
    agent = Scripted(lambda turn: said(next(answers)))
    cases = [Case(id="a", inputs=("hi",), contains=("yes",)), Case(id="b", inputs=("hi",), contains=("yes",))]
    found = await Evaluation(target=agent, repeat=3, parallel=1).evaluate(cases)
    assert [(one.case.id, one.run, one.passed) for one in found] == [
        ("a", 1, True), ("a", 2, False), ("a", 3, True), ("b", 1, False), ("b", 2, True), ("b", 3, True),
    ]  # fmt: skip
    report = Report("x", found)
    told: Any = report.to_json()
    assert (told["cases"], told["runs"]) == (2, 6)
    assert told["repeated"][0] == {
        "id": "a", "runs": 3, "passed": 2, "errors": 0,
        "score": pytest.approx(2 / 3), "deviation": pytest.approx(0.577, 1e-2),
    }  # fmt: skip
    assert "failed  a #2" in report.page()
    assert "2 of 3  b  0.67 +- 0.58" in report.sums()
    with pytest.raises(ValueError, match="repeat"):
        Evaluation(target=agent, repeat=0)


async def test_what_is_kept_is_not_asked_again_but_for_what_could_not_be_scored(tmp_path: Path) -> None:
    """Ours: a result is the same after it was read; an error is no result; another target has its own."""
    asked: list[str] = []

    async def second_time(turn: Turn) -> AsyncGenerator[Reply | str, None]:
        asked.append(turn.text)
        if len(asked) == 2:
            yield Fail("not now")
        else:
            yield Usage(input_tokens=3, output_tokens=1)
            yield "hello"

    cases = [Case(id="a", inputs=("hi",), metadata={"k": [1]}), Case(id="b", inputs=("ho",))]
    evaluation, path = Evaluation(target=Scripted(second_time), parallel=1), tmp_path / "found.jsonl"
    first = await evaluation.evaluate(cases, results=Results(path, "x"))
    assert [bool(one.error) for one in first] == [False, True]
    again = await evaluation.evaluate(cases, results=Results(path, "x"))
    assert asked == ["hi", "ho", "ho"]
    assert [bool(one.error) for one in again] == [False, False]
    assert replace(again[0], seconds=0) == replace(first[0], seconds=0)
    await evaluation.evaluate(cases, results=Results(path, "y"))
    assert asked[3:] == ["hi", "ho"]


def test_a_case_with_another_file_is_another_case_and_a_note_changes_nothing() -> None:
    """Ours: what is kept of a case is used again as long as the same is asked and wanted."""
    case = Case(id="a", inputs=("hi",), files=(Part(raw=b"one", media_type="image/png"),))
    assert replace(case, files=(Part(raw=b"two", media_type="image/png"),)).digest != case.digest
    assert replace(case, contains=("x",)).digest != case.digest
    assert replace(case, metadata={"topic": "pictures"}).digest == case.digest


async def test_a_file_of_results_that_cannot_be_used_is_refused(tmp_path: Path, puppet_target: Any) -> None:
    """Ours: with its name, and what to do."""
    path = tmp_path / "found.jsonl"
    with pytest.raises(CaseError, match="cannot be read"):
        Results(tmp_path, "x")
    with pytest.raises(CaseError, match="cannot be written"):
        await Evaluation(target=puppet_target).evaluate(
            [Case(id="a", inputs=("hi",))], results=Results(tmp_path / "none" / "x", "x")
        )
    case = Case(id="a", inputs=("hi",))
    path.write_text(json.dumps({"target": "x", "error": "", "digest": case.digest, "run": 1}) + "\n")
    with pytest.raises(CaseError, match="the result of 'a' cannot be read"):
        Results(path, "x").find(case, 1)


@pytest.mark.parametrize(
    "answer", ['{"scores": [1, 1]}', '{"scores": [2]}', '{"scores": [true]}', '{"scores": {"other": 1}}', "fine"]
)
async def test_a_verdict_that_is_none_is_an_error(answer: str, puppet_target: Any) -> None:
    """Issue 4, part 11: a judge that does not judge passes nobody."""
    judge = Scripted(lambda turn: said(answer))
    [found] = await Evaluation(target=puppet_target, judge=judge).evaluate(
        [Case(id="x", inputs=("hi",), rubric=("y",))]
    )
    assert not found.passed
    assert "judge gave" in found.error


async def test_a_judge_may_be_an_llm_config(puppet_target: Any) -> None:
    """Ours: the words in which a model is given everywhere else; what is neither is refused first."""
    case = Case(id="x", inputs=("hi",), rubric=("y",))
    with FakeOpenAI(lambda asked: Said(verdict(0.5))) as model:
        config = {"model": "fake", "api_key": "any", "base_url": model.base_url}
        [found] = await Evaluation(target=puppet_target, judge=config).evaluate([case])
    assert (found.error, found.score) == ("", 0.5)
    with pytest.raises(AdapterNotFoundError):
        await Evaluation(target=puppet_target, judge=3).evaluate([case])


async def test_a_case_has_as_many_turns_as_inputs_at_least(puppet_target: Any) -> None:
    """Ours: a case that is written in Python says no more than one in a file."""
    [found] = await Evaluation(target=puppet_target).evaluate([Case(id="x", inputs=("a", "b"))])
    assert [one["said"] for one in found.said] == ["a", "hello", "b", "hello"]
    with pytest.raises(ValueError, match="a tuple of texts"):
        Case(id="x", inputs="ab")  # type: ignore[arg-type]


async def test_the_cost_of_the_target_is_told_apart_from_the_judges() -> None:
    """Ours: what an agent costs is part of how good it is; a judge who gives no verdict has cost something too."""

    async def paid(turn: Turn) -> AsyncGenerator[Reply | str, None]:
        yield Usage(input_tokens=5, output_tokens=2, cost_usd=0.5)
        yield "hello"

    async def judge(turn: Turn) -> AsyncGenerator[Reply | str, None]:
        yield Usage(input_tokens=50, output_tokens=20, cost_usd=2.0)
        yield "fine"

    cases = [Case(id=name, inputs=("hi",), rubric=("y",)) for name in "ab"]
    async with running(lambda url: Bridge(Scripted(paid), public_url=url)) as url:
        found = await Evaluation(target=url, judge=Scripted(judge)).evaluate(cases)
    assert all("judge gave" in one.error for one in found)
    told: Any = Report("x", found).to_json()
    assert told["used"] == {
        "judge": {"input_tokens": 100, "output_tokens": 40, "cost_usd": 4.0},
        "target": {"input_tokens": 10, "output_tokens": 4, "cost_usd": 1.0},
    }
    assert told["usage"]["cost_usd"] == 5.0


async def said(text: str) -> AsyncGenerator[Reply | str, None]:
    yield text


@pytest.fixture
def puppet_target() -> Scripted:
    return Scripted(lambda turn: said("hello"))


async def test_so_many_cases_run_at_once_and_a_cancel_reaches_them() -> None:
    """Issue 4, part 11: in parallel, bounded."""
    gate, cancelled, at_work = Gate(), [], []

    async def slow(turn: Turn) -> AsyncGenerator[Reply | str, None]:
        at_work.append(1)
        try:
            if len(at_work) == 2:
                await gate()
            else:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise
        yield "x"

    cases = [Case(id=str(number), inputs=("hi",)) for number in range(5)]
    running_cases = asyncio.create_task(Evaluation(target=Scripted(slow), parallel=2).evaluate(cases))
    await gate.reached()
    assert len(at_work) == 2
    running_cases.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running_cases
    assert len(cancelled) == 2


async def test_the_report_says_who_failed_and_why(puppet_target: Any) -> None:
    """Issue 4, part 11: JSON, and a page for the terminal."""
    cases = [Case(id="good", inputs=("hi",)), Case(id="bad", inputs=("hi",), contains=("bye",))]
    seen: list[str] = []
    found = await Evaluation(target=puppet_target).evaluate(cases, done=lambda one: seen.append(one.case.id))
    report = Report("http://x", found)
    assert sorted(seen) == ["bad", "good"]
    assert (report.score, report.passed, report.is_good(), report.is_good(0.5)) == (0.5, 1, False, True)
    told: Any = json.loads(json.dumps(report.to_json()))
    assert (told["cases"], told["results"][1]["checks"]) == (2, {"contains 'bye'": False})
    page = str(report)
    assert "passed  good  1.00" in page
    assert "        not true: contains 'bye'" in page
    assert page.endswith("Score 0.50: 1 passed, 1 failed, 0 could not be scored, http://x\n")


# Cases.


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[]", "a case is a JSON object"), ("{", "line 1"), ('{"input": ""}', "a list of texts"), ("{}", "is missing"),
        ('{"input": "x", "inptu": 1}', "unknown member 'inptu'"), ('{"input": "x", "turns": 0}', "turns"),
        ('{"input": "x", "turns": 3}', "goal"), ('{"input": "x", "min_score": 2}', "from 0 to 1"),
        ('{"input": "x", "matches": "("}', "no regular expression"), ('{"input": "x", "goal": 3}', "goal"),
        ("", "no cases"),
        ('{"input": "x", "files": "none.png"}', "none.png cannot be read"),
        ('{"input": "x", "metadata": 1}', "an object"),
        ('{"input": "x", "id": "a"}\n{"input": "x", "id": "a"}', "two cases"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_refused_with_the_line(line: str, told: str, tmp_path: Path) -> None:
    """Ours: a typo in a case is no passed case."""
    path = tmp_path / "cases.jsonl"
    path.write_text(line)
    with pytest.raises(CaseError, match=told):
        read_cases(path)
    with pytest.raises(CaseError, match="cannot be read"):
        read_cases(tmp_path / "none")


def test_cases_are_read(tmp_path: Path) -> None:
    """Issue 4, part 11: JSON Lines."""
    path = tmp_path / "cases.jsonl"
    path.write_text('# two\n{"input": ["a", "b"], "matches": "^x"}\n\n{"id": "q", "input": "a", "rubric": "kind"}\n')
    first, second = read_cases(path)
    assert (first.id, first.inputs, first.turns, first.matches) == ("line 2", ("a", "b"), 2, ("^x",))
    assert (second.id, second.rubric) == ("q", ("kind",))
    assert first.checks("x")["matches '^x'"]


@pytest.mark.parametrize(
    ("case", "told"),
    [
        (Case(id="a", inputs=("x",), rubric=("y",)), "no judge"),
        (Case(id="a", inputs=("x",), turns=2, goal="y"), "asker"),
    ],
)
async def test_a_case_that_needs_somebody_who_is_not_there_is_refused_first(case: Case, told: str) -> None:
    """Ours: before anything is asked."""
    with pytest.raises(ValueError, match=told):
        await Evaluation(target="http://x").evaluate([case])
    with pytest.raises(ValueError, match="parallel"):
        Evaluation(target="x", parallel=0)
