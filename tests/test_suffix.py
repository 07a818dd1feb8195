"""Suffix extraction, against our templates, breaking ones, and TRL's own method."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase
from trl.chat_template_utils import is_chat_template_prefix_preserving, is_chat_template_stop_token_trained, supports_tool_calling
from trl.trainer.grpo_trainer import GRPOTrainer

from data.render import prompt_ids, turn_ids
from data.sources.dialogue import KINDS, generate
from data.suffix import SuffixError, tool_suffix_ids, verify_suffix
from data.transcript import Transcript

TOOL = {"type": "function", "function": {"name": "now", "description": "Time.", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": {}}}
CALLED = [{"role": "user", "content": "What time is it?"}, {"role": "assistant", "content": "I look.", "tool_calls": [CALL]}]
RESULTS = [{"role": "tool", "name": "now", "tool_call_id": "c1", "content": '{"time": "12:00"}'}]
NO_CALLS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
COUNTS = "{{ messages | length }}\n" + NO_CALLS


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("results", [1, 2])
def test_suffix_goes_on_from_the_calling_turn(tokenizer: PreTrainedTokenizerBase, thinking: bool, results: int) -> None:
    messages = [*CALLED, *RESULTS * results]
    suffix = tool_suffix_ids(tokenizer, messages, [TOOL], enable_thinking=thinking)
    head = turn_ids(CALLED, [TOOL], tokenizer, enable_thinking=thinking)
    assert head + suffix == prompt_ids(messages, [TOOL], tokenizer, enable_thinking=thinking)
    assert head[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(suffix).count('{"time": "12:00"}') == results


def test_suffix_is_that_of_trl(tokenizer: PreTrainedTokenizerBase) -> None:
    """TRL takes the suffix from a dummy conversation without text; ours from the real one."""
    trainer: Any = SimpleNamespace(
        processing_class=tokenizer, _tokenizer=tokenizer, chat_template=None, chat_template_kwargs={}, _is_vlm=False
    )
    assert GRPOTrainer._get_tool_suffix_ids(trainer, RESULTS) == tool_suffix_ids(tokenizer, [*CALLED, *RESULTS], [TOOL])


def test_trl_accepts_our_templates(any_family: PreTrainedTokenizerBase) -> None:
    assert supports_tool_calling(any_family)
    assert is_chat_template_prefix_preserving(any_family)
    assert is_chat_template_stop_token_trained(any_family)


@pytest.mark.parametrize("kind", KINDS)
def test_every_cut_of_every_kind_is_a_prefix(tokenizer: PreTrainedTokenizerBase, kind: str) -> None:
    for transcript in generate("train", 3, 3, {kind: 1.0}):
        assert verify_suffix(transcript, tokenizer) is None


def test_break_names_the_message(smollm2: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "chat_template", COUNTS)
    transcript = Transcript.model_validate(
        {"id": "t", "tools": [TOOL], "messages": [*CALLED, *RESULTS, {"role": "assistant", "content": "Noon."}]}
    )
    found = verify_suffix(transcript, smollm2)
    assert found is not None
    assert (found.transcript, found.message, found.at, found.tools) == ("t", 1, 0, True)
    assert found.before.startswith("1\n")
    assert found.after.startswith("2\n")
    with pytest.raises(SuffixError, match=r"^message 2: '2"):
        tool_suffix_ids(smollm2, [*CALLED, *RESULTS], [TOOL])


@pytest.mark.parametrize("messages", [[], CALLED, RESULTS, [CALLED[0], *RESULTS]])
def test_conversation_without_result_has_no_suffix(smollm2: PreTrainedTokenizerBase, messages: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="must end with tool messages"):
        tool_suffix_ids(smollm2, messages, [TOOL])
