"""Generates with vLLM's offline engine; run by a Python that has vLLM, see `vllm_offline.py`. Imports nothing of this project.

Standard input: a line `{"engine": {…}, "adapter": folder | null, "stop_id": int, "temperature": float, "logprobs": bool}` with arguments
of `vllm.LLM`, then a line `{"prompt": ids, "max_tokens": int, "seed": int}` for each request. Standard output: `{"ready": seconds}`, then
for each request, as it is finished, `{"index": int, "ids": […], "logprobs": […] | null, "length": bool, "seconds": float}` or
`{"index": int, "error": str}`. Everything else that is printed goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]


def main() -> None:
    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # vLLM prints

    def tell(message: Message) -> None:
        results.write(json.dumps(message) + "\n")

    setting, *requests = [json.loads(line) for line in sys.stdin]
    began = time.monotonic()
    from vllm import LLM
    from vllm.lora.request import LoRARequest

    llm = LLM(**setting["engine"])
    lora = LoRARequest("adapter", 1, setting["adapter"]) if setting["adapter"] else None
    tell({"ready": round(time.monotonic() - began, 2)})
    generate(llm.llm_engine, setting, requests, lora, tell)


def generate(
    engine: Any, setting: dict[str, Any], requests: list[dict[str, Any]], lora: Any, tell: Callable[[dict[str, Any]], None]
) -> None:
    """The loop of `LLM.generate`, telling of each request as it is finished; one that the engine refuses is told as an error."""
    from vllm import SamplingParams

    for index, request in enumerate(requests):
        try:
            params = SamplingParams(
                temperature=setting["temperature"],
                max_tokens=request["max_tokens"],
                seed=request["seed"],
                stop_token_ids=[setting["stop_id"]],
                ignore_eos=True,  # of the model's settings: only `stop_id` ends a completion
                logprobs=0 if setting["logprobs"] else None,
                detokenize=False,
            )
            engine.add_request(str(index), {"prompt_token_ids": request["prompt"]}, params, lora_request=lora)
        except Exception as error:  # kept apart: one request, which the engine may refuse in any way, must not stop the others
            tell({"index": index, "error": f"{type(error).__name__}: {error}"})
    began = time.monotonic()
    while engine.has_unfinished_requests():
        for output in engine.step():
            if output.finished:
                tell(finished(output, began))


def finished(output: Any, began: float) -> Message:
    (sample,) = output.outputs
    ids = list(sample.token_ids)
    logprobs = [of[token].logprob for of, token in zip(sample.logprobs, ids, strict=True)] if sample.logprobs is not None else None
    return {
        "index": int(output.request_id),
        "ids": ids,
        "logprobs": logprobs,
        "length": sample.finish_reason == "length",
        "seconds": time.monotonic() - began,
    }


if __name__ == "__main__":
    main()
