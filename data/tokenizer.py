"""Loads tokenizers, attaches our template, and adds wire tokens where a model lacks them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from transformers import AddedToken, AutoTokenizer, PreTrainedTokenizerBase

from data.errors import UserError, disk_is_full
from data.response_schema import response_template
from data.wire import BRACKETS, ESCAPES, HERMES, TAGGED, WireFormat, form_of, missing_tokens, single_id

TEMPLATES = Path(str(resources.files("data"))) / "templates"


class TemplateError(ValueError):
    """No template of ours fits the model."""


def load_tokenizer(name_or_path: str, **kwargs: Any) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or Hub id; one that cannot be had is a `UserError`."""
    try:
        return AutoTokenizer.from_pretrained(name_or_path, **kwargs)
    except (OSError, ValueError) as error:
        if disk_is_full(error):
            raise
        found = str(error).strip().partition("\n")[0]
        raise UserError(name_or_path, found, "a folder or Hub id with a tokenizer", "name one, or go online for a Hub id") from error


def template_path(family: str) -> Path:
    """Our template for a model family: a folder of `data/templates`."""
    path = TEMPLATES / family / "chat_template.jinja"
    if not path.is_file():
        known = sorted(folder.name for folder in TEMPLATES.iterdir() if folder.is_dir())
        raise TemplateError(f"no template for {family!r}; data/templates holds {', '.join(known)}\nremedy: --template FILE.jinja")
    return path


@dataclass(frozen=True)
class Family:
    """A model family that has a template of ours, a folder of `data/templates`, and how its tokenizer is told.

    A chat template belongs to the family if it holds every text of `has` and none of `lacks`: upstream's does, and so does ours, because
    a tokenizer that we saved must be known again. `tokens` must be single ids then; those of calls may still be added.
    """

    name: str
    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    tokens: tuple[str, ...] = (HERMES.turn_open, HERMES.turn_close)


SMOLLM = "named SmolLM, trained by Hugging Face"
THINKING = (HERMES.turn_open, HERMES.turn_close, HERMES.think_open, HERMES.think_close)
FAMILIES = (
    Family("smollm2", has=(SMOLLM,), lacks=("Reasoning Mode",)),
    Family("smollm3", has=(SMOLLM, "Reasoning Mode"), tokens=THINKING),
    Family("qwen2_5", has=("You are Qwen, created by Alibaba Cloud.", HERMES.call_open), lacks=("<function=",)),
    # Qwen3.5 and later have the same rule for past reasoning, but tagged calls; Qwen3-Instruct-2507 has no such rule
    Family("qwen3", has=(HERMES.turn_open, HERMES.call_open, "last_query_index", "enable_thinking"), lacks=(SMOLLM, "<function="),
           tokens=THINKING),
    Family("qwen3_coder", has=("You are Qwen, a helpful AI assistant that can interact with a computer", *TAGGED.signature)),
)  # fmt: skip


def matching(template: str) -> list[Family]:
    """The families whose signature a chat template bears: one, or none for a template that ours do not replace."""
    return [
        family for family in FAMILIES if all(text in template for text in family.has) and not any(text in template for text in family.lacks)
    ]


def family_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """The template folder for a tokenizer, by the chat template that it came with; `TemplateError` where none of ours replaces it."""
    held = tokenizer.chat_template
    found = matching(held) if isinstance(held, str) else []
    if len(found) != 1:
        state = "bears no family's signature" if held else "is absent"
        known = ", ".join(family.name for family in FAMILIES)
        raise TemplateError(f"{tokenizer.name_or_path}: its chat template {state}; known are {known}\nremedy: --template FILE.jinja")
    missing = [text for text in found[0].tokens if single_id(tokenizer, text) is None]
    if missing:
        raise TemplateError(
            f"{tokenizer.name_or_path}: has the chat template of {found[0].name}, but not its tokens {' '.join(missing)}\n"
            "remedy: --template FILE.jinja"
        )
    return found[0].name


def attach_template(tokenizer: PreTrainedTokenizerBase, template: Path) -> None:
    """Set chat template and response template, that of the template's own wire format; both are saved with the tokenizer."""
    tokenizer.chat_template = template.read_text()
    wire = form_of(tokenizer)
    schema = response_template(wire, thinking=single_id(tokenizer, wire.think_open) is not None)
    tokenizer.response_template = schema
    tokenizer.init_kwargs["response_template"] = schema


def add_wire_tokens(tokenizer: PreTrainedTokenizerBase, wire: WireFormat = HERMES) -> dict[str, list[int]]:
    """Add each missing wire token as one non-special token.

    Non-special, so that `skip_special_tokens=True` keeps it in the text that a server's parser reads. Returns, for each added
    text, the ids that it was spelled with before: the rows from which its embedding is initialised.
    """
    missing = [text for text in (*wire.required, wire.result_open, wire.result_close) if single_id(tokenizer, text) is None]
    if not missing_tokens(tokenizer, wire):
        return {}  # results are never emitted: a model that lacks only their tokens was trained to read their pieces
    pieces = {text: tokenizer.encode(text, add_special_tokens=False) for text in missing}
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in missing])
    return pieces


def add_json_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Make each of `ESCAPES` and `BRACKETS` one non-special token that nothing else is joined with.

    A byte-pair vocabulary joins an escape's backslash with what stands before it: a line that ends in `,` becomes `,\\` and `n`, so that
    a model that copies a file must know for each ending what it becomes. It joins brackets with each other and with quotation marks:
    settings that are read one bracket a line must be written as `"}}` and `}}}`, however many there are. As tokens of their own, both
    leave what is copied as it was read. One that the vocabulary holds keeps its id. Returns, for each other, the rows from which its
    embedding is initialised: those that spelled it and, for an escape, that of the character it stands for.
    """
    meant, held = dict.fromkeys(BRACKETS, "") | ESCAPES, tokenizer.get_vocab()
    pieces = {
        text: [id_ for part in (text, meaning) for id_ in tokenizer.encode(part, add_special_tokens=False)]
        for text, meaning in meant.items()
        if text not in held
    }
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in meant])
    return pieces
