"""Loads tokenizers, attaches our template, and adds wire tokens where a model lacks them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from transformers import AddedToken, AutoTokenizer, PreTrainedTokenizerBase

from data.response_schema import response_template
from data.wire import HERMES, WireFormat, form_of, missing_tokens, single_id

TEMPLATES = Path(str(resources.files("data"))) / "templates"


class TemplateError(ValueError):
    """No template of ours fits the model."""


def load_tokenizer(name_or_path: str, **kwargs: Any) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(name_or_path, **kwargs)


def template_path(family: str) -> Path:
    """Our template for a model family: a folder of `data/templates`."""
    path = TEMPLATES / family / "chat_template.jinja"
    if not path.is_file():
        known = sorted(folder.name for folder in TEMPLATES.iterdir() if folder.is_dir())
        raise TemplateError(f"no template for {family!r}; data/templates holds {', '.join(known)}\nremedy: --template FILE.jinja")
    return path


def family_of(tokenizer: PreTrainedTokenizerBase, wire: WireFormat = HERMES) -> str:
    """The template folder for a tokenizer: by the reasoning tokens, which SmolLM3 has and SmolLM2 lacks."""
    if single_id(tokenizer, wire.turn_open) is None:
        raise TemplateError(
            f"{tokenizer.name_or_path}: has no {wire.turn_open} token, so none of our templates fits\nremedy: --template FILE.jinja"
        )
    return "smollm2" if single_id(tokenizer, wire.think_open) is None else "smollm3"


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
