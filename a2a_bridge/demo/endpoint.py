"""Which model the demo's agents call: yours, if the environment names one, else the embedded one."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

EMBEDDED = "smollm2-135m-instruct"
"""The name under which the embedded model is served; a child tells by it that it has to do with a very small one."""

USUAL = "gpt-5-mini"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible endpoint and a model there."""

    model: str
    base_url: str
    api_key: str

    @property
    def is_embedded(self) -> bool:
        return self.model == EMBEDDED

    def environ(self) -> dict[str, str]:
        """How a child is told."""
        return {"OPENAI_MODEL": self.model, "OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": self.api_key}


def endpoint_in(environ: Mapping[str, str]) -> Endpoint | None:
    """The endpoint that OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL name; None if neither of the first two is set.

    Without OPENAI_MODEL an endpoint of its own is asked which models it has, and the first is taken.
    """
    base_url, api_key = environ.get("OPENAI_BASE_URL", ""), environ.get("OPENAI_API_KEY", "")
    if not base_url and not api_key:
        return None
    model = environ.get("OPENAI_MODEL") or (_first_model(base_url, api_key) if base_url else None) or USUAL
    return Endpoint(model, base_url or "https://api.openai.com/v1", api_key or "none")


def _first_model(base_url: str, api_key: str) -> str | None:
    """What the endpoint lists first; None when it lists nothing or does not answer, which the first call will tell."""
    where = urlsplit(base_url)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    connection = kind(where.netloc, timeout=5)
    try:
        connection.request("GET", f"{where.path.rstrip('/')}/models", headers={"Authorization": f"Bearer {api_key}"})
        return str(json.load(connection.getresponse())["data"][0]["id"])
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException):
        return None
    finally:
        connection.close()
