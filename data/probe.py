"""A chat template under test: renders short, marked conversations, so that a check can look where the marks end up.

Nothing here knows a wire format: what a template does is read off what it prints. A template is untrusted code: it runs in transformers'
sandbox and within a time limit, and whatever goes wrong in it is a `ProbeError` of one line.
"""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NamedTuple

from transformers.utils.chat_template_utils import render_jinja_template

from data.transcript import Json

SECONDS = 5.0  # for one rendering
# What looks like a control token, in any family: <|im_end|>, [INST], MiniMax's [e~[
TOKEN = re.compile(r"<[^<>\s]{1,48}>|\[/?[A-Z][A-Z_]*\]|[\[\]](?=[a-z!]*~)[a-z!~]{2,3}[\[\]]")
SPECIAL_TOKENS = {"bos_token": "<probe_bos>", "eos_token": "<probe_eos>"}  # for a template without a tokenizer
NAME, PARAMETER, SAYS = "probe_lookup", "probe_key", "Finds the probe's entry"
ARGUMENT, RESULT = "probe_argument", "probe_result"
PARAMETERS: Json = {"type": "object", "properties": {PARAMETER: {"type": "string", "description": "Its key"}}, "required": [PARAMETER]}
TOOL: Json = {"type": "function", "function": {"name": NAME, "description": SAYS, "parameters": PARAMETERS}}
SYSTEM: Json = {"role": "system", "content": "probe_system"}
USER: Json = {"role": "user", "content": "probe_user"}
AGAIN: Json = {"role": "user", "content": "probe_again"}
ANSWER: Json = {"role": "assistant", "content": "probe_answer"}
RETURNED: Json = {"role": "tool", "name": NAME, "tool_call_id": "probe0001", "content": RESULT}


def calling(arguments: Any, **fields: Any) -> Json:
    """An assistant turn with one call; its id has the nine characters that Mistral's templates demand."""
    function = {"name": NAME, "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"id": "probe0001", "type": "function", "function": function}], **fields}


CALLING = calling({PARAMETER: ARGUMENT}, content="")


class ProbeError(Exception):
    """The template raised or ran out of time; the message is one line."""


class Printed(NamedTuple):
    """A rendered conversation and its generation blocks, as half-open character ranges."""

    text: str
    spans: tuple[tuple[int, int], ...]

    def blocks(self) -> list[str]:
        return [self.text[start:end] for start, end in self.spans]


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the body after `seconds`; without effect outside the main thread of a Unix process, where no alarm can be set."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise ProbeError(f"still running after {seconds:g} s")

    try:
        before = signal.signal(signal.SIGALRM, stop)
    except (AttributeError, ValueError):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class Probe:
    """One template, with the variables that its tokenizer would give it, such as `eos_token`."""

    template: str
    special_tokens: dict[str, Any] = field(default_factory=dict)

    def text(self, messages: Sequence[Json], tools: bool = True, **options: Any) -> str:
        """What the template prints for a conversation, with `TOOL` offered or without."""
        return self._render(self.template, messages, tools, options).text

    def printed(self, messages: Sequence[Json], tools: bool = True, **options: Any) -> Printed:
        """The same, with its generation blocks."""
        return self._render(self.template, messages, tools, {"return_assistant_tokens_mask": True, **options})

    def on(self, day: str, messages: Sequence[Json]) -> str:
        """What it prints when the clock says `day`: a macro of the same name hides the sandbox's clock."""
        return self._render(f"{{%- macro strftime_now(format) -%}}{day}{{%- endmacro -%}}{self.template}", messages, True, {}).text

    def accepts(self, messages: Sequence[Json], tools: bool = True) -> bool:
        try:
            self.text(messages, tools)
        except ProbeError:
            return False
        return True

    def _render(self, template: str, messages: Sequence[Json], tools: bool, options: dict[str, Any]) -> Printed:
        try:
            with time_limit(SECONDS):
                rendered: Any = render_jinja_template(
                    [list(messages)], tools=[TOOL] if tools else None, chat_template=template, **{**self.special_tokens, **options}
                )
        except ProbeError:
            raise
        except Exception as error:  # kept apart: one template, which may raise anything, must not stop an audit of many
            raise ProbeError(f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"[:160]) from error
        texts, spans = rendered
        return Printed(texts[0], tuple(spans[0]) if spans else ())
