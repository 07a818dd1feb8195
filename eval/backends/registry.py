"""Opens the backend that a config names. Each is imported when it is used: a server's run needs no torch."""

from __future__ import annotations

from functools import partial
from typing import Any

from data.wire import WireIds
from eval.backends.config import BackendConfig, OpenAIConfig, ScriptedConfig, VllmConfig
from eval.backends.protocol import Backend


def open_backend(config: BackendConfig, model: str, adapter: str | None, tokenizer: Any, wire: WireIds) -> Backend:
    """The backend, ready for requests.

    Args:
        config: the config's `backend` section.
        model: folder or Hub id of the weights; a server has its own.
        adapter: folder of a LoRA adapter, or None.
        tokenizer: the model's.
        wire: the wire format's ids, whose end of turn ends a completion.

    Raises:
        UserError: what the backend needs is not there.
    """
    if isinstance(config, OpenAIConfig):
        from eval.backends.openai_server import OpenAIBackend

        return OpenAIBackend(config)
    if isinstance(config, VllmConfig):
        from eval.backends.vllm_offline import VllmBackend

        return VllmBackend(config, model, adapter, wire.turn_close)
    if isinstance(config, ScriptedConfig):
        from eval.backends.scripted import ScriptedBackend, read_script

        encode = partial(tokenizer.encode, add_special_tokens=False)
        return ScriptedBackend(read_script(config.script), wire.turn_close, encode, config.delay)
    import torch

    from data.precision import compute_dtype
    from eval.backends.local import TransformersBackend
    from eval.backends.parallel import ParallelBackend, cores

    dtype = compute_dtype() if config.dtype == "auto" else getattr(torch, config.dtype)
    processes = 1 if torch.cuda.is_available() else min(config.processes, cores())
    if processes > 1:
        return ParallelBackend(model, adapter, dtype, tokenizer.pad_token_id, wire.turn_close, config.batch_size, processes)
    return TransformersBackend.load(model, adapter, dtype, tokenizer.pad_token_id, wire.turn_close, config.batch_size)
