"""Names of seats: which can be told apart, and which the engine keeps for itself."""

import unicodedata
from functools import lru_cache

from a2a_bridge.chat.entry import END
from a2a_bridge.errors import ChatError


@lru_cache(maxsize=4096)
def fold_name(name: str) -> str:
    """Names that fold to the same look the same to a reader."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


@lru_cache(maxsize=256)
def check_names(names: tuple[str, ...]) -> None:
    """Raise ChatError for names that are empty, taken by the engine, or cannot be told apart."""
    held: dict[str, str] = {}
    for name in names:
        folded = fold_name(name)
        if not folded or folded == fold_name(END) or "]" in name or len(name.splitlines()) != 1:
            raise ChatError(f"{name!r} cannot be the name of a seat: give it another one with Seat(agent, name=...)")
        if folded in held:
            raise ChatError(
                f"two seats are called {held[folded]!r} and {name!r}, which cannot be told apart:"
                " give one another name with Seat(agent, name=...)"
            )
        held[folded] = name
