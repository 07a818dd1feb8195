"""Reads completions with vLLM's own parsers, as its server does; run by a Python that has vLLM, see `eval.deployed`. Needs nothing of ours.

Standard input: {"tokenizer": folder, "parser": name, "cases": [{"prompt": ids, "output": ids, "tools": […], "thinking": bool}]}. The last
line of standard output: a JSON list with {"reasoning", "content", "tool_calls": [{"name", "arguments"}]} or {"error"} for each case.
"""

import json
import sys
from typing import Any

from transformers import AutoTokenizer
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.parser.parser_manager import ParserManager


def reading(case: dict[str, Any], parser_class: Any, tokenizer: Any) -> dict[str, Any]:
    """One completion, by a parser as the server makes one for each request."""
    request = ChatCompletionRequest(
        model="m",
        messages=[{"role": "user", "content": "Hi"}],
        tools=case["tools"] or None,
        tool_choice="auto" if case["tools"] else None,
        chat_template_kwargs={"enable_thinking": case["thinking"]},
    )
    parser = parser_class(tokenizer, request.tools, chat_template_kwargs=request.chat_template_kwargs)
    if hasattr(parser, "set_prompt_token_ids"):
        parser.set_prompt_token_ids(case["prompt"])
    text = tokenizer.decode(case["output"], skip_special_tokens=False)
    request = parser.adjust_request(request)
    reasoning, content, calls = parser.parse(text, request, enable_auto_tools=True, model_output_token_ids=case["output"])
    found = [{"name": call.name, "arguments": call.arguments} for call in calls or ()]
    return {"reasoning": reasoning, "content": content, "tool_calls": found}


def main() -> None:
    given = json.load(sys.stdin)
    tokenizer = AutoTokenizer.from_pretrained(given["tokenizer"])
    reasoning_parser = "hf" if given["parser"] == "hf" and given["reasons"] else None
    parser_class = ParserManager.get_parser(given["parser"], reasoning_parser, enable_auto_tools=True, tokenizer=tokenizer)
    readings = []
    for case in given["cases"]:
        try:
            readings.append(reading(case, parser_class, tokenizer))
        except Exception as error:  # one completion must not end the reading of the others
            readings.append({"error": f"{type(error).__name__}: {error}"})
    print(json.dumps(readings))


if __name__ == "__main__":
    main()
