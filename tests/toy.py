"""A small real tokenizer of each family, built in memory: byte-level BPE with the family's wire tokens and our template."""

from __future__ import annotations

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from data.tokenizer import TEMPLATES, add_json_tokens, attach_template, family_of, template_path
from data.wire import HERMES

# White-space merges, as every real vocabulary has them: text that starts with a line break would fuse with the header's own.
# Those of backslashes, as in SmolLM2's: an escape that is one token, and one whose backslash is joined with a comma before it.
MERGES = [("Ċ", "Ċ"), ("Ċ", "Ġ"), ("Ġ", "Ġ"), ("t", "h"), ("th", "e"), ("\\", '"'), (",", "\\")]
CALLS = [HERMES.call_open, HERMES.call_close]
RESULTS = [HERMES.result_open, HERMES.result_close]
REASONING = [HERMES.think_open, HERMES.think_close]
# What each family's tokenizer holds beside the turn tokens
TOKENS = {
    "smollm2": [*CALLS, *RESULTS],
    "smollm3": [*CALLS, *RESULTS, *REASONING],
    "qwen2_5": CALLS,
    "qwen3": [*CALLS, *RESULTS, *REASONING],
    "qwen3_coder": [*CALLS, *RESULTS, *REASONING],
}

# transformers' `tokenization_qwen2.py`: unlike GPT-2's, a run of line breaks is one piece whatever follows it
QWEN_PIECES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def toy_tokenizer(thinking: bool = True, calls: bool = True, family: str = "") -> PreTrainedTokenizerFast:
    """A tokenizer of `family`, by default of SmolLM3's or, without `thinking`, of SmolLM2's.

    Without `calls` it lacks the tokens of calls and results; SmolLM2's has those of escapes with them, as `train.base` adds them.
    It finds its template as a real one does, by what it came with.
    """
    family = family or ("smollm3" if thinking else "smollm2")
    tokens = [text for text in TOKENS[family] if calls or text in REASONING]
    bare = bare_tokenizer(f"toy-{family}", tokens, (TEMPLATES / family / "upstream.jinja").read_text())
    if family == "smollm2" and calls:
        add_json_tokens(bare)
    attach_template(bare, template_path(family_of(bare)))
    return bare


def bare_tokenizer(name: str, tokens: list[str], template: str | None) -> PreTrainedTokenizerFast:
    """The tokenizer as it came: turn tokens, `tokens`, and a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate([*alphabet, *(left + right for left, right in MERGES)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if "qwen" in name:
        split = pre_tokenizers.Split(Regex(QWEN_PIECES), behavior="isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in (HERMES.turn_open, HERMES.turn_close)])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in tokens])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=HERMES.turn_close, pad_token=HERMES.turn_close)
    fast.name_or_path = name
    fast.chat_template = template
    return fast
