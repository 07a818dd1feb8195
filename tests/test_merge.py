"""Merging and its gate, on a random two-layer model whose adapter and rows are trained as far as random numbers go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from data.errors import UserError
from train.merge import check_finite, check_tied, load_unmerged, merge
from train.merge_gate import KL_LIMIT, Batch, Limits, beyond, compare, compare_logits, reference, refuse

PROMPTS = [[9, 3, 3, 4, 5, 6], [9, 3, 7, 8, 9, 10, 11, 12]]
UNLIKE = [[3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        tie_word_embeddings=True, initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    peft = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", trainable_token_indices=[38, 39], init_lora_weights=False))
    for name, weight in peft.named_parameters():
        if "trainable_tokens_delta" in name:
            weight.data.normal_()
    peft.save_pretrained(folder)
    return folder


def written(model: Any, folder: Path) -> Any:
    model.save_pretrained(folder, max_shard_size="20KB")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.parametrize("held", [torch.float32, "auto"])
def test_merged_weights_are_rounded_once(held: Any, base: Path, adapter: Path) -> None:
    """Whatever dtype the model is held in: float32 sum, one cast. PEFT's own merge of a bfloat16 base rounds twice."""
    exact = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), str(adapter)).merge_and_unload()
    found = merge(load_unmerged(str(base), adapter, held), torch.bfloat16).state_dict()
    for name, weight in exact.state_dict().items():
        assert torch.equal(found[name], weight.to(torch.bfloat16)), name


def test_gate_lets_rounding_pass_and_refuses_another_model(base: Path, adapter: Path, tmp_path: Path) -> None:
    model = load_unmerged(str(base), adapter, torch.float32)
    said = reference(model, PROMPTS, pad_id=0, new_tokens=6)
    assert all(len(row) == len(table) for row, table in zip(said.transcripts, said.logits, strict=True))
    found = compare(written(merge(model, torch.float32), tmp_path), said)
    assert beyond(found, Limits(KL_LIMIT["float32"])) == []
    assert found.identical_transcripts == 2
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    bare = compare(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), said)
    with pytest.raises(UserError, match="disagree: mean KL"):
        refuse("out", bare, Limits(KL_LIMIT["bfloat16"]))


def test_one_prompt_is_enough(base: Path, adapter: Path) -> None:
    """All of it is shared then, and yet the logits of its whole transcript are compared."""
    model = load_unmerged(str(base), adapter, torch.float32)
    merged = merge(model, torch.float32)
    found = compare(merged, reference(merged, PROMPTS[:1], pad_id=0, new_tokens=6))
    assert (found.prompts, found.transcript_tokens, found.token_agreement) == (1, 6, 1)


def test_transcript_of_the_merged_model_is_the_one_that_it_would_generate(base: Path, adapter: Path) -> None:
    """Reading in one pass decides what decoding would: agreement with its own greedy transcripts is complete."""
    model = load_unmerged(str(base), adapter, torch.float32)
    merged = merge(model, torch.float32)
    found = compare(merged, reference(merged, PROMPTS, pad_id=0, new_tokens=6))
    assert found.token_agreement == 1
    assert found.mean_kl == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("prompts", [PROMPTS, UNLIKE])
def test_reading_in_a_batch_is_reading_one_by_one(prompts: list[list[int]], base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    with torch.inference_mode():
        found = Batch.read(model, prompts, pad_id=0, own=3).last_logits(model, 3)
        alone = torch.stack([model(input_ids=torch.tensor([prompt])).logits[0, -3:] for prompt in prompts])
    assert torch.allclose(found, alone, atol=1e-5)
    said = reference(model, prompts, pad_id=0, new_tokens=5)
    for prompt, transcript in zip(prompts, said.transcripts, strict=True):
        made = model.generate(torch.tensor([prompt]), max_new_tokens=5, do_sample=False, pad_token_id=0)
        assert made[0, len(prompt) :].tolist() == transcript


def test_nan_keeps_no_limit() -> None:
    torch.manual_seed(0)
    logits = [torch.randn(3, 50) for _ in range(4)]
    assert beyond(compare_logits(logits, logits), Limits(1e-4)) == []
    assert len(beyond(compare_logits(logits, [torch.full_like(table, float("nan")) for table in logits]), Limits(1e-4))) >= 3


def test_tie_that_rounding_decides_is_agreement_and_a_change_of_mind_is_not() -> None:
    said, tied, changed = (torch.tensor([[first, 1.0, 0.0]]) for first in (1.01, 0.99, 0.0))
    assert (compare_logits([said], [tied]).argmax_agreement, compare_logits([said], [tied]).argmax_agreement_but_ties) == (0, 1)
    assert compare_logits([said * 50], [changed]).argmax_agreement_but_ties == 0


def test_infinite_weight_is_named(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.model.layers[1].mlp.up_proj.weight.data[0, 0] = float("inf")
    with pytest.raises(UserError, match=r"layers\.1\.mlp\.up_proj\.weight"):
        check_finite(model)


def test_untied_table_is_refused(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight + 1)
    with pytest.raises(UserError, match="rows that differ"):
        check_tied(model)
