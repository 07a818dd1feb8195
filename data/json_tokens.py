"""Tokens of their own for what JSON spells otherwise than the text that a call copies: brackets, escapes, escaped twins.

A byte-pair vocabulary joins an escape's backslash with what stands before it: a line that ends in `,` becomes `,\\` and `n`, so that a
model that copies a file must know for each ending what it becomes. It joins brackets with each other and with quotation marks: settings
that are read one bracket a line must be written as `"}}` and `}}}`, however many there are. And it joins quotation marks with their
neighbours where they are read, but not where they are escaped. So brackets and backslashes are tokens of their own, and each other token
with a quotation mark has an escaped twin: a copy is written in the tokens that it was read in, or in their twins. What is left are line
breaks, which are read with the indentation after them and written as `\\n` and that, and a few quotation marks that are escaped already.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from transformers import AddedToken, PreTrainedTokenizerBase

from data.wire import BRACKETS, ESCAPES, single_id

Start = dict[int, float]  # where an added row starts: a sum of other rows, coefficient by id
BACKSLASH, QUOTE, ESCAPED_QUOTE = "\\", '"', r"\""


def mean_of(ids: list[int]) -> Start:
    """The mean row of the tokens that spelled a text before."""
    return {id_: count / len(ids) for id_, count in Counter(ids).items()}


def escaped(text: str) -> str:
    """How a JSON string spells it."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def add_json_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, Start]:
    """Add brackets, the backslash, escapes and escaped twins as non-special tokens that nothing else is joined with.

    One that the vocabulary holds keeps its id. Returns where the row of each other one starts, in an order in which each row that is
    referred to stands before.
    """
    spelled = {text: tokenizer.encode(text, add_special_tokens=False) for text in (*BRACKETS, BACKSLASH, ESCAPED_QUOTE)}
    starts = set_apart(tokenizer, {text: mean_of(ids) for text, ids in spelled.items()})
    starts |= set_apart(tokenizer, twins(tokenizer, ESCAPES.values()))
    return starts | set_apart(tokenizer, twins(tokenizer, joined(tokenizer)))


def set_apart(tokenizer: PreTrainedTokenizerBase, starts: dict[str, Start]) -> dict[str, Start]:
    """Make each text a token of its own; returns those that the vocabulary did not hold."""
    held = tokenizer.get_vocab()
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in starts])
    return {text: start for text, start in starts.items() if text not in held}


def twins(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> dict[str, Start]:
    """Escaped spelling of each text that is one token → its row and the way from a quotation mark to its escape, which base models know.

    So all twins start the same way from what they stand for, and a model that has learnt to go it for one goes it for others.
    """
    quote, escape = single_id(tokenizer, QUOTE), single_id(tokenizer, ESCAPED_QUOTE)
    found: dict[str, Start] = {}
    for text in texts:
        id_ = single_id(tokenizer, text)
        if id_ is not None and quote is not None and escape is not None:
            start = Counter({id_: 1.0})
            start.update({escape: 1.0})
            start.subtract({quote: 1.0})
            found[escaped(text)] = {row: value for row, value in start.items() if value}
    return found


def joined(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Texts of the vocabulary, by id, that are escapes or hold a quotation mark, as they are read alone."""
    texts = tokenizer.batch_decode([[id_] for id_ in range(len(tokenizer))])
    return [text for id_, text in enumerate(texts) if has_twin(text) and single_id(tokenizer, text) == id_]


def has_twin(text: str) -> bool:
    """Whether a token of this text is read in files and not written in JSON strings; none with a bracket or backslash is read."""
    return text in ESCAPES or (QUOTE in text and not set(text) & set("{}[]\\\n\r\t"))
