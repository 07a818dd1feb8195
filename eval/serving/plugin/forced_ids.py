"""Makes a vLLM server's model say given ids: `--logits-processors forced_ids:ForcedIds`, then `"vllm_xargs": {"forced_ids": [...]}`.

What a parser does to a completion is then seen over HTTP, without a model that happens to emit it. A request without the field is
served as usual.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from vllm.v1.sample.logits_processor import AdapterLogitsProcessor


def force(ids: list[int], said: list[int], logits: Any) -> Any:
    """Only the next of `ids` stays possible. `said` tells by its length alone: its last entries may be placeholders yet."""
    if len(said) < len(ids):
        logits.fill_(float("-inf"))
        logits[ids[len(said)]] = 0.0
    return logits


class ForcedIds(AdapterLogitsProcessor):
    """One `force` for each request that names its ids."""

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: Any) -> Any:
        ids = [int(token) for token in (params.extra_args or {}).get("forced_ids", ())]
        return partial(force, ids) if ids else None
