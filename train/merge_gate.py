"""The merge gate: what a merged model says at decision tokens and in greedy transcripts, against what the unmerged one said.

The unmerged model decodes greedily and leaves its logits; then it can be freed. The merged model reads the same ids in one pass: its own
greedy transcript is the same if, and as far as, its most likely id is the next one everywhere. Only one of the two is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from peft.tuners.trainable_tokens.layer import TrainableTokensLayer
from transformers import DynamicCache

from data.errors import UserError
from data.sequences import shared_length
from eval.backends.decode import Decoder
from train.gate_prompts import Prompts

# bfloat16 keeps 8 bits of mantissa: a merged weight is off by up to 2^-9 of itself, and logits of size 20 by some tenths.
KL_LIMIT = {"bfloat16": 0.05, "float16": 0.01, "float32": 1e-4}
TIE = 0.1  # nats: another choice that the unmerged model finds less likely by no more than this is a tie that rounding decides


@dataclass(frozen=True)
class Limits:
    """What is refused: more mean divergence than this, in nats, or less agreement, ties apart."""

    mean_kl: float
    argmax_agreement: float = 0.87
    token_agreement: float = 0.95


@dataclass(frozen=True)
class Reference:
    """What the unmerged model said after each prompt: its greedy ids, and the logits (ids, vocabulary) that chose them, float32."""

    prompts: list[list[int]]
    transcripts: list[list[int]]
    logits: list[torch.Tensor]


@dataclass(frozen=True)
class Comparison:
    """Merged against unmerged. The first five fields are about the decision token of each prompt, the others about whole transcripts.

    KL divergence is in nats, from the unmerged distribution. `token_agreement` is the share of the transcripts' ids that both models
    choose, `identical_transcripts` counts those that are the same to the end. The fields that end in `but_ties` count ties as agreement.
    """

    prompts: int
    mean_kl: float
    max_kl: float
    argmax_agreement: float
    max_abs_logit_difference: float
    transcript_tokens: int
    transcript_mean_kl: float
    token_agreement: float
    identical_transcripts: int
    argmax_agreement_but_ties: float
    token_agreement_but_ties: float


@dataclass(frozen=True)
class Batch:
    """Rows of ids that begin alike: what they share is read once. Padding stands behind the shared part, so that all rows end together."""

    ids: torch.Tensor  # (rows, longest)
    mask: torch.Tensor  # (rows, longest), 0 at padding
    cache: DynamicCache  # holds all but the last ids of each row

    @classmethod
    def read(cls, model: Any, rows: list[list[int]], pad_id: int, own: int = 1) -> Batch:
        """Let the model read the rows but for their last `own` ids, whose logits are wanted, in parts of like length."""
        shared = max(0, min(shared_length(rows), min(map(len, rows)) - own - 1))
        longest = max(map(len, rows))
        gaps = [longest - len(row) for row in rows]
        padded = [row[:shared] + [pad_id] * gap + row[shared:] for row, gap in zip(rows, gaps, strict=True)]
        masks = [[1] * shared + [0] * gap + [1] * (longest - shared - gap) for gap in gaps]
        ids, mask = torch.tensor(padded, device=model.device), torch.tensor(masks, device=model.device)
        decoder = Decoder(model, pad_id, stop_id=pad_id)
        _, cache = decoder.prefill(ids[:, :-own], mask[:, :-own], positions_of(mask)[:, :-own], shared)
        return cls(ids, mask, cache)

    def last_logits(self, model: Any, count: int) -> torch.Tensor:
        """Logits after the last `count` ids of each row: (rows, count, vocabulary)."""
        return model(
            input_ids=self.ids[:, -count:], attention_mask=self.mask, position_ids=positions_of(self.mask)[:, -count:],
            past_key_values=self.cache, use_cache=True, logits_to_keep=count,
        ).logits  # fmt: skip


def positions_of(mask: torch.Tensor) -> torch.Tensor:
    """The position of each id of `mask` (rows, longest) in its row; 0 at padding before the first."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


@torch.inference_mode()
def reference(model: Any, prompts: list[list[int]], pad_id: int, new_tokens: int) -> Reference:
    """Decode greedily after `prompts`, all in one batch, at most `new_tokens` ids each; the prompts are kept in order of length."""
    prompts = sorted(prompts, key=len)
    options = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "pad_token_id": pad_id}
    with rows_laid_in_once(model):
        batch = Batch.read(model, prompts, pad_id)
        made = model.generate(
            input_ids=batch.ids, attention_mask=batch.mask, past_key_values=batch.cache, max_new_tokens=new_tokens,
            output_logits=True, return_dict_in_generate=True, **options,
        )  # fmt: skip
    stop = model.generation_config.eos_token_id
    stops = {stop} if isinstance(stop, int) else set(stop or ())
    transcripts = [until(row, stops) for row in made.sequences[:, batch.ids.shape[1] :].tolist()]
    logits = torch.stack(made.logits, dim=1).float().cpu()
    return Reference(prompts, transcripts, [table[: len(row)] for table, row in zip(logits, transcripts, strict=True)])


@contextmanager
def rows_laid_in_once(model: torch.nn.Module) -> Iterator[None]:
    """PEFT lays trained rows into a copy of the whole table for every token; inside, each table is made once."""
    layers = [layer for layer in model.modules() if isinstance(layer, TrainableTokensLayer) and not layer.merged]
    for layer in layers:
        table = layer.get_merged_weights(layer.active_adapters)
        layer.get_merged_weights = partial(_given, table)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.get_merged_weights


def _given(table: torch.Tensor, active_adapters: Sequence[str]) -> torch.Tensor:
    return table


def until(ids: list[int], stops: set[int]) -> list[int]:
    """`ids` up to and including the first of `stops`."""
    end = next((index + 1 for index, token in enumerate(ids) if token in stops), len(ids))
    return ids[:end]


@torch.inference_mode()
def compare(model: Any, said: Reference) -> Comparison:
    """Let the merged `model` read each prompt with its transcript, and compare its logits with those of the unmerged model."""
    rows = [prompt + transcript[:-1] for prompt, transcript in zip(said.prompts, said.transcripts, strict=True)]
    count = max(map(len, said.transcripts))
    logits = Batch.read(model, rows, pad_id=0, own=count).last_logits(model, count).float().cpu()
    return compare_logits(said.logits, [table[-len(row) :] for table, row in zip(logits, said.transcripts, strict=True)])


def compare_logits(unmerged: list[torch.Tensor], merged: list[torch.Tensor]) -> Comparison:
    """Compare two lists of tables (ids, vocabulary), one for each prompt; row 0 of each is the decision token."""
    divergences = [divergence(left, right) for left, right in zip(unmerged, merged, strict=True)]
    losses = [loss_of_choice(left, right) for left, right in zip(unmerged, merged, strict=True)]
    same, tied = [loss == 0 for loss in losses], [loss <= TIE for loss in losses]
    decisions = torch.stack([rows[0] for rows in divergences])
    difference = torch.stack([(left[0] - right[0]).abs().max() for left, right in zip(unmerged, merged, strict=True)])
    return Comparison(
        prompts=len(unmerged),
        mean_kl=float(decisions.mean()),
        max_kl=float(decisions.max()),
        argmax_agreement=float(torch.stack([rows[0] for rows in same]).float().mean()),
        max_abs_logit_difference=float(difference.max()),
        transcript_tokens=sum(map(len, same)),
        transcript_mean_kl=float(torch.cat(divergences).mean()),
        token_agreement=float(torch.cat(same).float().mean()),
        identical_transcripts=sum(bool(rows.all()) for rows in same),
        argmax_agreement_but_ties=float(torch.stack([rows[0] for rows in tied]).float().mean()),
        token_agreement_but_ties=float(torch.cat(tied).float().mean()),
    )


def divergence(unmerged: torch.Tensor, merged: torch.Tensor) -> torch.Tensor:
    """KL(unmerged ‖ merged) of each row of two tables of logits (n, vocabulary): n values in nats."""
    left, right = unmerged.log_softmax(-1), merged.log_softmax(-1)
    return (left.exp() * (left - right)).sum(-1)


def loss_of_choice(unmerged: torch.Tensor, merged: torch.Tensor) -> torch.Tensor:
    """How much less likely than its own choice, in nats, the unmerged model finds the merged one's: n values, 0 where they agree."""
    chosen = unmerged.gather(-1, merged.argmax(-1, keepdim=True))
    return unmerged.max(-1).values - chosen[:, 0]


def beyond(found: Comparison, limits: Limits) -> list[str]:
    """The limits that `found` does not keep; NaN keeps none."""
    kept = {
        f"mean KL {found.mean_kl:.3g} at decision tokens, limit {limits.mean_kl:g}": found.mean_kl <= limits.mean_kl,
        f"mean KL {found.transcript_mean_kl:.3g} in transcripts, limit {limits.mean_kl:g}": found.transcript_mean_kl <= limits.mean_kl,
        f"argmax agreement {found.argmax_agreement_but_ties:.3f} at decision tokens, at least {limits.argmax_agreement:g}": (
            found.argmax_agreement_but_ties >= limits.argmax_agreement
        ),
        f"agreement {found.token_agreement_but_ties:.3f} in greedy transcripts, at least {limits.token_agreement:g}": (
            found.token_agreement_but_ties >= limits.token_agreement
        ),
    }
    return [words for words, holds in kept.items() if not holds]


def refuse(place: str, found: Comparison, limits: Limits) -> None:
    """Raise a `UserError` when a limit is not kept."""
    if broken := beyond(found, limits):
        raise UserError(
            place,
            "merged and unmerged model disagree: " + "; ".join(broken),
            "a merge that changes nothing but rounding",
            "nothing was kept; try --dtype float32, or a limit of your own (--max-kl, --min-agreement, --min-token-agreement)",
        )


def gate_record(found: Comparison, limits: Limits, prompts: Prompts, dtype: str) -> dict[str, Any]:
    """What the manifest keeps of the gate beside the comparison: limits, prompts, and the dtype in which both models computed."""
    return {"limits": asdict(limits), "prompts": prompts.source, "computed_in": dtype, "kept": not beyond(found, limits)}
