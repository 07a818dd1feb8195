"""The `backend` section of an evaluation's config: which backend, and its settings. Pure; no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class _Section(BaseModel):
    """Unknown keys are fatal."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TransformersConfig(_Section):
    """A model in this process, or on a CPU in several `processes` that share its cores, which gains more than threads do.

    A machine with a GPU takes one process, and so does one core. `auto` is the dtype that the machine computes fast in.
    """

    type: Literal["transformers"] = "transformers"
    batch_size: PositiveInt = 48
    processes: PositiveInt = 1
    dtype: Dtype = "auto"


class VllmConfig(_Section):
    """vLLM's offline engine, run by the Python `vllm_python`; `engine` holds further arguments of `vllm.LLM`."""

    type: Literal["vllm"]
    vllm_python: Path
    dtype: Dtype = "auto"
    engine: dict[str, Any] = {}


class OpenAIConfig(_Section):
    """A server that speaks OpenAI's chat completions at `base_url`, such as `http://127.0.0.1:8000/v1`.

    `model` is by default the first that the server lists. `extensions` asks for what vLLM and SGLang add to OpenAI's API: token ids, and
    thinking on or off; a server that refuses unknown fields needs it off, and is then unmeasurable. `parser` is the name under which
    the server's own reading is reported. `timeout` is for one whole answer, in seconds. `extra_body` goes into every request.
    """

    type: Literal["openai"]
    base_url: str
    model: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    parser: str = "server"
    tool_choice: Literal["auto", "none"] = "auto"
    extensions: bool = True
    concurrency: PositiveInt = 16
    timeout: PositiveFloat = 600.0
    retries: int = Field(default=4, ge=0)
    backoff: PositiveFloat = 1.0
    extra_body: dict[str, Any] = {}


class ScriptedConfig(_Section):
    """Completions from a JSON file, see `eval.backends.scripted.read_script`; `delay` in seconds."""

    type: Literal["scripted"]
    script: Path
    delay: float = Field(default=0.0, ge=0)


BackendConfig = Annotated[TransformersConfig | VllmConfig | OpenAIConfig | ScriptedConfig, Field(discriminator="type")]
