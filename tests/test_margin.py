"""First-token margins: against the model's own probabilities, where they are taken, and how they are summed up."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from data.wire import read_ids
from eval.case import Case, ExpectedCall
from eval.generate import requests_of
from eval.margin import code_ids, decision_prompt, margins
from eval.separation import auc, separation, separation_table, spread

TOOL = {"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object", "properties": {}}}}


def case(name: str, calls: bool = True) -> Case:
    expected = (ExpectedCall("f", {}),) if calls else ()
    return Case(name, "native", "call" if calls else "unserved", [{"role": "user", "content": f"go {name}"}], [TOOL], expected, 32)


def small_model(vocabulary: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=vocabulary, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)
    return LlamaForCausalLM(config).double().eval()


@torch.no_grad()
def test_margins_are_the_models_own_probabilities(any_family: PreTrainedTokenizerBase) -> None:
    if len(any_family) > 1000:
        pytest.skip("a toy vocabulary is enough here")
    wire, model = read_ids(any_family), small_model(len(any_family))
    requests = requests_of([case("a" * length) for length in (3, 40, 9, 21, 2)], any_family, wire)
    found = margins(model, requests, wire, any_family, batch_size=2)
    for request in requests:
        prompt = decision_prompt(request, any_family, wire)
        row = model(input_ids=torch.tensor([prompt])).logits[0, -1].log_softmax(dim=-1)
        others = torch.cat([row[: wire.call_open], row[wire.call_open + 1 :]])
        margin = found[request.key.case_id]
        assert margin.margin == pytest.approx(float(row[wire.call_open] - others.max()), abs=1e-5)
        assert margin.call == pytest.approx(float(row[wire.call_open]), abs=1e-5)


def test_a_code_opener_is_a_rival_of_its_own(smollm3: PreTrainedTokenizerBase) -> None:
    texts = {smollm3.decode([token]).strip() for token in code_ids(smollm3)}
    if len(smollm3) > 1000:
        assert {"```", "def", "import", "from", "#include"} <= texts
    assert not texts & {"Sure", "I", "", "The", "`", "a"}


def test_without_thinking_the_decision_is_after_the_prompt(any_family: PreTrainedTokenizerBase) -> None:
    (request,) = requests_of([case("a")], any_family, read_ids(any_family), enable_thinking=False)
    assert decision_prompt(request, any_family, read_ids(any_family)) == request.prompt


def test_with_thinking_the_decision_is_after_an_empty_block(thinker: PreTrainedTokenizerBase) -> None:
    wire = read_ids(thinker)
    (plain,) = requests_of([case("a")], thinker, wire, enable_thinking=False)
    (thinking,) = requests_of([case("a")], thinker, wire, enable_thinking=True)
    found = decision_prompt(thinking, thinker, wire)
    assert found[: len(thinking.prompt)] == thinking.prompt
    tail = found[len(thinking.prompt) :]
    assert tail == plain.prompt[-len(tail) :]
    assert wire.think_close in tail
    begun = decision_prompt(type(thinking)(**{**vars(thinking), "prompt": [*thinking.prompt, wire.think_open, 5]}), thinker, wire)
    assert begun == found, "a think block that the prompt opened is replaced, not nested"


def test_auc_counts_pairs() -> None:
    assert auc([3.0, 1.0], [0.0, 2.0]) == 0.75
    assert auc([1.0], [1.0]) == 0.5
    assert auc([], [1.0]) is None


def test_separation_by_slice() -> None:
    cases = [case("a"), case("b"), case("c", calls=False)]
    found = separation(cases, {"a": 2.0, "b": -1.0, "c": -3.0})
    assert list(found) == ["all", "native/call", "native/unserved"]
    assert found["all"]["auc"] == 1
    assert (found["all"]["call"]["mean"], found["all"]["call"]["positive"]) == (0.5, 0.5)
    assert found["native/call"]["silent"] is None
    assert found["native/unserved"]["auc"] is None
    assert separation_table(found).row_count == 4
    assert spread([]) is None
