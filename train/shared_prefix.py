"""Train on many requests over one list of tools for the price of reading the list once.

Transcripts that begin with the same ids, a system turn with its tools, are laid into one row: the shared prefix, then each transcript's
own ids as a branch. A branch sees the prefix and itself, and counts its positions from the prefix, so that every supervised token has
the logits that it has when its transcript is trained alone (`tests/test_shared_prefix.py`). Prefix trees are also known from tree
attention in speculative decoding (SpecInfer, https://arxiv.org/abs/2305.09781); these have two levels.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from data.render import Rendered
from data.sequences import shared_length

NAME = "shared_prefix"  # of the attention implementation
IGNORED = -100
QUERIES = 256  # in a block
MULTIPLE = 64  # ids, queries and keys of a product: oneDNN takes milliseconds to make its code for each new size
BLOCKWISE = {"cpu"}  # devices


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
    torch.compile makes code of its own for a dimension of 1; the last fills the row up to a multiple of `MULTIPLE` ids, unsupervised.
    """
    ids: list[int] = []
    labels: list[int] = []
    positions: list[int] = []
    spans = [[0, 0, 0, 0]]
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
    if filling := -len(ids) % MULTIPLE:
        spans.append([len(ids), len(ids) + filling, len(ids), len(ids)])
        ids, labels, positions = ids + [0] * filling, labels + [IGNORED] * filling, positions + list(range(filling))
    row = {"input_ids": ids, "labels": labels, "position_ids": positions}
    return {**{name: torch.tensor([values]) for name, values in row.items()}, "spans": torch.tensor(spans)}


class Block(NamedTuple):
    """Queries `begin` to `end` of one span, or of several over one prefix, and the keys that they are held against.

    Those are the prefix, `first` to `last`, and what follows `start`, up to the last query. `hidden` is a bool (rows, columns): which of
    the latter a query does not see. Both are filled up to few different sizes, see `MULTIPLE`.
    """

    first: int
    last: int
    start: int
    begin: int
    end: int
    hidden: torch.Tensor

    def asked(self, states: torch.Tensor, groups: int) -> torch.Tensor:
        """Of queries (heads, n, size) those of the block, with heads that share keys as rows of one product: (groups, rows, size)."""
        heads, _, size = states.shape
        found = states.new_zeros(heads, len(self.hidden), size)
        found[:, : self.end - self.begin] = states[:, self.begin : self.end]
        return found.view(groups, -1, size)

    def answered(self, found: torch.Tensor, heads: int) -> torch.Tensor:
        """The other way round: the rows of the block's queries, (heads, end - begin, size)."""
        return found.view(heads, len(self.hidden), -1)[:, : self.end - self.begin]

    def seen(self, states: torch.Tensor) -> torch.Tensor:
        """Of keys or values (groups, n, size) those of the block: (groups, columns, size)."""
        groups, _, size = states.shape
        prefix, own = self.last - self.first, self.end - self.start
        found = states.new_zeros(groups, prefix + self.hidden.shape[1], size)
        found[:, :prefix] = states[:, self.first : self.last]
        found[:, prefix : prefix + own] = states[:, self.start : self.end]
        return found

    def add(self, total: torch.Tensor, gradient: torch.Tensor) -> None:
        """Add the gradient of what `seen` returned to that of all."""
        prefix, own = self.last - self.first, self.end - self.start
        total[:, self.first : self.last] += gradient[:, :prefix]
        total[:, self.start : self.end] += gradient[:, prefix : prefix + own]


@functools.lru_cache(maxsize=1)
def blocks(spans: torch.Tensor) -> list[Block]:
    """Spans in blocks of at most `QUERIES` queries: a long one in several, short neighbours over one prefix in one.

    Of one row's spans, that is for all layers, made once.
    """
    found: list[Block] = []
    together: list[list[int]] = []
    for span in spans.tolist():
        start, end, *prefix = span
        if together and (together[0][2:] != prefix or end - together[0][0] > QUERIES):
            found.append(_block(together, together[0][0], together[-1][1]))
            together = []
        if end - start > QUERIES:
            found += [_block([span], begin, min(begin + QUERIES, end)) for begin in range(start, end, QUERIES)]
        elif end > start:
            together.append(span)
    return [*found, _block(together, together[0][0], together[-1][1])] if together else found


def _block(together: list[list[int]], begin: int, end: int) -> Block:
    start, _, first, last = together[0]
    prefix, rows = last - first, _filled(end - begin)
    hidden = torch.ones(rows, _filled(prefix + end - start) - prefix, dtype=torch.bool)
    for own, until, *_ in together:
        queries, keys = torch.arange(begin, end)[:, None], torch.arange(start, end)
        hidden[: end - begin, : end - start] &= ~((own <= keys) & (keys <= queries) & (queries < until))
    hidden[end - begin :, 0] = False  # no row without any key: its weights would not be numbers
    return Block(first, last, start, begin, end, hidden)


def _filled(size: int) -> int:
    return size + -size % MULTIPLE


class _Attention(torch.autograd.Function):
    """Attention block by block. Autograd alone would make a tensor of zeros as long as the row for the gradient of each slice.

    The attention weights are kept for the backward pass. Products and weights are in the dtype of autocast, where that is on; what is
    returned, and sums of gradients, in that of the inputs.
    """

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, found: list[Block]) -> torch.Tensor:
        (heads, total, size), groups = query.shape, len(key)
        output, weights = query.new_empty(total, heads, size).transpose(0, 1), []  # in memory as its caller wants it
        if torch.is_autocast_enabled("cpu"):
            query, key, value = (states.to(torch.get_autocast_dtype("cpu")) for states in (query, key, value))
        for block in found:
            scores = _product(block.asked(query, groups), block.seen(key).transpose(1, 2), scaling)
            by_head = scores.view(heads, len(block.hidden), -1)
            by_head[..., block.last - block.first :].masked_fill_(block.hidden, -torch.inf)
            weights.append(scores.softmax(dim=-1))
            output[:, block.begin : block.end] = block.answered(torch.bmm(weights[-1], block.seen(value)), heads)
        ctx.blocks, ctx.scaling, ctx.dtype = found, scaling, output.dtype
        ctx.save_for_backward(query, key, value, *weights)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None, None]:
        query, key, value, *weights = ctx.saved_tensors
        heads, groups = len(query), len(key)
        to_query, to_key, to_value = (torch.zeros_like(states, dtype=ctx.dtype) for states in (query, key, value))
        gradient = gradients[0].to(query.dtype)
        for block, weight in zip(ctx.blocks, weights, strict=True):
            rows, outer = (block.asked(states, groups) for states in (query, gradient))
            block.add(to_value, torch.bmm(weight.transpose(1, 2), outer))
            to_weight = torch.bmm(outer, block.seen(value).transpose(1, 2))
            to_score = torch._softmax_backward_data(to_weight, weight, -1, weight.dtype)
            to_query[:, block.begin : block.end] = block.answered(_product(to_score, block.seen(key), ctx.scaling), heads)
            block.add(to_key, _product(to_score.transpose(1, 2), rows, ctx.scaling))
        return to_query, to_key, to_value, None, None


def _product(left: torch.Tensor, right: torch.Tensor, scaling: float) -> torch.Tensor:
    """`left @ right * scaling` for batches of matrices."""
    return torch.baddbmm(left.new_empty(1, 1, 1), left, right, beta=0, alpha=scaling)


@functools.lru_cache(maxsize=1)
def visible(spans: torch.Tensor, length: int) -> torch.Tensor:
    """Which key, in the columns, each query sees: bool (length, length). Of one row's spans, that is for all layers, made once."""
    at = torch.arange(length, device=spans.device)
    start, end, first, last = spans.t()[:, :, None]
    own, prefix = (at >= start) & (at < end), (at >= first) & (at < last)
    return (own.float().t() @ (own | prefix).float()).bool() & (at[:, None] >= at)


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

    A CPU computes block by block what is seen; a GPU, to which many small products are dearer, one masked product.
    `query` (1, heads, n, size), `key` and `value` (1, key heads, n, size); returns (1, n, heads, size).
    """
    if spans is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    if query.device.type not in BLOCKWISE:
        mask = visible(spans, query.shape[2])[None, None]
        return sdpa_attention_forward(module, query, key, value, mask, dropout=dropout, scaling=scaling, **{**kwargs, "is_causal": False})
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    return _Attention.apply(query[0], key[0], value[0], scaling, blocks(spans)).transpose(0, 1)[None], None


def register() -> str:
    """Make the implementation known to transformers; returns its name for `attn_implementation`."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME
