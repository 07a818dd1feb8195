"""A small real tokenizer, built in memory: byte-level BPE with the wire tokens and our template."""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from data.tokenizer import attach_template, family_of, template_path
from data.wire import HERMES

# White-space merges, as every real vocabulary has them: text that starts with a line break would fuse with the header's own.
MERGES = [("Ċ", "Ċ"), ("Ċ", "Ġ"), ("Ġ", "Ġ"), ("t", "h"), ("th", "e")]


def toy_tokenizer(thinking: bool = True, calls: bool = True) -> PreTrainedTokenizerFast:
    """A tokenizer with `data.wire.HERMES` as single ids.

    `thinking` adds the think tokens, which makes it SmolLM3's sibling; without `calls` it lacks the tokens of calls and results.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate([*alphabet, *(left + right for left, right in MERGES)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in (HERMES.turn_open, HERMES.turn_close)])
    plain = [HERMES.call_open, HERMES.call_close, HERMES.result_open, HERMES.result_close] if calls else []
    plain += [HERMES.think_open, HERMES.think_close] if thinking else []
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in plain])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=HERMES.turn_close, pad_token=HERMES.turn_close)
    fast.name_or_path = "toy-smollm3" if thinking else "toy-smollm2"
    attach_template(fast, template_path(family_of(fast)))
    return fast
