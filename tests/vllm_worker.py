"""Reads completions with vLLM's `hf` parsers, as its server builds them; run by a Python that has vLLM, see `test_vllm_parser.py`.

Standard input: {"tokenizer": folder, "cases": [{"prompt": ids, "output": ids, "tools": [...], "thinking": bool}]}. Standard output: one
line of JSON, for each case the readings [{"reasoning", "content", "calls": [[name, arguments]]}]: at once, id by id, and in chunks.
"""

import json
import random
import sys
from collections.abc import Iterator
from typing import Any

from transformers import AutoTokenizer
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.parser.parser_manager import ParserManager


def parser_for(case: dict[str, Any], tokenizer: Any) -> tuple[Any, ChatCompletionRequest]:
    """A parser as the server makes one for each request, told the prompt."""
    parser_class = ParserManager.get_parser("hf", "hf", enable_auto_tools=True, tokenizer=tokenizer)
    request = ChatCompletionRequest(
        model="m",
        messages=[{"role": "user", "content": "Hi"}],
        tools=case["tools"] or None,
        tool_choice="auto" if case["tools"] else None,
        chat_template_kwargs={"enable_thinking": case["thinking"]},
    )
    parser = parser_class(tokenizer, request.tools, chat_template_kwargs=request.chat_template_kwargs)
    parser.set_prompt_token_ids(case["prompt"])
    return parser, parser.adjust_request(request)


def at_once(case: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    parser, request = parser_for(case, tokenizer)
    text = tokenizer.decode(case["output"], skip_special_tokens=False)
    reasoning, content, calls = parser.parse(text, request, enable_auto_tools=True, model_output_token_ids=case["output"])
    return {
        "reasoning": reasoning or "",
        "content": content or "",
        "calls": [[call.name, json.loads(call.arguments)] for call in calls or ()],
    }


def streamed(case: dict[str, Any], tokenizer: Any, longest: int) -> dict[str, Any]:
    """Fed in chunks of up to `longest` ids, whose text is held back while it ends in a part of a character, as a detokenizer does."""
    parser, request = parser_for(case, tokenizer)
    parser._enable_auto_tools = True
    deltas = [
        parser.parse_delta(text, ids, request, prompt_token_ids=case["prompt"], finished=finished)
        for text, ids, finished in chunks(case["output"], tokenizer, longest)
    ]
    found = [delta for delta in deltas if delta is not None]
    calls = [call.function for delta in found for call in delta.tool_calls]
    return {
        "reasoning": "".join(delta.reasoning or "" for delta in found),
        "content": "".join(delta.content or "" for delta in found),
        "calls": [[call.name, json.loads(call.arguments)] for call in calls],
    }


def chunks(ids: list[int], tokenizer: Any, longest: int) -> Iterator[tuple[str, list[int], bool]]:
    rng, at, told = random.Random(0), 0, ""
    while at < len(ids):
        start, at = at, at + rng.randint(1, longest)
        text = tokenizer.decode(ids[:at], skip_special_tokens=False)
        ready = text if at >= len(ids) else text.rstrip("\ufffd")
        yield ready[len(told) :], ids[start:at], at >= len(ids)
        told = ready


def main() -> None:
    given = json.load(sys.stdin)
    tokenizer = AutoTokenizer.from_pretrained(given["tokenizer"])
    readings = [[at_once(case, tokenizer), *(streamed(case, tokenizer, longest) for longest in (1, 7))] for case in given["cases"]]
    print(json.dumps(readings))


if __name__ == "__main__":
    main()
