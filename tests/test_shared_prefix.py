"""Trees of transcripts that begin alike: what is trained is what each transcript would train alone."""

from __future__ import annotations

import itertools

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, SmolLM3Config, SmolLM3ForCausalLM

from data.render import Rendered
from train import shared_prefix
from train.shared_prefix import IGNORED, Tree, collate, register, trees

PREFIX = [1, 2, 3, 4, 5]
BRANCHES = ([6, 7, 8, 9], [6, 10, 11], [12, 7, 13, 14, 15, 16])


def rows() -> list[Rendered]:
    """The last two ids of each are supervised."""
    return [Rendered(PREFIX + own, [0] * (len(PREFIX) + len(own) - 2) + [1, 1]) for own in BRANCHES]


def model(kind: str) -> torch.nn.Module:
    sizes = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4}
    torch.manual_seed(0)
    if kind == "smollm3":  # one layer in four has no positions
        config = SmolLM3Config(**sizes, num_key_value_heads=2, pad_token_id=0, bos_token_id=0, eos_token_id=0)
        return SmolLM3ForCausalLM(config).train()
    return LlamaForCausalLM(LlamaConfig(**sizes, num_key_value_heads=2)).train()


def gradients(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    found = {name: weight.grad.clone() for name, weight in module.named_parameters() if weight.grad is not None}
    module.zero_grad()
    return found


def batch(found: list[Tree]) -> dict[str, torch.Tensor]:
    return collate([tree._asdict() for tree in found])


def test_rows_that_begin_alike_share_their_beginning() -> None:
    (tree,) = trees([("a", row) for row in rows()], 100)
    assert tree.seq_lengths == [5, 4, 3, 6]
    assert tree.input_ids == [*PREFIX, *itertools.chain(*BRANCHES)]
    assert tree.labels == [*[IGNORED] * 7, 8, 9, IGNORED, 10, 11, *[IGNORED] * 4, 15, 16]


def test_a_row_alone_has_no_prefix() -> None:
    found = trees([("a", rows()[0]), ("b", rows()[1])], 100)
    assert [tree.seq_lengths for tree in found] == [[0, 9], [0, 8]]


def test_the_id_before_a_supervised_one_is_never_shared() -> None:
    """Its logits are scored, and the row before it in the tree is another branch's."""
    same = [Rendered([1, 2, 3, end], [0, 0, 0, 1]) for end in (4, 5)]
    (tree,) = trees([("a", row) for row in same], 100)
    assert tree.seq_lengths == [2, 2, 2]


def test_a_tree_is_cut_between_branches() -> None:
    found = trees([("a", row) for row in rows()], 12)
    assert [tree.seq_lengths for tree in found] == [[5, 4, 3], [5, 6]]


def test_positions_go_on_from_the_prefix() -> None:
    made = batch(trees([("a", rows()[0]), ("a", rows()[1]), ("b", rows()[2])], 100))
    assert made["position_ids"].tolist() == [[*range(5), *range(5, 9), *range(5, 8), *range(11), *range(41)]]
    assert made["spans"].tolist() == [[0, 0, 0, 0], [0, 5, 0, 0], [5, 9, 0, 5], [9, 12, 0, 5], [12, 23, 12, 12], [23, 64, 23, 23]]
    assert all(made[name].shape == (1, 64) for name in ("input_ids", "labels", "position_ids"))
    assert set(made["labels"][0, 23:].tolist()) == {IGNORED}


def test_blocks_are_neighbours_over_one_prefix_or_a_part_of_one_span(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_prefix, "QUERIES", 6)
    spans = torch.tensor([[0, 0, 0, 0], [0, 8, 0, 0], [8, 11, 0, 8], [11, 14, 0, 8], [14, 16, 0, 8], [16, 19, 16, 16]])
    found = [(block.start, block.begin, block.end) for block in shared_prefix.blocks(spans)]
    assert found == [(0, 0, 6), (0, 6, 8), (8, 8, 14), (14, 14, 16), (16, 16, 19)]
    seen = shared_prefix.visible(spans, 19)
    for block in shared_prefix.blocks(spans):
        size = (block.end - block.begin, block.end - block.start)
        assert torch.equal(~block.hidden[: size[0], : size[1]], seen[block.begin : block.end, block.start : block.end])
        assert block.hidden[: size[0], size[1] :].all()


@pytest.mark.parametrize("kind", ["llama", "smollm3"])
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(("blockwise", "queries"), [(False, 256), (True, 256), (True, 8), (True, 4)])
def test_loss_and_gradients_are_those_of_the_transcripts_alone(
    kind: str, alone: bool, blockwise: bool, queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_prefix, "BLOCKWISE", {"cpu"} if blockwise else set())
    monkeypatch.setattr(shared_prefix, "QUERIES", queries)
    network = model(kind)
    examples = [("same", row) for row in rows()] + [("other", Rendered([20, 21, 22, 23], [0, 0, 1, 1]))]
    found = trees([(str(at), row) for at, (_, row) in enumerate(examples)] if alone else examples, 100)

    expected = torch.zeros(())
    for _, row in examples:
        labels = [token if mask else IGNORED for token, mask in zip(*row, strict=True)]
        expected = expected + network(input_ids=torch.tensor([row.input_ids]), labels=torch.tensor([labels])).loss * row.supervised
    expected.backward()
    separate = gradients(network)

    network.set_attn_implementation(register())
    made = batch(found)
    loss = network(**made).loss * int((made["labels"] != IGNORED).sum())
    loss.backward()
    together = gradients(network)

    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert separate.keys() == together.keys()
    for name, gradient in separate.items():
        assert torch.allclose(gradient, together[name], atol=1e-5), name


def test_without_spans_it_is_ordinary_attention() -> None:
    network = model("llama").eval()
    ids, mask = torch.tensor([[0, 0, 3, 4], [5, 6, 7, 8]]), torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    expected = network(input_ids=ids, attention_mask=mask).logits
    network.set_attn_implementation(register())
    assert torch.allclose(network(input_ids=ids, attention_mask=mask).logits[:, 2:], expected[:, 2:], atol=1e-5)
