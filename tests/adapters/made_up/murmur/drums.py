"""The part of the framework for programs without an event loop."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from openai import AsyncOpenAI

from murmur.bots import Bot


@dataclass(frozen=True)
class Drum:
    """A bot without tools, at a model's URL."""

    name: str
    url: str
    about: str = "A drum."

    def beat(self, lines: Sequence[dict[str, Any]], tell: Callable[[Any], None]) -> None:
        """Block until all is said; `tell` is called with each event."""
        asyncio.run(self._talk(lines, tell))

    async def _talk(self, lines: Sequence[dict[str, Any]], tell: Callable[[Any], None]) -> None:
        async with AsyncOpenAI(base_url=self.url, api_key="x", max_retries=0) as client:
            async for event in Bot(self.name, client).talk(lines):
                tell(event)
