"""Weights of supervised tokens in the loss: more for those that decide, and for those at which JSON goes wrong.

A mean over tokens is a mean over content that is copied from the request. Whether a call opens is one token of an answer, whether another
follows is one, and whether its JSON can be read depends on few: those after a bracket, a closing quote, a colon, a digit or a backslash. No
supervised token weighs nothing.

Inside a call a weight depends on the token before, never on the label itself. If `}` weighed twice as much as what else can follow a value,
a model that is unsure would write it above a chance of one third (Elkan 2001), and so one closing brace too many.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from train.shared_prefix import IGNORED

DECIDES = tuple('{}[]":\\0123456789')
LITERALS = frozenset(("true", "false", "null"))


def deciding(tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """After which tokens JSON can go on in several ways, those that end in `DECIDES` or are a literal: bool (vocabulary,).

    A quote after a space opens a string, and its text follows.
    """
    texts = [str(tokenizer.decode([token])) for token in range(len(tokenizer))]
    return torch.tensor([(text != ' "' and text.endswith(DECIDES)) or text.strip() in LITERALS for text in texts])


class TokenWeights:
    """The weight of each label: `decision` for the first of an answer and for one that follows `close_id`, then `text` before a call opens,
    and in a call `structure` for one that follows a `deciding` token, 1 for others.

    A first token that is `open_id` has `call` times `decision`. A model that is unsure then calls where its chance of being right is above
    1 / (1 + call): the share at which both mistakes cost as much (Elkan 2001, The Foundations of Cost-Sensitive Learning).
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        open_id: int,
        close_id: int,
        decision: float,
        call: float = 1.0,
        structure: float = 1.0,
        text: float = 1.0,
    ) -> None:
        self.open_id, self.text = open_id, text
        self.after_token = torch.where(deciding(tokenizer), structure, 1.0)
        self.after_token[close_id] = decision
        self.of_first = torch.where(torch.arange(len(tokenizer)) == open_id, decision * call, decision)

    def __call__(self, labels: torch.Tensor) -> torch.Tensor:
        """Weights of labels (rows, n), float32 of that shape; 0 where nothing is supervised."""
        supervised = labels != IGNORED
        first = supervised.clone()
        first[:, 1:] &= ~supervised[:, :-1]
        opens = labels == self.open_id
        calls = opens.cumsum(dim=1)  # up to here, in all answers; `before`: up to the start of this one
        before = torch.where(first, calls - opens.int(), 0).cummax(dim=1).values
        ids = labels.clamp(min=0)
        later = torch.where(calls > before, self.after_token.to(labels.device)[ids.roll(1, dims=1)], self.text)
        return torch.where(first, self.of_first.to(labels.device)[ids], later) * supervised

    def attach(self, model: torch.nn.Module) -> None:
        """In training, make the mean that TRL's fused head takes over tokens a weighted one; evaluation stays as it is."""
        model.register_forward_hook(self._weigh, with_kwargs=True)

    def _weigh(self, model: torch.nn.Module, inputs: Any, options: dict[str, Any], output: Any) -> Any:
        if model.training and options.get("fused_lm_head"):
            weights = self(options["labels"])[:, 1:]
            output.log_probs = output.log_probs * weights * (output.label_mask.sum() / weights.sum().clamp(min=1))
        return output
