"""What a conversation is summed up to, by one of the classic methods."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from a2a_bridge.agent import Usage
from a2a_bridge.chat.entry import Entry
from a2a_bridge.chat.model import Model, ask_model

SUMMARY_PROMPT = (
    "Sum up what came out of the conversation: the answer that was asked for, and what is still open, in a few"
    " sentences. Leave out greetings and who spoke when."
)
SummaryMethod = str | Callable[..., Any] | None
"""Classic: "last_msg", "reflection_with_llm", a function of (sender, recipient, summary_args), or None for none."""

METHODS = ("last_msg", "reflection_with_llm")


def check_method(method: SummaryMethod) -> None:
    """Raise ValueError for a word that is no summary method."""
    if method is not None and not callable(method) and method not in METHODS:
        raise ValueError(f"summary_method={method!r}: use 'last_msg', 'reflection_with_llm', a function or None")


def last_words(entries: Sequence[Entry]) -> str:
    """The newest message that says more than a closing word, without the closing word."""
    for entry in reversed(entries):
        if entry.kind == "said" and entry.turn:
            words = entry.text.replace("TERMINATE", "").strip()
            if words:
                return words
    return ""


async def reflect(model: Model, entries: Sequence[Entry], args: Mapping[str, Any]) -> tuple[str, Usage]:
    """Let a model sum up. `args`: `summary_prompt` and `summary_role`, as in AutoGen."""
    said = "\n".join(
        f"{entry.speaker.name}: {entry.text}" for entry in entries if entry.kind == "said" and entry.speaker
    )
    prompt = args.get("summary_prompt") or SUMMARY_PROMPT
    return await ask_model(
        model,
        [
            {"role": args.get("summary_role") or "system", "content": prompt},
            {"role": "user", "content": f"The conversation:\n\n{said}"},
        ],
    )
