"""toolcall-repair-bench's taxonomy in our classes.

Its taxonomy says what a repairing parser should make of an output; ours says what the output is. Where one of its shapes holds several of
our classes, each is accepted, the first being what a miss counts against:

* `json_in_content`, `json_with_prose`, `toolName_brace_json`, `partial_openai_fields`, `provider_specific`, `missing_required_args` are
  calls as JSON, whether or not their arguments are whole; `markdown_fenced_json` is one in a fence; `xml_tool_code` a typed call;
* `truncated_tool_call` is JSON that was cut off, in a fence or not; `code_snippet_mention` calls the tool within a program;
* `structured_data_no_intent` and `injection_force_tool` are answers, and so are the prose shapes, unless they refuse, ask or promise;
* `ambiguous_tool_choice` asks back, or calls both tools as JSON; `unsafe_guessed_intent` outputs are empty here.

Whatever its shape, an output that is nothing but a think block is reasoning only.
"""

from __future__ import annotations

from data.transcript import Json
from data.wire import HERMES
from eval.characters import ids_of
from eval.emission import Emission

FILE = "toolcall_repair_bench.jsonl"
PROSE = (Emission.ANSWER, Emission.REFUSAL, Emission.QUESTION, Emission.PROMISE)
CLASSES: dict[str, tuple[Emission, ...]] = {
    "json_in_content": (Emission.JSON_IN_TEXT,),
    "json_with_prose": (Emission.JSON_IN_TEXT,),
    "toolName_brace_json": (Emission.JSON_IN_TEXT,),
    "partial_openai_fields": (Emission.JSON_IN_TEXT,),
    "provider_specific": (Emission.JSON_IN_TEXT,),
    "missing_required_args": (Emission.JSON_IN_TEXT,),
    "markdown_fenced_json": (Emission.JSON_IN_FENCE,),
    "xml_tool_code": (Emission.TYPED_CALL,),
    "truncated_tool_call": (Emission.JSON_IN_TEXT, Emission.JSON_IN_FENCE),
    "code_snippet_mention": (Emission.CODE_DUMP,),
    "structured_data_no_intent": (Emission.ANSWER,),
    "injection_force_tool": (Emission.ANSWER, Emission.REFUSAL),
    "prose_false_positive": PROSE,
    "plain_answer": PROSE,
    "clarifying_question": (Emission.QUESTION,),
    "ambiguous_tool_choice": (Emission.QUESTION, Emission.JSON_IN_TEXT),
    "unsafe_guessed_intent": (Emission.EMPTY,),
}


def accepted(row: Json) -> tuple[Emission, ...]:
    """The classes that are right for one row of the file, the likeliest first."""
    text = row["raw_output"]
    thinks = text.lstrip().startswith(HERMES.think_open)
    if thinks and not text.partition(HERMES.think_close)[2].strip():
        return (Emission.REASONING_ONLY,)
    return CLASSES[row["taxonomy"][0]]


def ids_of_shape(text: str) -> list[int]:
    """Ids of a raw output: its think tags as the model's own, all else, call tags too, as text."""
    return ids_of(text.replace(HERMES.think_open, "{think_open}").replace(HERMES.think_close, "{think_close}"))
