"""What a chat template must do before a model can be trained on tool calls with it, one function for each property.

Each check looks at what a `Probe` prints and returns a `Finding`; a template that raises is a finding too. Those marked as needed decide
`data.audit`'s exit status. Properties after an issue of TRL's (huggingface/trl#5460) and from what goes wrong in practice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_parsing.response_parser import parse_response

from data.probe import (
    AGAIN,
    ANSWER,
    ARGUMENT,
    CALLING,
    NAME,
    PARAMETER,
    RESULT,
    RETURNED,
    SYSTEM,
    TOKEN,
    TOOL,
    USER,
    Probe,
    ProbeError,
    calling,
)
from data.response_schema import response_template
from data.transcript import Json
from data.wire import HERMES, WireTokenError, detect, read_ids

GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


class Status(StrEnum):
    YES = "yes"
    NO = "no"
    NOT_APPLICABLE = "n/a"


class Finding(NamedTuple):
    status: Status
    detail: str = ""


@dataclass(frozen=True)
class Subject:
    """A template, and the tokenizer that it came with, if it did not come alone."""

    name: str
    probe: Probe
    tokenizer: PreTrainedTokenizerBase | None = None

    @property
    def template(self) -> str:
        return self.probe.template


class Property(NamedTuple):
    """`title` heads its column, `step` says what to do when it fails; `needed` for training."""

    key: str
    title: str
    needed: bool
    check: Callable[[Subject], Finding]
    step: str


def yes(detail: str = "") -> Finding:
    return Finding(Status.YES, detail)


def no(detail: str) -> Finding:
    return Finding(Status.NO, detail)


def not_applicable(detail: str) -> Finding:
    return Finding(Status.NOT_APPLICABLE, detail)


# What is printed


def renders(subject: Subject) -> Finding:
    text = subject.probe.text([USER, ANSWER], tools=False)
    lost = [message["content"] for message in (USER, ANSWER) if message["content"] not in text]
    return no(f"loses {', '.join(lost)}") if lost else yes()


def shows_tools(subject: Subject) -> Finding:
    text = subject.probe.text([USER], add_generation_prompt=True)
    if NAME not in text:
        return no("the tools are not printed")
    if PARAMETER not in text:
        return no("the tool's name is printed, its parameters are not")
    if re.search(rf'"name"\s*:\s*"{NAME}"', text):
        return yes("JSON")
    if re.search(rf"'name'\s*:\s*'{NAME}'", text):
        return no("Python's repr: single quotes, None, True")
    return yes("a form of its own")


def _called(subject: Subject) -> tuple[str, str]:
    """What a call adds to the conversation, and the whole text."""
    plain = subject.probe.text([USER, ANSWER])
    text = subject.probe.text([USER, CALLING])
    return (text if text.count(NAME) > plain.count(NAME) else ""), text


def call_name(subject: Subject) -> Finding:
    added, _ = _called(subject)
    return yes() if added else no("message.tool_calls is dropped: the turn that should teach a call is empty")


def call_arguments(subject: Subject) -> Finding:
    _, text = _called(subject)
    return yes() if ARGUMENT in text else no("the arguments of a call are dropped")


def argument_forms(subject: Subject) -> Finding:
    """Arguments as an object, as this project keeps them, and as JSON text, as OpenAI's API sends them."""
    arguments: Json = {PARAMETER: ARGUMENT}
    printed: dict[str, str | None] = {}
    for form, value in (("object", arguments), ("text", json.dumps(arguments))):
        try:
            printed[form] = subject.probe.text([USER, calling(value, content="")])
        except ProbeError:
            printed[form] = None
    if printed["object"] is None:
        return not_applicable("a call is refused") if printed["text"] is None else no("only JSON text is accepted")
    if printed["text"] is None:
        return no("only an object is accepted")
    if ARGUMENT not in printed["object"]:
        return not_applicable("arguments are dropped")
    return yes() if printed["object"] == printed["text"] else no("an object and the same as JSON text are printed differently")


def content_none(subject: Subject) -> Finding:
    """OpenAI's API sends `content: null` beside calls. transformers drops the key before it renders; other engines keep it."""
    empty = subject.probe.text([USER, CALLING])
    subject.probe.text([USER, calling({PARAMETER: ARGUMENT})])
    null = subject.probe.text([USER, calling({PARAMETER: ARGUMENT}, content=None)])
    printed = next((word for word in ("None", "null") if null.count(word) > empty.count(word)), None)
    return no(f"prints {printed}") if printed else yes()


def result_shown(subject: Subject) -> Finding:
    text = subject.probe.text([USER, CALLING, RETURNED], add_generation_prompt=True)
    if RESULT not in text:
        return no("tool results are dropped")
    said = [USER, CALLING, {**USER, "content": RESULT}]
    if subject.probe.accepts(said) and subject.probe.text(said, add_generation_prompt=True) == text:
        return no("a result looks like a user's turn")
    return yes(" ".join(TOKEN.findall(text[: text.index(RESULT)])[-2:]))


def closes_system(subject: Subject) -> Finding:
    """The control token that ends a user's turn stands between the system text and the user's, with tools and without."""
    offers = [tools for tools in (False, True) if subject.probe.accepts([USER, ANSWER], tools)] or [True]
    closer = _first_token(_after(subject.probe.text([USER, ANSWER], tools=offers[0]), USER["content"]))
    if closer is None:
        return not_applicable("turns are not closed by a token")
    for tools in offers:
        text = subject.probe.text([SYSTEM, USER], tools=tools)
        if SYSTEM["content"] not in text:
            return no("the system text is dropped")
        between = text[text.index(SYSTEM["content"]) :].split(USER["content"])[0]
        if closer not in between and TOKEN.search(between) and _opens_like(subject, closer, tools):
            return no(f"the system turn is not closed with {closer} {'with' if tools else 'without'} tools")
    return yes()


def _opens_like(subject: Subject, closer: str, tools: bool) -> bool:
    """Whether every role's turn is closed with the same token: an answer's is, too."""
    return closer in _after(subject.probe.text([USER, ANSWER, AGAIN], tools=tools), ANSWER["content"]).split(AGAIN["content"])[0]


def _after(text: str, mark: str) -> str:
    return text.split(mark, 1)[1] if mark in text else ""


def _first_token(text: str) -> str | None:
    found = TOKEN.search(text)
    return found[0] if found else None


def independent_of_date(subject: Subject) -> Finding:
    def dated(turns: list[Json]) -> bool:
        return subject.probe.on("probe_monday", turns) != subject.probe.on("probe_tuesday", turns)

    if subject.probe.accepts([SYSTEM, USER]) and dated([SYSTEM, USER]):
        return no("the prompt holds today's date")
    return no("without a system turn, the prompt holds today's date") if dated([USER]) else yes()


# Whether it may be trained and continued


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
    stop = _first_token(_after(subject.probe.text([USER, ANSWER, AGAIN], tools=False), ANSWER["content"]))
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


# What needs ids


def wire_ids(subject: Subject) -> Finding:
    form = detect(subject.template)
    if form is None:
        return not_applicable("not a wire format of this project")
    if subject.tokenizer is None:
        return not_applicable("a template without a tokenizer")
    try:
        ids = read_ids(subject.tokenizer, form)
    except WireTokenError as error:
        return no(str(error).splitlines()[0])
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


PROPERTIES = (
    Property("renders", "plain chat", True, renders, "print every message"),
    Property("tools", "tools shown", True, shows_tools, "print each tool with `tool | tojson` in the system turn"),
    Property("call_name", "call", True, call_name, "print message.tool_calls"),
    Property("call_arguments", "arguments", True, call_arguments, "print the arguments of a call with `tojson`"),
    Property("argument_forms", "object = text", False, argument_forms, "print arguments that are a string as they are, else with `tojson`"),
    Property("content_none", "content null", False, content_none, "print nothing for content that is none"),
    Property("result", "result", True, result_shown, "frame tool results as such"),
    Property("system_closed", "system closed", True, closes_system, "close the system turn like every other"),
    Property("date", "date-free", False, independent_of_date, "take the date from an argument"),
    Property("prefix_plain", "prefix, plain", True, prefix_plain, "print a message the same whatever follows it"),
    Property("prefix_tools", "prefix, tools", True, prefix_tools, "print a turn with a call the same whatever follows it"),
    Property("generation", "generation", True, generation_blocks, "put what the model writes into {% generation %} blocks"),
    Property("mask", "exact mask", True, exact_mask, "begin the block after the header and what a server prefills"),
    Property("stop", "stop in loss", True, stop_supervised, "end the block after the token that ends the turn"),
    Property("wire_ids", "single ids", True, wire_ids, "python -m train.base --name MODEL --out DIR adds the tokens"),
    Property("round_trip", "read back", True, round_trip, "spell a call as data/templates/README.md does, or give a response_template"),
    Property("literal", "literal is text", False, literal_text, ""),
)


def findings(subject: Subject) -> dict[str, Finding]:
    """Every property of one template; a template that fails to render is a `no` with the reason."""
    found: dict[str, Finding] = {}
    for property_ in PROPERTIES:
        try:
            found[property_.key] = property_.check(subject)
        except ProbeError as error:
            found[property_.key] = no(str(error))
        except ValueError as error:  # transformers' parser refuses a text or a template with one
            found[property_.key] = no(" ".join(str(error).split())[:120])
    return found


def failures(found: dict[str, Finding]) -> list[Property]:
    """Needed properties that do not hold, in the order in which to mend them."""
    return [property_ for property_ in PROPERTIES if property_.needed and found[property_.key].status is Status.NO]
