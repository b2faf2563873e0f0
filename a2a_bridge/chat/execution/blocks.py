"""Code in what an agent said: the fenced blocks of Markdown."""

import re
from collections.abc import Iterable

from a2a_bridge.chat.execution.contract import CodeBlock, Language

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)
_FILENAME = re.compile(r"\A\s*(?:#|//)\s*filename:\s*(\S+)\s*$", re.MULTILINE)
_LANGUAGES: dict[str, Language] = {
    "python": "python", "py": "python", "python3": "python", "sh": "sh", "bash": "sh", "shell": "sh",
}  # fmt: skip


def blocks_in(texts: Iterable[str]) -> tuple[CodeBlock, ...]:
    """The Python and shell blocks, in order. A block of another language, or of none, is an example and not run.

    `# filename: plot.py` in the first line names the file that it is kept as.
    """
    found = []
    for text in texts:
        for match in _FENCE.finditer(text.replace("\r\n", "\n") + "\n"):
            language = _LANGUAGES.get(match[1].lower())
            if language is not None and match[2].strip():
                named = _FILENAME.match(match[2])
                found.append(CodeBlock(language, match[2], named[1] if named else None))
    return tuple(found)
