"""Which of our templates a tokenizer gets: by the chat template that it came with, and its tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from data.tokenizer import FAMILIES, TEMPLATES, TemplateError, family_of, matching, template_path
from tests.toy import TOKENS, bare_tokenizer, toy_tokenizer

FOUND = Path(__file__).parents[2] / "shared" / "templates"
# Templates found elsewhere that ours replace; every other file there belongs to no family
OURS = {
    "smollm3/stock.jinja": "smollm3",
    "smollm3/alignment_handbook_sft.jinja": "smollm3",
    "llamacpp/HuggingFaceTB-SmolLM3-3B.jinja": "smollm3",
    "llamacpp/Qwen-Qwen2.5-7B-Instruct.jinja": "qwen2_5",
    "lenml/qwen2_5.jinja": "qwen2_5",
    "trl/qwen2_5.jinja": "qwen2_5",
    "trl/qwen2_5_training.jinja": "qwen2_5",
    "llamacpp/Qwen-Qwen3-0.6B.jinja": "qwen3",
    "lenml/qwen3.jinja": "qwen3",
    "trl/qwen3.jinja": "qwen3",
    "trl/qwen3_training.jinja": "qwen3",
    "vllm_rust_tests/qwen3.jinja": "qwen3",
    "llamacpp/Qwen3-Coder.jinja": "qwen3_coder",
    "vllm_examples/tool_chat_template_qwen3coder.jinja": "qwen3_coder",
}


@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_upstream_and_ours_bear_one_signature(family: str) -> None:
    for file in ("upstream.jinja", "chat_template.jinja"):
        assert [found.name for found in matching((TEMPLATES / family / file).read_text())] == [family]


@pytest.mark.parametrize("family", sorted(TOKENS))
def test_saved_tokenizer_is_known_again(family: str, tmp_path: Path) -> None:
    tokenizer = toy_tokenizer(family=family)
    assert tokenizer.chat_template == template_path(family).read_text()
    tokenizer.save_pretrained(tmp_path)
    assert family_of(AutoTokenizer.from_pretrained(tmp_path)) == family


def test_families_are_the_folders() -> None:
    assert {family.name for family in FAMILIES} == {path.name for path in TEMPLATES.iterdir() if path.is_dir()}


@pytest.mark.parametrize("template", [None, "", "{{ messages }}", "<|im_start|><tool_call>"])
def test_unknown_template_is_an_error(template: str | None) -> None:
    with pytest.raises(TemplateError, match=r"some/model: its chat template .*qwen3_coder\nremedy: --template"):
        family_of(bare_tokenizer("some/model", TOKENS["qwen3"], template))


def test_template_without_its_tokens_is_an_error() -> None:
    upstream = (TEMPLATES / "qwen3" / "upstream.jinja").read_text()
    with pytest.raises(TemplateError, match="has the chat template of qwen3, but not its tokens <think> </think>"):
        family_of(bare_tokenizer("some/model", TOKENS["qwen2_5"], upstream))


def test_templates_of_others_belong_to_no_family() -> None:
    if not FOUND.is_dir():
        pytest.skip(f"collected templates are not in {FOUND}")
    found = {str(path.relative_to(FOUND)): [family.name for family in matching(path.read_text())] for path in FOUND.rglob("*.jinja")}
    assert {path: names for path, names in found.items() if names} == {path: [name] for path, name in OURS.items()}
