"""File and configuration tools: calls whose arguments are a whole file or deeply nested settings.

These are the calls that a model prefers to dump as text. The tools `write_file` and `save_config` belong to the validation split;
training sees other tools of the same nature.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data.sources.payloads import Piece, code_pieces, nested_config, spell_config
from data.split import Split, split_of
from data.transcript import Json

if TYPE_CHECKING:
    from data.sources.dialogue import Composer

MAX_LINES = 40


@dataclass(frozen=True)
class FileTool:
    """A tool that stores one text or one settings object: its name, description, and the names of its two arguments."""

    name: str
    description: str
    where: str
    where_says: str
    what: str
    what_says: str
    split: Split
    extra: tuple[str, Json, Any] | None = None

    def schema(self, what_type: str) -> Json:
        properties: Json = {
            self.where: {"type": "string", "description": self.where_says},
            self.what: {"type": what_type, "description": self.what_says},
        }
        if self.extra:
            properties[self.extra[0]] = self.extra[1]
        parameters = {"type": "object", "properties": properties, "required": [self.where, self.what]}
        return {"type": "function", "function": {"name": self.name, "description": self.description, "parameters": parameters}}


OVERWRITE = ("overwrite", {"type": "boolean", "description": "Replace an existing file. Default false."}, True)
TEXT_TOOLS = (
    FileTool("write_file", "Write text to a file.", "path", "Path of the file.", "content", "The whole text of the file.", "validation"),
    FileTool("create_document", "Create a document with the given text.", "filename", "File name.", "text", "Full text.", "train"),
    FileTool("save_script", "Store a script on disk.", "script_path", "Where to store it.", "source", "Source code.", "train", OVERWRITE),
    FileTool("put_object", "Upload text under a key of the bucket.", "key", "Object key.", "body", "Object body.", "train"),
    FileTool("editor.new_buffer", "Open a new buffer holding text.", "buffer", "Buffer name.", "initial_text", "Its text.", "train"),
    FileTool("storeSnippet", "Keep a code snippet in the library.", "title", "Title of the snippet.", "code", "The code itself.", "train"),
    FileTool("workspace.add", "Add a file to the workspace.", "target", "Relative path.", "data", "File data as text.", "train", OVERWRITE),
    FileTool("paste_upload", "Publish text as a paste.", "name", "Name of the paste.", "paste", "Text to publish.", "train"),
)
CONFIG_TOOLS = (
    FileTool("save_config", "Save a configuration.", "name", "Name of the configuration.", "config", "The settings.", "validation"),
    FileTool("apply_settings", "Apply settings to an environment.", "environment", "Environment.", "settings", "The settings.", "train"),
    FileTool("store_profile", "Store a deployment profile.", "profile", "Profile name.", "values", "Values, nested.", "train"),
    FileTool("config.put", "Put a document into the configuration store.", "key", "Key.", "document", "The document.", "train"),
    FileTool("updateManifest", "Replace the manifest of a service.", "service", "Service.", "manifest", "The manifest.", "train"),
    FileTool("register_preset", "Register a preset.", "preset", "Name of the preset.", "options", "Options of the preset.", "train"),
)
TEXT_REQUESTS = (
    "Save this as {where}:\n\n{what}",
    "Write the following to {where}:\n{what}",
    "Put this code into {where}.\n\n{what}",
    "{what}\n\nStore the code above as {where}.",
    "I need a new file {where} with exactly this content:\n{what}",
    "Please create {where} from this:\n\n{what}",
    "{where} should contain:\n{what}",
    "Keep this under {where}, unchanged:\n\n{what}",
)
CONFIG_REQUESTS = (
    "Save these settings as {where}:\n{what}",
    "Store this configuration under {where}:\n\n{what}",
    "{what}\n\nThat is the new configuration for {where}. Save it.",
    "Please set {where} to the following:\n{what}",
    "For {where} use exactly these values:\n{what}",
    "Update {where} with\n{what}",
)
QUESTIONS = (
    ("What does this code do?\n\n{what}", "It defines `{symbol}`; I can explain any part of it in more detail."),
    ("Can you explain this to me?\n{what}", "This is the definition of `{symbol}`. Tell me which lines are unclear."),
    ("What is this piece called?\n\n{what}", "It is called `{symbol}`."),
)
CONFIG_NAMES = (
    "staging",
    "production",
    "gateway-eu",
    "billing",
    "worker-3",
    "nightly",
    "mobile-api",
    "edge",
    "search-v2",
    "demo",
    "qa",
    "ingest",
)


def _piece(composer: Composer, max_lines: int) -> Piece:
    pieces = [piece for piece in code_pieces(max_lines) if split_of(piece.file) == composer.split]
    return composer.rng.choice(pieces)


def _quoted(text: str, rng: random.Random) -> str:
    return text if rng.random() < 0.4 else f"```python\n{text}\n```"


def _where(piece: Piece, rng: random.Random) -> str:
    stem = piece.text.split("(")[0].split(":")[0].split()[-1].strip("_").lower()[:24] or "module"
    return f"{rng.choice(['', 'src/', 'lib/', 'tools/', 'app/utils/', '/tmp/', 'scripts/'])}{stem}.py"


def _store(
    composer: Composer, tool: FileTool, template: str, where: str, what: Any, spelled: str, what_type: str
) -> tuple[list[Json], list[Json]]:
    from data.sources.dialogue import assistant, user

    arguments = {tool.where: where, tool.what: what}
    text = template.format(where=where, what=spelled)
    if tool.extra and composer.rng.random() < 0.4:
        arguments[tool.extra[0]] = tool.extra[2]
        text += "\nOverwrite it if it exists."
    others = composer.offer(composer.rng.sample(composer.tools, composer.rng.choice([0, 0, 1, 1, 2])))
    tools = composer.rng.sample([tool.schema(what_type), *(item.schema() for item in others)], 1 + len(others))
    return tools, [user(text), assistant(calls=[(tool.name, arguments, "call_0")])]


def write_file(composer: Composer) -> tuple[list[Json], list[Json]]:
    """A whole definition of real code goes into a file."""
    rng = composer.rng
    tool = rng.choice([tool for tool in TEXT_TOOLS if tool.split == composer.split])
    template = rng.choice([text for text in TEXT_REQUESTS if split_of(text) == composer.split] or list(TEXT_REQUESTS[:2]))
    piece = _piece(composer, rng.choice([10, 20, MAX_LINES]))
    return _store(composer, tool, template, _where(piece, rng), piece.text, _quoted(piece.text, rng), "string")


def save_config(composer: Composer) -> tuple[list[Json], list[Json]]:
    """Nested settings go into a configuration store."""
    rng = composer.rng
    tool = rng.choice([tool for tool in CONFIG_TOOLS if tool.split == composer.split])
    template = rng.choice([text for text in CONFIG_REQUESTS if split_of(text) == composer.split] or list(CONFIG_REQUESTS[:2]))
    config = nested_config(rng, rng.randint(2, 5))
    return _store(composer, tool, template, rng.choice(CONFIG_NAMES), config, spell_config(config, rng), "object")


def about_code(composer: Composer) -> tuple[list[Json], list[Json]]:
    """A question about pasted code: a file tool is offered, but nothing is to be stored."""
    from data.sources.dialogue import assistant, user

    rng = composer.rng
    tool = rng.choice([tool for tool in TEXT_TOOLS if tool.split == composer.split])
    question, answer = rng.choice(QUESTIONS)
    piece = _piece(composer, 12)
    symbol = piece.text.split("(")[0].split(":")[0].split()[-1]
    return [tool.schema("string")], [user(question.format(what=_quoted(piece.text, rng))), assistant(answer.format(symbol=symbol))]


KINDS: dict[str, Callable[[Composer], tuple[list[Json], list[Json]]]] = {
    "write_file": write_file,
    "save_config": save_config,
    "about_code": about_code,
}


def compose(kind: str, composer: Composer) -> tuple[list[Json], list[Json]]:
    """Tools and messages of one transcript of `kind`."""
    return KINDS[kind](composer)
