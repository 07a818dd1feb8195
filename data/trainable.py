"""Checks of what a template lets a trainer and a server do: go on from a prompt, supervise what the model writes, read it back."""

from __future__ import annotations

import re

from transformers.utils.chat_parsing.response_parser import parse_response

from data.finding import Finding, Status, Subject, after, first_token, no, not_applicable, yes
from data.probe import AGAIN, ANSWER, ARGUMENT, CALLING, NAME, PARAMETER, RESULT, RETURNED, TOKEN, TOOL, USER, Probe
from data.response_schema import response_template
from data.transcript import Json
from data.wire import HERMES, WireTokenError, detect, read_ids

GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


def _prefixes(subject: Subject, conversation: list[Json]) -> Finding:
    """Each prompt, and the conversation up to each answer, is a prefix of the whole."""
    whole = subject.probe.text(conversation)
    for index, message in enumerate(conversation):
        if message["role"] != "assistant":
            continue
        for part, text in (
            (f"the prompt before message {index}", subject.probe.text(conversation[:index], add_generation_prompt=True)),
            (f"the conversation to message {index}", subject.probe.text(conversation[: index + 1]).rstrip()),
        ):
            if not whole.startswith(text):
                at = next((i for i, (a, b) in enumerate(zip(text, whole, strict=False)) if a != b), len(whole))
                return no(f"{part} reads {text[at : at + 24]!r} where the whole has {whole[at : at + 24]!r}")
    return yes()


def _also_reasoning(subject: Subject, conversation: list[Json]) -> Finding:
    """The same, and what becomes of it when the answers hold reasoning, which many templates cut from past turns."""
    found = _prefixes(subject, conversation)
    if found.status is not Status.YES:
        return found
    thinking = [{**turn, "reasoning_content": "probe_reason"} if turn["role"] == "assistant" else turn for turn in conversation]
    other = _prefixes(subject, thinking)
    return yes(f"but not with reasoning_content: {other.detail}" if other.status is Status.NO else "")


def prefix_plain(subject: Subject) -> Finding:
    return _also_reasoning(subject, PLAIN)


def prefix_tools(subject: Subject) -> Finding:
    return _also_reasoning(subject, [USER, CALLING, RETURNED, ANSWER, AGAIN, CALLING])


def generation_blocks(subject: Subject) -> Finding:
    found = GENERATION.search(subject.template)
    return yes() if found else no("no {% generation %} block: there is no mask, so either everything is trained or nothing")


PLAIN: list[Json] = [USER, ANSWER, AGAIN, {**ANSWER, "content": "probe_last"}]
CONVERSATION: list[Json] = [USER, CALLING, RETURNED, ANSWER, AGAIN, {**ANSWER, "content": "probe_last"}]


def exact_mask(subject: Subject) -> Finding:
    """What is supervised starts where the prompt ends and holds no result, in every turn; in the mode without thinking, too, it is told."""
    if not GENERATION.search(subject.template):
        return not_applicable("no generation block")
    fault = _mask_fault(subject.probe, {})
    if fault:
        return no(fault)
    other = _mask_fault(subject.probe, {"enable_thinking": False})
    return yes(f"but not with enable_thinking=false: {other}" if other else "")


def _mask_fault(probe: Probe, options: dict[str, bool]) -> str | None:
    conversation = CONVERSATION if probe.accepts(CONVERSATION) else PLAIN  # that a call or a result is refused is told elsewhere
    answers = [index for index, message in enumerate(conversation) if message["role"] == "assistant"]
    printed = probe.printed(conversation, **options)
    if len(printed.spans) != len(answers):
        return f"{len(answers)} assistant turns, {len(printed.spans)} generation blocks"
    for index, (start, end) in zip(answers, printed.spans, strict=True):
        prompt = probe.text(conversation[:index], add_generation_prompt=True, **options)
        supplied = _supplied(prompt, printed.text)
        if RESULT in printed.text[start:end]:
            return "a tool result is inside a generation block"
        if start < supplied:
            return f"{printed.text[start:supplied]!r}, which the server supplies, is inside a generation block"
        if start > len(prompt) == supplied:
            return f"{printed.text[len(prompt) : start]!r}, which the model must write, is outside"
        if conversation[index]["content"] not in printed.text[start:end]:
            return f"{conversation[index]['content']!r} is outside the generation block"
    return None


def _supplied(prompt: str, text: str) -> int:
    """Where what the server supplies ends: with the prompt or, if that is no prefix of the text, with the last token that they share."""
    if text.startswith(prompt):
        return len(prompt)
    shared = next((at for at, (a, b) in enumerate(zip(prompt, text, strict=False)) if a != b), len(text))
    return max((token.end() for token in TOKEN.finditer(text, 0, shared)), default=0)


def stop_supervised(subject: Subject) -> Finding:
    """The token that ends a turn is inside the block of a turn with a call."""
    if not GENERATION.search(subject.template):
        return not_applicable("no generation block")
    stop = first_token(after(subject.probe.text([USER, ANSWER, AGAIN], tools=False), ANSWER["content"]))
    printed = subject.probe.printed(CONVERSATION if subject.probe.accepts(CONVERSATION) else [USER, CALLING])
    if not printed.spans:
        return no("the generation blocks are empty")
    if stop is None:
        return not_applicable("turns are not closed by a token")
    block, *answers = (text.rstrip() for text in printed.blocks())
    if answers and not answers[0].endswith(stop):
        return no(f"an answer ends {answers[0][-20:]!r}, without {stop}")
    ends = [token[0] for token in TOKEN.finditer(block) if token.end() == len(block)]
    if block.endswith(stop) or (ends and not re.search("tool.?call", ends[0], re.I)):  # gpt-oss ends a call's turn in a token of its own
        return yes(ends[0] if ends else stop)
    return no(f"a call turn ends {block[-20:]!r}, without {stop}")


def wire_ids(subject: Subject) -> Finding:
    form = detect(subject.template)
    if form is None:
        return not_applicable("not a wire format of this project")
    if subject.tokenizer is None:
        return not_applicable("a template without a tokenizer")
    try:
        ids = read_ids(subject.tokenizer, form)
    except WireTokenError as error:
        return no(error.found)
    return yes(f"{form.name}: {form.call_open} is {ids.call_open}")


def literal_text(subject: Subject) -> Finding:
    """Whether a wire token that a user types becomes the real one, as it does in a server that encodes the rendered text as a whole."""
    form = detect(subject.template)
    if form is None or subject.tokenizer is None:
        return not_applicable("a template without a tokenizer" if form else "not a wire format of this project")
    typed = subject.tokenizer.encode(f"say {form.call_open}", add_special_tokens=False)
    real = subject.tokenizer.convert_tokens_to_ids(form.call_open)
    return no(f"{form.call_open} in a message becomes the id {real} on a server") if real in typed else yes()


def round_trip(subject: Subject) -> Finding:
    """transformers reads the call back through a response template: the tokenizer's own, else ours for the template's wire format."""
    form = detect(subject.template)
    own = getattr(subject.tokenizer, "response_template", None)
    if form is None and own is None:
        return not_applicable("not a wire format of this project")
    spec = own or response_template(form or HERMES, thinking=HERMES.think_open in subject.template)
    prompt = subject.probe.text([USER], add_generation_prompt=True, enable_thinking=False)
    whole = subject.probe.text([USER, CALLING], enable_thinking=False)
    if not whole.startswith(prompt):
        return no("the prompt is no prefix of the turn with the call")
    message = parse_response(whole[len(prompt) :], spec, prefix=prompt, tools=[TOOL])
    wanted = [{"type": "function", "function": {"name": NAME, "arguments": {PARAMETER: ARGUMENT}}}]
    return yes() if message.get("tool_calls") == wanted else no(f"the call reads back as {message.get('tool_calls')}"[:120])
