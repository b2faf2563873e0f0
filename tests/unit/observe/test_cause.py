"""What a log says of a failure before the traceback."""

import asyncio
import json
import logging
import sys
from typing import Any

import pytest

from a2a_bridge.errors import AdapterFailedError, framework_errors
from a2a_bridge.observe import log
from a2a_bridge.observe.cause import LONGEST, cause_of


def wrapped(error: BaseException) -> BaseException:
    """As a framework's adapter raises it."""
    with pytest.raises(AdapterFailedError) as caught, framework_errors("the agent 'x'"):
        raise RuntimeError("the graph failed") from error
    return caught.value


def in_context(first: BaseException, then: BaseException) -> BaseException:
    """Raised while the first was handled."""
    try:
        try:
            raise first
        except BaseException:
            raise then  # noqa: B904 - the context is what is tried
    except BaseException as error:
        return error


class Rude(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(("error", "cause"), [
    (wrapped(ConnectionError("500\n  from the model")), "ConnectionError: 500 from the model"),
    (in_context(OSError("refused"), RuntimeError("sorry")), "OSError: refused"),
    (in_context(KeyError("OPENAI_API_KEY"), RuntimeError("no key")), "RuntimeError: no key"),
    (in_context(asyncio.CancelledError(), TimeoutError("too slow")), "TimeoutError: too slow"),
    (wrapped(ExceptionGroup("several", [OSError("first"), OSError("second")])), "OSError: first"),
    (wrapped(RuntimeError("ModelError: 500\nTraceback:\n  File x")), "RuntimeError: ModelError: 500"),
    (wrapped(ValueError("wrong key sk-abcdef123456")), "ValueError: wrong key ***"),
    (Rude(), "Rude: <exception str() failed>"),
])  # fmt: skip
def test_the_innermost_exception_that_says_something_is_the_cause(error: BaseException, cause: str) -> None:
    """Ours: a framework's last line is `failed: InternalServerError`."""
    assert cause_of(error) == cause


def test_a_cause_is_one_line_that_is_not_too_long_and_ends_in_a_circle_too() -> None:
    """Ours: providers put whole bodies into their messages."""
    first, second = ValueError("x" * 10_000), ValueError("y")
    first.__cause__, second.__cause__ = second, first
    assert cause_of(first) == "ValueError: y"
    assert len(cause_of(second)) == LONGEST


@pytest.mark.parametrize("form", [log.JsonLines(), log.KeyValues()])
def test_a_log_entry_has_the_cause_before_the_traceback(form: logging.Formatter) -> None:
    """Ours: 5 KB of escaped traceback are no place to look for it."""
    try:
        raise wrapped(OSError("model down, password=hunter22"))
    except AdapterFailedError:
        record = logging.makeLogRecord({"levelname": "ERROR", "msg": "agent x failed", "exc_info": sys.exc_info()})
    text = form.format(record)
    assert "hunter22" not in text
    assert 0 < text.index("model down, password=***") < text.index("Traceback")
    if isinstance(form, log.JsonLines):
        found: dict[str, Any] = json.loads(text)
        assert found["cause"] == "OSError: model down, password=***"
        assert [*found][-2:] == ["cause", "exception"]
    else:
        assert text.splitlines()[1] == "  cause: OSError: model down, password=***"
