"""What the fake model says: a pure function of the conversation, so that tests can tell what to expect.

The last user message may hold directives; whatever stands before one (a speaker's prefix, a prompt) is ignored:

    SAY some words              those words, to the end of the line; the last such line counts
    CALL name {"json": "args"}  a tool call; several run one after another
    PARALLEL                    all CALLs in one assistant message
    JSON {"json": "object"}     this object, where a JSON answer is asked for
    TURNS                       how many messages the conversation has, and the first user's words
    SLOW                        a pause before each of many words; ends at once when released (see FakeOpenAI)
    FAIL500, FAIL429            an HTTP error; FAIL500ONCE, FAIL429ONCE only for the first such request

Without one the answer is `Echo: ` and the message; after tool results it is `Tool said: ` and the results.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_JSON = json.JSONDecoder()
_CALL = re.compile(r"\bCALL\s+([\w.-]+)\s*(?=\{)")
_SAY = re.compile(r"\bSAY\s+(.+)")
_GIVEN = re.compile(r"\bJSON\s*(?=\{)")
_FAIL = re.compile(r"\bFAIL(500|429)(ONCE)?\b")


@dataclass(frozen=True, slots=True)
class Line:
    """One message as the model sees it: `role` is system, user, assistant or tool; `called` are the tools an assistant
    called."""

    role: str
    text: str
    called: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was asked of the model, the same for every wire."""

    lines: tuple[Line, ...]
    tools: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    wants_json: bool = False
    forced_tool: str | None = None
    tool_schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def last_user(self) -> str:
        """The newest user message that says anything."""
        return next((line.text for line in reversed(self.lines) if line.role == "user" and line.text.strip()), "")

    @property
    def results(self) -> tuple[str, ...]:
        """Tool results since the last user message, oldest first."""
        found: list[str] = []
        for line in reversed(self.lines):
            if line.role == "user" and line.text.strip():
                break
            if line.role == "tool":
                found.append(line.text)
        return tuple(reversed(found))


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of the model; `arguments` is a JSON text, as on the wire."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says. `failure` is an HTTP status to answer with instead, `once` only the first time."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    slow: bool = False
    failure: int | None = None
    once: bool = False

    @property
    def words(self) -> list[str]:
        """The text in the pieces in which it is streamed."""
        return re.findall(r"\s*\S+\s*", self.text)


def directed(asked: Conversation) -> Said:
    """The default model: does what the last user message tells it to."""
    user = asked.last_user
    if fail := _FAIL.search(user):
        return Said(failure=int(fail[1]), once=bool(fail[2]))
    slow = "SLOW" in user
    calls = _calls_in(user)
    done = len(asked.results)
    if done < len(calls) and asked.tools:
        chosen = calls if "PARALLEL" in user else calls[done : done + 1]
        return Said(calls=tuple(chosen), slow=slow)
    if asked.forced_tool:
        answer = _given(user)
        schema = asked.tool_schemas.get(asked.forced_tool, {})
        return Said(calls=(Call(asked.forced_tool, json.dumps(instance_of(schema) if answer is None else answer)),))
    if asked.schema is not None or asked.wants_json:
        answer = _given(user)
        if answer is None:
            answer = instance_of(asked.schema or {"type": "object"})
        return Said(text=json.dumps(answer), slow=slow)
    return Said(text=_plain_answer(asked, user), slow=slow)


def _plain_answer(asked: Conversation, user: str) -> str:
    if asked.results:
        text = "Tool said: " + " | ".join(asked.results)
    elif "TURNS" in user:
        spoken = [line for line in asked.lines if line.role != "system"]
        first = next((line.text for line in spoken if line.role == "user"), "")
        text = f"{len(spoken)} messages, the first: {first}"
    elif say := _SAY.findall(user):
        text = say[-1].strip()
    else:
        text = "Echo: " + user.strip()[-300:]
    if any("Final Answer:" in line.text for line in asked.lines if line.role in ("system", "user")):
        # CrewAI's prompt without native tools asks for this form and keeps on asking until it gets it.
        text = "Thought: I now can give a great answer\nFinal Answer: " + text
    return text


def _calls_in(text: str) -> list[Call]:
    found = []
    for match in _CALL.finditer(text):
        arguments, _ = _JSON.raw_decode(text, match.end())
        found.append(Call(match[1], json.dumps(arguments)))
    return found


def _given(text: str) -> Any:
    match = _GIVEN.search(text)
    return _JSON.raw_decode(text, match.end())[0] if match else None


_SAMPLES: Mapping[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}


def instance_of(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Any:
    """A small value that fits a JSON Schema, as far as model answers need it."""
    root = schema if root is None else root
    if "$ref" in schema:
        return instance_of(_resolve(root, schema["$ref"]), root)
    for key in ("const", "default"):
        if schema.get(key) is not None:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return instance_of(schema[key][0], root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        members: Mapping[str, Any] = schema.get("properties", {})
        required: Sequence[str] = schema.get("required", list(members))
        return {name: instance_of(members[name], root) for name in required if name in members}
    if kind == "array":
        return [instance_of(schema.get("items", {"type": "string"}), root)]
    return _SAMPLES.get(kind, "text")


def _resolve(root: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    found: Any = root
    for key in reference.lstrip("#/").split("/"):
        found = found[key]
    return found  # type: ignore[no-any-return]
