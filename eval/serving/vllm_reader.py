"""Reads completions with vLLM's parsers, as its server builds them; run by a Python that has vLLM, and imports nothing of this project.

Standard input: {"tokenizer": folder, "pairs": [[tool parser, reasoning parser or null]], "cases": [{"prompt": ids, "output": ids,
"tools": [...], "thinking": bool}], "streamed": bool}. Standard output: one line of JSON, for each pair {"refused": why} or {"readings": for
each case the readings [{"reasoning", "content", "calls": [[name, arguments as text]], "error"}]: at once and, if streamed, id by id and in
chunks}.
"""

import json
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

from transformers import AutoTokenizer
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.parser.parser_manager import ParserManager

Reading = dict[str, Any]


def parser_for(case: dict[str, Any], tokenizer: Any, pair: list[str | None]) -> tuple[Any, ChatCompletionRequest]:
    """A parser as the server makes one for each request, told the prompt."""
    parser_class = ParserManager.get_parser(*pair, enable_auto_tools=True, tokenizer=tokenizer)
    assert parser_class is not None
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


def at_once(case: dict[str, Any], tokenizer: Any, pair: list[str | None]) -> Reading:
    parser, request = parser_for(case, tokenizer, pair)
    text = text_of(case["output"], tokenizer, request.skip_special_tokens)
    reasoning, content, calls = parser.parse(text, request, enable_auto_tools=True, model_output_token_ids=case["output"])
    return {"reasoning": reasoning or "", "content": content or "", "calls": [[call.name, call.arguments] for call in calls or ()]}


def text_of(ids: list[int], tokenizer: Any, skip_special: bool) -> str:
    """Their text as the server's detokenizer hands it to a parser: without that of the end of the turn, which the ids keep."""
    return tokenizer.decode(ids[:-1] if ids[-1:] == [tokenizer.eos_token_id] else ids, skip_special_tokens=skip_special)


def streamed(case: dict[str, Any], tokenizer: Any, pair: list[str | None], longest: int) -> Reading:
    """Fed in chunks of up to `longest` ids; the text of one that ends in a part of a character is held back, as a detokenizer does."""
    parser, request = parser_for(case, tokenizer, pair)
    parser._enable_auto_tools = True
    reasoning, content, calls = "", "", dict[int, list[str]]()
    for text, ids, finished in chunks(case["output"], tokenizer, longest, request.skip_special_tokens):
        delta = parser.parse_delta(text, ids, request, prompt_token_ids=case["prompt"], finished=finished)
        if delta is None:
            continue
        reasoning += delta.reasoning or ""
        content += delta.content or ""
        for call in delta.tool_calls:
            held = calls.setdefault(call.index, ["", ""])
            held[0] += call.function.name or ""
            held[1] += call.function.arguments or ""
    return {"reasoning": reasoning, "content": content, "calls": [calls[index] for index in sorted(calls)]}


def chunks(ids: list[int], tokenizer: Any, longest: int, skip_special: bool) -> Iterator[tuple[str, list[int], bool]]:
    rng, at, held = random.Random(0), 0, 0
    while at < len(ids):
        start, at = at, at + rng.randint(1, longest)
        text = text_of(ids[held:at], tokenizer, skip_special)
        finished = at >= len(ids)
        if text.endswith("\ufffd") and not finished:
            yield "", ids[start:at], False
        else:
            held = at
            yield text, ids[start:at], finished


def caught(read: Callable[[], Reading]) -> Reading:
    """What a parser raises is an HTTP 500 of its server: an outcome, whatever it is."""
    try:
        return read()
    except Exception as error:  # kept apart: one reading of one case
        return {"reasoning": "", "content": "", "calls": [], "error": f"{type(error).__name__}: {error}"}


def readings(case: dict[str, Any], tokenizer: Any, pair: list[str | None], in_chunks: bool) -> list[Reading]:
    chunked = [caught(lambda: streamed(case, tokenizer, pair, 1)), caught(lambda: streamed(case, tokenizer, pair, 7))] if in_chunks else []
    return [caught(lambda: at_once(case, tokenizer, pair)), *chunked]


def read_pair(given: dict[str, Any], tokenizer: Any, pair: list[str | None]) -> dict[str, Any]:
    """All cases with one pair, or why the server would not start with it."""
    try:
        parser_for(given["cases"][0], tokenizer, pair)
    except Exception as error:  # kept apart: vLLM's parsers refuse in any way, and a server would not start
        return {"refused": f"{type(error).__name__}: {error}"}
    return {"readings": [readings(case, tokenizer, pair, given["streamed"]) for case in given["cases"]]}


def main() -> None:
    given = json.load(sys.stdin)
    tokenizer = AutoTokenizer.from_pretrained(given["tokenizer"])
    print(json.dumps([read_pair(given, tokenizer, pair) for pair in given["pairs"]]))


if __name__ == "__main__":
    main()
