"""`serve.json`: how a server is told to read an exported model, each flag with its reason.

The flags are vLLM 0.32's; `scripts/serve_vllm.sh` starts the server with them. Flags for other servers are hints of the same kind.
"""

from __future__ import annotations

from typing import Any

from data.wire import WireFormat

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # vLLM 0.32, config/lora.py: MaxLoRARanks
Flag = tuple[str, str | None, str]


def thinks(tokenizer: Any) -> bool:
    """Whether the tokenizer's response template tells reasoning from content."""
    return "thinking" in tokenizer.init_kwargs["response_template"]["fields"]


def parser_flags(reasoning: bool) -> list[Flag]:
    """How calls, and reasoning where the model has it, are taken out of the completion."""
    flags: list[Flag] = [
        ("--enable-auto-tool-choice", None, "without it requests with tools and tool_choice auto are refused"),
        (
            "--tool-call-parser",
            "hf",
            "reads calls by the response_template in tokenizer_config.json, written from the chat template's own wire format; hermes loses "
            "a good call beside a broken one and streams broken ones (docs/serving.md); a closing tag inside an argument cuts both short",
        ),
    ]
    if reasoning:
        reason = "separates reasoning by the same response_template; deepseek_r1 takes an answer without a think block for reasoning whole"
        flags.append(("--reasoning-parser", "hf", reason))
    return flags


def vllm_flags(config: Any, reasoning: bool) -> list[Flag]:
    """Flag, value or None, reason. `config` is the model's own."""
    return [
        *parser_flags(reasoning),
        ("--chat-template-content-format", "string", "the chat template takes a message's content as text, not as a list of parts"),
        (
            "--max-model-len",
            str(config.max_position_embeddings),
            "the context that the base was trained for; lower it where memory for the key-value cache is short",
        ),
        (
            "--override-generation-config",
            '{"temperature": 0.0}',
            "greedy unless a request says otherwise: the rates of the model card were measured so, and vLLM's default of 1 breaks calls",
        ),
    ]


def lora_flags(name: str, rank: int) -> list[Flag]:
    """What an adapter that stays unmerged needs beside them; paths are relative to the exported folder."""
    fitting = next(size for size in LORA_RANKS if size >= rank)
    return [
        ("--enable-lora", None, "the adapter is applied beside the base's weights"),
        ("--lora-modules", f"{name}=.", f"requests name the model {name}"),
        ("--max-lora-rank", str(fitting), f"the adapter's rank is {rank}; vLLM's default is 16"),
    ]


def serve_config(config: Any, wire: WireFormat, reasoning: bool, lora: list[Flag] | None = None, model: str = ".") -> dict[str, Any]:
    """What `serve.json` holds; `model` is a base's name or `.`, the exported folder."""
    flags = [*vllm_flags(config, reasoning), *(lora or [])]
    return {
        "engine": "vllm",
        "model": model,
        "arguments": [part for flag, value, _ in flags for part in (flag, value) if part is not None],
        "reasons": {" ".join(part for part in (flag, value) if part is not None): reason for flag, value, reason in flags},
        "wire_format": wire.name,
        "other_servers": other_servers(wire),
    }


def other_servers(wire: WireFormat) -> dict[str, dict[str, Any]]:
    """Flags for servers that were not run with this model."""
    hints = {
        "llama.cpp": {"arguments": ["--jinja"], "reason": "uses the chat template inside the GGUF file; without it tools are ignored"},
        "sglang": {
            "arguments": ["--tool-call-parser", "qwen25" if wire.body == "json" else "qwen3_coder"],
            "reason": "reads this spelling of a call",
        },
    }
    return {name: {**hint, "measured": False} for name, hint in hints.items()}
