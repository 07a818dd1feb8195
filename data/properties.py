"""What a chat template must do before a model can be trained on tool calls with it: the table of properties.

Each check looks at what a `Probe` prints and returns a `Finding`; a template that raises is a finding too. Those marked as needed decide
`data.audit`'s exit status. Properties after an issue of TRL's (huggingface/trl#5460) and from what goes wrong in practice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from data.finding import Finding, Status, Subject, no
from data.printing import (
    argument_forms,
    call_arguments,
    call_name,
    closes_system,
    content_none,
    independent_of_date,
    renders,
    result_shown,
    shows_tools,
)
from data.probe import ProbeError
from data.trainable import exact_mask, generation_blocks, literal_text, prefix_plain, prefix_tools, round_trip, stop_supervised, wire_ids


class Property(NamedTuple):
    """`title` heads its column, `step` says what to do when it fails; `needed` for training."""

    key: str
    title: str
    needed: bool
    check: Callable[[Subject], Finding]
    step: str


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
