"""First-token margins: `python -m eval.margin --config configs/eval/quickstart.yaml --model outputs/base/smollm2-135m --out outputs/margin`

Whether a model calls a tool or writes prose or code is decided by its first token. The margin is log p of the id that opens a call minus
that of its best rival at this *decision token*, in nats: above 0 a greedy decoder calls. It moves long before the rate of calls does, and
costs one forward pass over the prompts, without generating. Leaves `margins.jsonl`, `margins.json` and `manifest.json`.

The decision token is the first after the generation prompt, whatever that prefills. Where the request thinks, and its prompt leaves the
reasoning to the model, the margin is taken after the empty think block that the template prefills when thinking is off: it says what the
model would do without thinking, and a thinking model may think better of it. Rivals are the best code opener and the best other id.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from data.errors import UserError, reported
from data.manifest import write_json, write_manifest
from data.render import prompt_ids
from data.tokenizer import load_tokenizer
from data.wire import WireIds, read_ids
from eval.backends.config import TransformersConfig
from eval.backends.local import TransformersBackend
from eval.backends.protocol import Request
from eval.backends.registry import open_backend
from eval.config import load_cases, load_config
from eval.generate import requests_of
from eval.separation import separation, separation_table

BATCH_SIZE = 8
CODE_OPENER = re.compile(
    r"\s*(?:`{2,}\w*|~~~|def|import|from|class|async|function|const|public|#!|#include|<\?php|@\w*|>>>|\$)\s*", re.ASCII
)  # a whole token that begins program text


@dataclass(frozen=True)
class Margin:
    """Natural logarithms of probabilities at the decision token of one case.

    `call` is the id that opens a call, `code` the best code opener (None for a vocabulary without any), `other` the best of all remaining
    ids; `margin` is `call` minus the better of the two, and `rival` the text of that one.
    """

    margin: float
    call: float
    code: float | None
    other: float
    rival: str


def code_ids(tokenizer: Any) -> list[int]:
    """Ids whose whole text opens program text, such as a fence or `import`."""
    texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
    return [token for token, text in enumerate(texts) if CODE_OPENER.fullmatch(text)]


def decision_prompt(request: Request, tokenizer: Any, wire: WireIds) -> list[int]:
    """The ids before the decision token: the request's prompt, with reasoning that is still to come replaced by an empty think block."""
    if wire.think_open is None or wire.think_close is None or not (request.enable_thinking or request.starts_in_reasoning):
        return request.prompt
    start = _turn_start(request.prompt, wire)
    if wire.think_close in request.prompt[start:]:
        return request.prompt
    head = request.prompt[: request.prompt.index(wire.think_open, start)] if wire.think_open in request.prompt[start:] else request.prompt
    plain = prompt_ids(request.messages, request.tools or None, tokenizer, enable_thinking=False)
    prefill = plain[_turn_start(plain, wire) :]
    return head + (prefill[prefill.index(wire.think_open) :] if wire.think_open in prefill else [wire.think_open, wire.think_close])


def _turn_start(prompt: list[int], wire: WireIds) -> int:
    return len(prompt) - prompt[::-1].index(wire.turn_open)


def margins(
    model: Any, requests: Sequence[Request], wire: WireIds, tokenizer: Any, batch_size: int = BATCH_SIZE, quiet: bool = False
) -> dict[str, Margin]:
    """The margin of each case, by its id: one forward pass over each batch of prompts. `model` is in the mode and dtype it computes in."""
    prompts = {request.key.case_id: decision_prompt(request, tokenizer, wire) for request in requests}
    ordered = sorted(prompts, key=lambda case_id: len(prompts[case_id]))
    starts = range(0, len(ordered), batch_size)
    code = torch.tensor(code_ids(tokenizer), device=model.device)
    found: dict[str, Margin] = {}
    for start in track(starts, description="margin", disable=quiet):
        names = ordered[start : start + batch_size]
        rows = log_probabilities(model, [prompts[name] for name in names], tokenizer.pad_token_id)
        found |= {name: _margin(row, wire.call_open, code, tokenizer) for name, row in zip(names, rows, strict=True)}
    return found


@torch.inference_mode()
def log_probabilities(model: Any, prompts: Sequence[list[int]], pad_id: int) -> torch.Tensor:
    """Of the token after each prompt: float32, shape (prompts, vocabulary). Prompts are padded on the left."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (longest - len(prompt)) + prompt for prompt in prompts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1).logits[:, -1]
    return logits.float().log_softmax(dim=-1)


def _margin(row: torch.Tensor, call_id: int, code: torch.Tensor, tokenizer: Any) -> Margin:
    rivals = row.clone()
    rivals[call_id] = -torch.inf
    rival = int(rivals.argmax())
    of_code = float(rivals[code].max()) if len(code) else None
    rivals[code] = -torch.inf
    call = float(row[call_id])
    return Margin(call - float(row[rival]), call, of_code, float(rivals.max()), tokenizer.decode([rival]))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, type=Path, help="YAML of suites; see configs/eval/")
    parser.add_argument("--model", required=True, help="folder or Hub id; its tokenizer must hold each wire token as one id")
    parser.add_argument("--adapter", help="folder of a LoRA adapter")
    parser.add_argument("--out", required=True, type=Path, help="folder to write")
    parser.add_argument("--fraction", type=float, default=1.0, help="evenly spaced part of each slice (default 1)")
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE, help="prompts to a forward pass (default %(default)s)")
    return parser.parse_args()


@reported
def main() -> int:
    args = parse()
    config = load_config(args.config)
    tokenizer = load_tokenizer(args.adapter or args.model)
    wire = read_ids(tokenizer)
    cases = load_cases(config, args.fraction)
    if not isinstance(config.backend, TransformersConfig):
        raise UserError(
            f"{args.config}: backend", config.backend.type, "transformers: a margin needs the model itself", "leave backend out"
        )
    alone = config.backend.model_copy(update={"processes": 1})
    backend = open_backend(alone, args.model, args.adapter, tokenizer, wire)
    assert isinstance(backend, TransformersBackend)
    model = backend.decoder.model
    found = margins(model, requests_of(cases, tokenizer, wire, config.enable_thinking), wire, tokenizer, args.batch_size)
    result = separation(cases, {case_id: item.margin for case_id, item in found.items()})
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "margins.jsonl").open("w") as file:
        for case in cases:
            line = {"case_id": case.id, "suite": case.suite, "slice": case.slice, "expects_call": case.expects_call}
            file.write(json.dumps({**line, **asdict(found[case.id])}) + "\n")
    write_json(args.out / "margins.json", result)
    write_manifest(args.out, "margins", model=args.model, adapter=args.adapter, config=config.model_dump(), fraction=args.fraction)
    Console().print(separation_table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
