"""LangGraph's interrupts as questions, and answers as what `Command(resume=...)` takes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from a2a_bridge.agent import Answer, Ask
from a2a_bridge.protocol.extensions import may_call
from a2a_bridge.protocol.objects import JSONValue
from adapters.langgraph.messages import data_part, jsonable
from langgraph.types import Interrupt

UNCLEAR: Final = object()
"""The answer does not say which of the options is meant."""

_TEXT_KEYS = ("question", "message", "text", "prompt", "description", "title")
_OPTION_KEYS = ("options", "choices")
_DECISIONS = ("approve", "reject")


def ask_of(interrupt: Interrupt[Any]) -> Ask:
    """The question an interrupt asks. A value that is more than a text travels along as data."""
    value = jsonable(interrupt.value)
    if isinstance(value, str):
        return Ask(text=value, id=interrupt.id, schema=_schema(interrupt, {}))
    if not isinstance(value, dict):
        return Ask(parts=(data_part(value),), id=interrupt.id, schema=_schema(interrupt, {}))
    return Ask(
        text=_text(value),
        parts=(data_part(value),),
        options=_options(interrupt, value),
        schema=_schema(interrupt, value),
        id=interrupt.id,
    )


def breakpoint_ask(steps: Iterable[str]) -> Ask:
    """The question of a graph that was compiled to stop before or after a step."""
    return Ask(text=f"Go on with {', '.join(steps)}?", options=("yes", "no"))


def resume_value(interrupt: Interrupt[Any], ask: Ask, answer: Answer) -> Any:
    """What the interrupted node gets back from `interrupt()`; UNCLEAR if the question has to be asked again."""
    value = answer.value(ask.id)
    asked = interrupt.value if isinstance(interrupt.value, Mapping) else {}
    if requests := _reviewed(asked):
        if isinstance(value, dict):
            return value
        decision = answer.option(ask.id)
        return UNCLEAR if decision is None else {"decisions": [{"type": decision}] * len(requests)}
    if asked.get("type") == "tool_approval":
        if isinstance(value, dict):
            return value
        decision = answer.option(ask.id)
        return UNCLEAR if decision is None else {"type": decision}
    if ask.options:
        option = answer.option(ask.id)
        return UNCLEAR if option is None else option
    return _fitted(value, ask, answer)


def _fitted(value: JSONValue, ask: Ask, answer: Answer) -> Any:
    """A text as the type that the schema asks for, where words can mean one; otherwise the value as it came."""
    kind = ask.schema.get("type") if isinstance(ask.schema, Mapping) else None
    if kind in (None, "string") or not isinstance(value, str):
        return value
    if kind == "boolean":
        word = Answer((Ask(id=ask.id),), answer.message).option(ask.id)
        return UNCLEAR if word is None else word == "yes"
    try:
        return json.loads(value)
    except ValueError:
        return UNCLEAR


def _reviewed(value: Mapping[str, Any]) -> Sequence[Any]:
    """The tool calls that langchain's review middleware asks about in one interrupt."""
    requests = value.get("action_requests")
    return requests if isinstance(requests, list) and "review_configs" in value else ()


def _text(value: Mapping[str, Any]) -> str:
    if requests := _reviewed(value):
        return "\n\n".join(_call_text(one.get("name"), one.get("args"), one.get("description")) for one in requests)
    if value.get("type") == "tool_approval":
        return _call_text(value.get("name"), value.get("args"), value.get("description"))
    return next((value[key] for key in _TEXT_KEYS if isinstance(value.get(key), str)), "")


def _call_text(name: Any, arguments: Any, description: Any) -> str:
    """A call that waits for a person: its author's words, and the arguments if those words do not tell them."""
    told = may_call(str(name), arguments or {})
    if not description:
        return told
    return str(description) if str(arguments) in str(description) else f"{description}\n{told}"


def _options(interrupt: Interrupt[Any], value: Mapping[str, Any]) -> tuple[str, ...]:
    if _reviewed(value):
        allowed = [set(config.get("allowed_decisions", ())) for config in value["review_configs"]]
        return tuple(word for word in _DECISIONS if all(word in decisions for decisions in allowed))
    if value.get("type") == "tool_approval":
        schema = json.dumps(jsonable(interrupt.response_schema))
        return tuple(word for word in _DECISIONS if f'"{word}"' in schema) or _DECISIONS
    for key in _OPTION_KEYS:
        options = value.get(key)
        if isinstance(options, list) and options and all(isinstance(option, str) for option in options):
            return tuple(options)
    return ()


def _schema(interrupt: Interrupt[Any], value: Mapping[str, Any]) -> JSONValue:
    found = getattr(interrupt, "response_schema", None) or value.get("schema") or value.get("response_schema")
    return jsonable(found) if isinstance(found, Mapping) else None
