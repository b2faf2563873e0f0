"""What a model call costs: what its provider says, else a price that was given, else a table.

The table is a mapping of a model's name to US dollars per 1,000 tokens of input and of output, as in AutoGen. An entry
also holds for dated versions of that model (`gpt-4o` for `gpt-4o-2024-08-06`). Ours is of 2025 and made to be replaced:
`llm_config={"prices": {...}}` for one model, or the environment variable A2A_BRIDGE_PRICES, the path of a JSON file of
the same shape. A model that is in no table has no known cost; nothing is guessed.
"""

import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from a2a_bridge.errors import ChatError

Prices = Mapping[str, tuple[float, float]]

PRICES: Prices = {
    "gpt-5": (0.00125, 0.01), "gpt-5-mini": (0.00025, 0.002), "gpt-5-nano": (0.00005, 0.0004),
    "gpt-4.1": (0.002, 0.008), "gpt-4.1-mini": (0.0004, 0.0016), "gpt-4.1-nano": (0.0001, 0.0004),
    "gpt-4o": (0.0025, 0.01), "gpt-4o-mini": (0.00015, 0.0006), "o3": (0.002, 0.008), "o4-mini": (0.0011, 0.0044),
}  # fmt: skip

_VARIABLE = "A2A_BRIDGE_PRICES"
_DATE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|latest)$")


def cost_of(used: Any, model: str, price: tuple[float, float] | None, prices: Prices | None) -> float | None:
    """US dollars of one call. `used` is what the provider reported: its own `cost` counts first."""
    told = getattr(used, "cost", None)
    if isinstance(told, int | float) and not isinstance(told, bool):
        return float(told)
    if price is None:
        price = price_in(table() if prices is None else prices, model)
    if price is None:
        return None
    return float(used.prompt_tokens * price[0] + used.completion_tokens * price[1]) / 1000


def price_in(prices: Prices, model: str) -> tuple[float, float] | None:
    """The price of a model, or of the model that it is a dated version of."""
    return prices.get(model) or prices.get(_DATE.sub("", model))


def table() -> Prices:
    """The table that holds here: the user's, if there is one."""
    path = os.environ.get(_VARIABLE)
    return _read(path) if path else PRICES


@lru_cache(maxsize=4)
def _read(path: str) -> Prices:
    try:
        found = json.loads(Path(path).read_text("utf-8"))
        return {str(model): (float(pair[0]), float(pair[1])) for model, pair in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise ChatError(
            f"{_VARIABLE}={path}: a JSON object of model: [US dollars per 1,000 tokens in, out] is needed ({error})"
        ) from None
