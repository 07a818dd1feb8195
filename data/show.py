"""Look at what is trained: `python -m data.show outputs/data/quickstart -n 2`

Prints rendered examples with every supervised token in colour, and histograms of length and supervision.
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text
from transformers import PreTrainedTokenizerBase

from data.render import Rendered


def coloured(rendered: Rendered, tokenizer: PreTrainedTokenizerBase) -> Text:
    """The example as text: supervised runs bold green, everything else dim."""
    text = Text()
    position = 0
    for start, end in rendered.spans():
        text.append(tokenizer.decode(rendered.input_ids[position:start]), style="dim")
        text.append(tokenizer.decode(rendered.input_ids[start:end]), style="bold green")
        position = end
    text.append(tokenizer.decode(rendered.input_ids[position:]), style="dim")
    return text


def show_example(rendered: Rendered, tokenizer: PreTrainedTokenizerBase, console: Console) -> None:
    """One example between rules, with its counts."""
    console.rule("one example; bold green is inside the loss")
    console.print(coloured(rendered, tokenizer))
    console.rule(f"{len(rendered.input_ids)} tokens, {rendered.supervised} supervised")
