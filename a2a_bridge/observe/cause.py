"""Why something failed, in one line: for logs and for the terminal of whoever runs the program, never for strangers.

Frameworks wrap what went wrong in errors of their own, so a traceback of theirs is long and its last line says little.
"""

from collections.abc import Iterator
from traceback import format_exception_only

from a2a_bridge.observe.scrub import scrub

LONGEST = 300
"""Characters of the line, at most."""

_READ = 4_000
"""Characters of a message that are looked at."""

_STEPS = (LookupError, AttributeError, StopIteration, StopAsyncIteration)
"""What code trips over on its way to an error that says more: `except KeyError: raise ConfigError(...)`."""


def cause_of(error: BaseException) -> str:
    """The type and the message of the innermost exception that says something, without credentials."""
    chain = [(found, _words(found)) for found in _chain(error)]
    found, words = next(((one, said) for one, said in reversed(chain) if said), chain[-1])
    line = scrub(f"{type(found).__name__}: {words}" if words else type(found).__name__)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def _chain(error: BaseException) -> Iterator[BaseException]:
    """From the exception to what it came from; of several at once, the first."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        if isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
            continue
        yield found
        found = found.__cause__ or _before(found)


def _before(error: BaseException) -> BaseException | None:
    context = None if error.__suppress_context__ else error.__context__
    return None if isinstance(context, _STEPS) else context


def _words(error: BaseException) -> str:
    """On one line, without the traceback that some put into their messages."""
    text = "".join(format_exception_only(error)).partition(": ")[2]  # str(error) may raise, this does not
    return " ".join(text[:_READ].partition("\nTraceback")[0].split())
