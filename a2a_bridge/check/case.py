"""What a case is, and what can come of it.

A case asks one question of one interface of somebody's server, from outside, and says which rules it is about. It ends
silently when the answer is right, and raises `Failed` or `NotApplicable` otherwise.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from a2a_bridge.check.line import Line

MUST, SHOULD, ADVICE = "M", "S", "D"
"""How much a rule binds: the specification says must, it says should, or good servers do so although it is silent."""


class Failed(Exception):
    """The server did something else than the rule says; the text tells what."""


class NotApplicable(Exception):
    """The question cannot be asked of this server; the text tells why."""


class Verdict(StrEnum):
    """What came of a case."""

    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "not-applicable"
    NOT_ASKED = "not-asked"  # there was no time left


@dataclass(frozen=True, slots=True)
class Case:
    """One question. `binding` and `version` None: every one that we speak."""

    name: str
    rules: tuple[str, ...]
    level: str
    about: str
    run: "Callable[[Line], Awaitable[None]]"
    binding: str | None
    version: str | None

    def suits(self, binding: str, version: str) -> bool:
        """Whether the question is about such an interface."""
        return self.binding in (None, binding) and self.version in (None, version)


@dataclass(slots=True)
class Cases:
    """The cases of one module, in the order in which they are written down."""

    binding: str | None = None
    version: str | None = None
    found: list[Case] = field(default_factory=list)

    def add(
        self, *rules: str, level: str = MUST, about: str
    ) -> "Callable[[Callable[[Line], Awaitable[None]]], Callable[[Line], Awaitable[None]]]":
        """Make a case of a function; its name, in dashes, is the name of the case."""

        def made(run: "Callable[[Line], Awaitable[None]]") -> "Callable[[Line], Awaitable[None]]":
            name = run.__name__.replace("_", "-")
            self.found.append(Case(name, rules, level, about, run, self.binding, self.version))
            return run

        return made


def expect(right: object, otherwise: str) -> None:
    """Fail with what was seen unless it is right."""
    if not right:
        raise Failed(otherwise)


def skip(why: str) -> NoReturn:
    """The question cannot be asked."""
    raise NotApplicable(why)
