"""Tokenizers that tests run over: a toy of each family, and SmolLM3's real one where its files lie beside the repository."""

from __future__ import annotations

import signal
from functools import cache
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from data.tokenizer import attach_template, load_tokenizer, template_path
from tests.toy import toy_tokenizer

# A shell that puts the tests into the background has them ignore SIGINT, and what they start inherits that: Ctrl-C could not be tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SMOLLM3 = Path(__file__).parents[2] / "shared" / "smollm3"
JSON_CALLS = ["toy-smollm2", "toy-smollm3", "toy-qwen2_5", "toy-qwen3", "smollm3"]


@cache
def _load(name: str) -> PreTrainedTokenizerBase:
    if name != "smollm3":
        return toy_tokenizer(family=name.removeprefix("toy-"))
    tokenizer = load_tokenizer(str(SMOLLM3))
    attach_template(tokenizer, template_path("smollm3"))
    return tokenizer


def named_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer, with our template; skips where the real one's files are absent."""
    if name == "smollm3" and not (SMOLLM3 / "tokenizer.json").is_file():
        pytest.skip(f"SmolLM3's tokenizer.json is not in {SMOLLM3}")
    return _load(name)


@pytest.fixture(scope="session", params=[*JSON_CALLS, "toy-qwen3_coder"])
def any_family(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    """Every family."""
    return named_tokenizer(request.param)


@pytest.fixture(scope="session", params=JSON_CALLS)
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    """Every family whose calls are JSON."""
    return named_tokenizer(request.param)


@pytest.fixture(scope="session", params=["toy-smollm3", "toy-qwen3", "smollm3"])
def thinker(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    """Every family that reasons."""
    return named_tokenizer(request.param)


@pytest.fixture(scope="session", params=["toy-smollm3", "smollm3"])
def smollm3(request: pytest.FixtureRequest) -> PreTrainedTokenizerBase:
    """A tokenizer with think tokens and SmolLM3's template."""
    return named_tokenizer(request.param)


@pytest.fixture(scope="session")
def smollm2() -> PreTrainedTokenizerBase:
    """A tokenizer without think tokens and SmolLM2's template."""
    return named_tokenizer("toy-smollm2")


@pytest.fixture(scope="session")
def coder() -> PreTrainedTokenizerBase:
    """Qwen3-Coder's: calls are tagged parameters."""
    return named_tokenizer("toy-qwen3_coder")
