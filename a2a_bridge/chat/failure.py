"""What is said of a turn that failed: to the room, to whoever runs it, and to the program's log.

Messages of our own errors say what to do and are shown; where an agent lives is left out of what others read. The
text of anybody else's exception is for the owner's logs only.
"""

import logging
import re
from dataclasses import dataclass

from a2a_bridge.agent import Outcome
from a2a_bridge.chat.listen import SilenceError
from a2a_bridge.client.retry import is_transient
from a2a_bridge.errors import A2AError, AdapterFailedError, BridgeError, ChatError, ClientError, RemoteTimeoutError
from a2a_bridge.observe.cause import cause_of

_log = logging.getLogger(__name__)
_ADDRESS = re.compile(r"https?://[^\s'\"]*[^\s'\".,:;)?]")
_NEXT_SENTENCE = re.compile(r"(?<=[.?!]) (?=[A-Z])")
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a turn gave nothing. `reason` follows the name of the seat. `detail` is for whoever runs the room.

    `is_unreached`: no connection, and the client has tried as often as it should.
    """

    reason: str
    detail: str = ""
    is_unreached: bool = False

    @property
    def public(self) -> str:
        """The reason in words that anybody in the room may read."""
        return without_addresses(self.reason)


class RecordedError(ChatError):
    """What somebody raised when the room ran, and raises again when that is replayed: `failure` of a seat, or words."""

    def __init__(self, message: str, failure: Failure | None = None) -> None:
        super().__init__(message)
        self.failure = failure or Failure(message)


def failure_of(trouble: Exception | None, outcome: Outcome) -> Failure | None:
    """What a turn came to nothing by; None if it did not fail."""
    if trouble is not None:
        return _raised(trouble)
    if outcome.failed is not None:
        return Failure(f"could not answer (it says: {outcome.failed[:_LONGEST]!r})")
    if outcome.refused is not None:
        return Failure(f"refused to answer (it says: {outcome.refused[:_LONGEST]!r})")
    return None


def _raised(trouble: Exception) -> Failure:
    if isinstance(trouble, RecordedError):
        return trouble.failure
    if isinstance(trouble, A2AError):  # the words are the remote agent's
        return Failure(f"could not answer (it says: {trouble.message[:_LONGEST]!r})", repr(trouble))
    if isinstance(trouble, BridgeError):
        said = "could not answer"
        if isinstance(trouble, SilenceError | RemoteTimeoutError):
            said = "did not answer in time"
        elif isinstance(trouble, ClientError):
            said = "could not be reached"
        return Failure(f"{said}: {one_sentence(trouble.message)}", repr(trouble), is_transient(trouble))
    return Failure("did not answer in time" if isinstance(trouble, TimeoutError) else "could not answer", repr(trouble))


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first thing that went wrong in several tasks: whoever called wants that, and not how they were run."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


def raised(error: Exception) -> str:
    """What the user's own code raised, in words that may be shown: our own message, or only the name of the class."""
    if isinstance(error, RecordedError):
        return error.message
    if isinstance(error, BridgeError):
        return one_sentence(error.message)
    return f"raised {type(error).__name__}, see the log"


def one_sentence(text: str) -> str:
    """The first sentence, on one line, without its full stop, and not too long; the log has the rest."""
    line = _NEXT_SENTENCE.split(" ".join(text.split()))[0].rstrip(".?!")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def without_addresses(text: str) -> str:
    """Without URLs: where somebody lives is the business of whoever runs the room."""
    return _ADDRESS.sub("its address", text)


def log_failure(name: str, trouble: Exception, traced: set[str]) -> None:
    """One line: of what a framework raised the cause, its traceback at debug level only; what is neither its nor ours
    comes with a traceback, once for each name in `traced`. Not what is replayed."""
    if isinstance(trouble, RecordedError):
        return
    if isinstance(trouble, AdapterFailedError):
        _log.warning("%s failed in its turn: %s", name, cause_of(trouble))
        _log.debug("%s failed in its turn", name, exc_info=trouble)
        return
    is_ours = isinstance(trouble, BridgeError)
    said = str(trouble) if is_ours else repr(trouble)
    shows = not is_ours and name not in traced
    if shows:
        traced.add(name)
    _log.warning("%s failed in its turn: %s", name, said, exc_info=trouble if shows else None)
