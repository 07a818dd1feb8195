"""Train on many requests over one list of tools for the price of reading the list once.

Transcripts that begin with the same ids, a system turn with its tools, are laid into one row: the shared prefix, then each transcript's
own ids as a branch. A branch sees the prefix and itself, and counts its positions from the prefix, so that every supervised token has
the logits that it has when its transcript is trained alone (`tests/test_shared_prefix.py`). Prefix trees are also known from tree
attention in speculative decoding (SpecInfer, https://arxiv.org/abs/2305.09781); these have two levels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from data.render import Rendered
from data.sequences import shared_length

NAME = "shared_prefix"  # of the attention implementation
IGNORED = -100


class Tree(NamedTuple):
    """One row: `input_ids` and `labels` (n,), and `seq_lengths`, the length of the prefix, which may be 0, and of each branch."""

    input_ids: list[int]
    labels: list[int]
    seq_lengths: list[int]


def trees(rows: Iterable[tuple[str, Rendered]], max_length: int) -> list[Tree]:
    """One or more trees for the rows of each key, in order of first appearance; each of at most `max_length` ids or of one branch.

    A row with a key of its own is a tree without prefix.
    """
    groups: dict[str, list[Rendered]] = defaultdict(list)
    for key, row in rows:
        groups[key].append(row)
    return [tree for group in groups.values() for tree in _trees(group, max_length)]


def _trees(rows: list[Rendered], max_length: int) -> Iterator[Tree]:
    prefix = _prefix_length(rows)
    part: list[Rendered] = []
    size = prefix
    for row in rows:
        own = len(row.input_ids) - prefix
        if part and size + own > max_length:
            yield _tree(part, prefix)
            part, size = [], prefix
        part.append(row)
        size += own
    yield _tree(part, prefix)


def _prefix_length(rows: Sequence[Rendered]) -> int:
    """Ids that all rows begin with, short of the last one before any supervised id: that one's logits are each branch's own."""
    if len(rows) == 1:
        return 0
    first_supervised = min(row.assistant_masks.index(1) for row in rows)
    return min(shared_length([row.input_ids for row in rows]), first_supervised - 1)


def _tree(rows: list[Rendered], prefix: int) -> Tree:
    ids, labels = rows[0].input_ids[:prefix], [IGNORED] * prefix
    for row in rows:
        ids = ids + row.input_ids[prefix:]
        supervised = zip(row.input_ids[prefix:], row.assistant_masks[prefix:], strict=True)
        labels = labels + [token if mask else IGNORED for token, mask in supervised]
    return Tree(ids, labels, [prefix, *(len(row.input_ids) - prefix for row in rows)])


def collate(examples: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Trees end to end in one row: `input_ids`, `labels`, `position_ids` of shape (1, n) and `spans` (m, 4).

    A span is a prefix or a branch: where it begins and ends, and where the prefix that it sees begins and ends. The first is empty, since
    torch.compile makes code of its own for a dimension of 1.
    """
    ids, labels, positions, spans = [], [], [], [[0, 0, 0, 0]]
    for example in examples:
        start = len(ids)
        ids += example["input_ids"]
        labels += example["labels"]
        prefix, *branches = example["seq_lengths"]
        positions += range(prefix)
        if prefix:
            spans.append([start, start + prefix, start, start])
        for end, length in zip(accumulate(branches, initial=start + prefix), [*branches, 0], strict=True):
            if length:
                positions += range(prefix, prefix + length)
                spans.append([end, end + length, start, start + prefix])
    row = {"input_ids": ids, "labels": labels, "position_ids": positions}
    return {**{name: torch.tensor([values]) for name, values in row.items()}, "spans": torch.tensor(spans)}


@torch.compiler.disable
def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    spans: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within `spans` (see `collate`), or that of `sdpa` where there are none, as when the model generates.

    `query` (1, heads, n, size), `key` and `value` (1, key heads, n, size); returns (1, n, heads, size).
    """
    if spans is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    query = query * (scaling if scaling is not None else query.shape[-1] ** -0.5)
    parts = []
    for start, end, first, last in spans.tolist():
        own = query[0, :, start:end]
        if start == end:
            continue
        if first == last:
            parts.append(_causal(own, key[0, :, start:end], value[0, :, start:end]))
        else:
            keys = torch.cat([key[0, :, first:last], key[0, :, start:end]], dim=1)
            values = torch.cat([value[0, :, first:last], value[0, :, start:end]], dim=1)
            parts.append(_branch(own, keys, values))
    return torch.cat(parts, dim=1).transpose(0, 1)[None].contiguous(), None


def _causal(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Of (heads, n, size), scaled before; (heads, n, size)."""
    repeats = query.shape[0] // key.shape[0]
    key, value = (states.repeat_interleave(repeats, dim=0)[None] for states in (key, value))
    return scaled_dot_product_attention(query[None], key, value, is_causal=True, scale=1.0)[0]


def _branch(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Queries (heads, n, size) over keys (key heads, prefix + n, size): the heads that share keys are read as rows of one product."""
    heads, length, size = query.shape
    key_heads, total, _ = key.shape
    scores = torch.bmm(query.reshape(key_heads, -1, size), key.transpose(1, 2)).view(heads, length, total)
    later = torch.ones(length, length, dtype=torch.bool, device=query.device).triu(1)
    scores[..., total - length :].masked_fill_(later, -torch.inf)
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype)
    return torch.bmm(weights.view(key_heads, -1, total), value).view(heads, length, size)


def register() -> str:
    """Make the implementation known to transformers; returns its name for `attn_implementation`."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME
