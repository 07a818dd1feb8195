"""File and configuration tools: calls whose arguments are a whole file or deeply nested settings.

These are the calls that a model prefers to dump as text. The tools `write_file` and `save_config` belong to the validation split;
training sees other tools of the same nature.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data.sources.file_phrases import CONFIG_NAMES, CONFIG_REQUESTS, QUESTIONS, TEXT_REQUESTS
from data.sources.messages import assistant, result, user
from data.sources.payloads import (
    DEEP,
    DEEP_SPELLINGS,
    SPELLINGS,
    Piece,
    code_pieces,
    compact_config,
    decorated,
    escaped,
    excerpt,
    modules_of,
    nested_config,
    rarely_escaped,
    repeated,
    spell_config,
)
from data.split import Split, split_of
from data.transcript import Json

if TYPE_CHECKING:
    from data.sources.dialogue import Composer

LINES = {"train": (12, 20, 30), "validation": (10, 20, 40)}  # longest piece: training is shorter than what is measured


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


SMALL_LINES, SMALL_DEPTH = (5, 8, 12, 20), (1, 5)  # of code and settings in small exchanges
SMALL_SPELLINGS = ("json", "yaml", "yaml", "dotted", "dotted")  # mostly those whose brackets are not there to be copied
LONG_LINES = (20, 220)  # of long files
INTERRUPTED_RATE = 0.27  # of the code in small exchanges: has a blank line
ESCAPED_RATE = 0.1  # of it: lines with many quotes and backslashes, which a model that seldom wrote them copies as they are
RARELY_ESCAPED_RATE = 0.15  # of it: with a quote or backslash between rare neighbours, or a wide indentation, whose token holds both
REPEATED_RATE = 0.2  # of it: a line occurs twice, and a model that looks no further back goes round in circles
DECORATED_RATE = 0.08  # of it: begins with a decorator, as one top-level definition in a hundred of the training modules does
ESCAPED_LINES, REPEATED_LINES, DECORATED_LINES, LONGEST_LINE = (3, 12), (6, 20), (3, 14), 90

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


def _pieces(composer: Composer, max_lines: int) -> list[Piece]:
    return [piece for piece in code_pieces(max_lines) if split_of(piece.file) == composer.split]


def _piece(composer: Composer, max_lines: int) -> Piece:
    return composer.rng.choice(_pieces(composer, max_lines))


def _short_piece(composer: Composer) -> Piece:
    """Few lines; some with a blank one among them, which a model that never copied one repeats until it runs out of room."""
    what = composer.rng.random()
    if what < ESCAPED_RATE:
        return _excerpt(composer, ESCAPED_LINES, lambda piece: escaped(piece.text) >= piece.lines)
    if (what := what - ESCAPED_RATE) < RARELY_ESCAPED_RATE:
        return rarely_escaped(composer.split, composer.rng.randint(*ESCAPED_LINES), LONGEST_LINE, composer.rng)
    if (what := what - RARELY_ESCAPED_RATE) < REPEATED_RATE:
        return _excerpt(composer, REPEATED_LINES, lambda piece: repeated(piece.text) > 0)
    if (what := what - REPEATED_RATE) < DECORATED_RATE:
        return decorated(composer.split, composer.rng.randint(*DECORATED_LINES), composer.rng)
    if what - DECORATED_RATE < INTERRUPTED_RATE:
        return composer.rng.choice([piece for piece in _pieces(composer, 20) if "\n\n" in piece.text])
    return _piece(composer, composer.rng.choice(SMALL_LINES))


def _excerpt(composer: Composer, lines: tuple[int, int], wanted: Callable[[Piece], bool]) -> Piece:
    """A few lines of a real module, of ordinary length, that are as wanted."""
    rng, sources = composer.rng, modules_of(composer.split)
    while True:
        piece = excerpt(rng.choice(sources), rng.randint(*lines), rng)
        if wanted(piece) and max(map(len, piece.text.splitlines())) <= LONGEST_LINE:
            return piece


def _quoted(text: str, rng: random.Random) -> str:
    return text if rng.random() < 0.4 else f"```python\n{text}\n```"


def _where(piece: Piece, rng: random.Random) -> str:
    """A path named after what the piece defines, or after its module where it begins anywhere else."""
    if not piece.text.startswith(("def ", "class ", "async ", "@")):
        return _path(piece.file.removesuffix(".py"), rng)
    return _path(piece.text.split("(")[0].split(":")[0].split()[-1].strip("_").lower()[:24] or "module", rng)


def _path(stem: str, rng: random.Random) -> str:
    return f"{rng.choice(['', 'src/', 'lib/', 'tools/', 'app/utils/', '/tmp/', 'scripts/'])}{stem}.py"


@dataclass(frozen=True)
class Exchange:
    """A request and what the assistant does with it: calls the tool with `arguments`, or says `answer`."""

    request: str
    arguments: Json | None = None
    answer: str = ""

    def messages(self, tool: FileTool, id_: str) -> list[Json]:
        calls = [(tool.name, self.arguments, id_)] if self.arguments is not None else None
        return [user(self.request), assistant(self.answer, calls)]


def _tool(composer: Composer, tools: tuple[FileTool, ...]) -> FileTool:
    return composer.rng.choice([tool for tool in tools if tool.split == composer.split])


def phrase(composer: Composer, phrases: Sequence[str]) -> str:
    return composer.rng.choice([phrase for phrase in phrases if split_of(phrase) == composer.split])


def _store(composer: Composer, tool: FileTool, template: str, where: str, what: Any, spelled: str) -> Exchange:
    arguments = {tool.where: where, tool.what: what}
    text = template.format(where=where, what=spelled)
    if tool.extra and composer.rng.random() < 0.4:
        arguments[tool.extra[0]] = tool.extra[2]
        text += "\nOverwrite it if it exists."
    return Exchange(text, arguments)


def _store_code(composer: Composer, tool: FileTool, piece: Piece) -> Exchange:
    template, where = phrase(composer, TEXT_REQUESTS), _where(piece, composer.rng)
    return _store(composer, tool, template, where, piece.text, _quoted(piece.text, composer.rng))


def _store_config(composer: Composer, tool: FileTool, config: dict[str, Any], spellings: tuple[str, ...] = SPELLINGS) -> Exchange:
    where = composer.rng.choice(CONFIG_NAMES)
    return _store(composer, tool, phrase(composer, CONFIG_REQUESTS), where, config, spell_config(config, composer.rng, spellings))


def _ask_about(composer: Composer, lines: int) -> Exchange:
    question = phrase(composer, list(QUESTIONS))
    piece = _piece(composer, lines)
    symbol = piece.text.split("(")[0].split(":")[0].split()[-1]
    return Exchange(question.format(what=_quoted(piece.text, composer.rng)), answer=QUESTIONS[question].format(symbol=symbol))


def _single(composer: Composer, tool: FileTool, what_type: str, exchange: Exchange) -> tuple[list[Json], list[Json]]:
    others = composer.offer(composer.rng.sample(composer.tools, composer.rng.choice([0, 0, 1, 1, 2])))
    tools = composer.rng.sample([tool.schema(what_type), *(item.schema() for item in others)], 1 + len(others))
    return tools, exchange.messages(tool, "call_0")


def write_file(composer: Composer) -> tuple[list[Json], list[Json]]:
    """A whole definition of real code goes into a file."""
    tool = _tool(composer, TEXT_TOOLS)
    return _single(composer, tool, "string", _store_code(composer, tool, _piece(composer, composer.rng.choice(LINES[composer.split]))))


def save_config(composer: Composer) -> tuple[list[Json], list[Json]]:
    """Nested settings go into a configuration store."""
    tool = _tool(composer, CONFIG_TOOLS)
    return _single(composer, tool, "object", _store_config(composer, tool, nested_config(composer.rng, composer.rng.randint(2, 5))))


def long_file(composer: Composer) -> tuple[list[Json], list[Json]]:
    """A page or several of a real module go into a file, wherever the page begins and ends."""
    tool, rng = _tool(composer, TEXT_TOOLS), composer.rng
    module = rng.choice(modules_of(composer.split))
    text, where = excerpt(module, rng.randint(*LONG_LINES), rng).text, _path(module.file.removesuffix(".py"), rng)
    return _single(composer, tool, "string", _store(composer, tool, phrase(composer, TEXT_REQUESTS), where, text, _quoted(text, rng)))


def deep_config(composer: Composer) -> tuple[list[Json], list[Json]]:
    """Settings nested four to seven deep go into a configuration store, half of them with one value on a level and so more brackets."""
    tool, rng = _tool(composer, CONFIG_TOOLS), composer.rng
    config = nested_config(rng, rng.randint(*DEEP), rng.choice((1, 3)))
    return _single(composer, tool, "object", _store_config(composer, tool, config, DEEP_SPELLINGS))


def about_code(composer: Composer) -> tuple[list[Json], list[Json]]:
    """A question about pasted code: a file tool is offered, but nothing is to be stored."""
    tool = _tool(composer, TEXT_TOOLS)
    return [tool.schema("string")], _ask_about(composer, 12).messages(tool, "call_0")


def offer_pair(composer: Composer) -> tuple[list[Json], tuple[FileTool, FileTool]]:
    """A text tool and a configuration tool: their schemas in a random order, and the two."""
    text_tool, config_tool = _tool(composer, TEXT_TOOLS), _tool(composer, CONFIG_TOOLS)
    return composer.rng.sample([text_tool.schema("string"), config_tool.schema("object")], 2), (text_tool, config_tool)


def exchange(composer: Composer, pair: tuple[FileTool, FileTool], id_: str) -> list[Json]:
    """One request over the pair and its answer: code or settings are stored, code is explained, or small talk."""
    rng = composer.rng
    what, (tool, config_tool) = rng.random(), pair
    if what < 0.35:
        found = _store_code(composer, tool, _piece(composer, rng.choice((6, 10))))
    elif what < 0.7:
        tool = config_tool
        found = _store_config(composer, tool, nested_config(rng, rng.randint(1, 4)))
    elif what < 0.9:
        found = _ask_about(composer, 8)
    else:
        messages: list[Json] = []
        composer.chat(messages)
        return messages
    return found.messages(tool, id_)


def small_exchange(composer: Composer, pair: tuple[FileTool, FileTool]) -> list[Json]:
    """One request over the pair: a short piece of code or compact settings are stored, or code is explained."""
    rng = composer.rng
    what, (text_tool, config_tool) = rng.random(), pair
    if what < 0.37:
        return _store_code(composer, text_tool, _short_piece(composer)).messages(text_tool, "call_0")
    if what < 0.8:
        settings = compact_config if rng.random() < 0.5 else nested_config
        where, config = rng.choice(CONFIG_NAMES), settings(rng, rng.randint(*SMALL_DEPTH))
        spelled = spell_config(config, rng, SMALL_SPELLINGS)
        return _store(composer, config_tool, phrase(composer, CONFIG_REQUESTS), where, config, spelled).messages(config_tool, "call_0")
    return _ask_about(composer, 8).messages(text_tool, "call_0")


def file_dialogue(composer: Composer) -> tuple[list[Json], list[Json]]:
    """Several requests over one text tool and one configuration tool."""
    tools, pair = offer_pair(composer)
    messages: list[Json] = []
    for _ in range(composer.rng.randint(4, 6)):
        id_ = f"call_{len(messages)}"
        messages += exchange(composer, pair, id_)
        if calls := messages[-1].get("tool_calls"):
            messages.append(result(calls[0]["function"]["name"], {"ok": True}, id_))
    if messages[-1]["role"] == "tool":
        messages.pop()
    return tools, messages


KINDS: dict[str, Callable[[Composer], tuple[list[Json], list[Json]]]] = {
    "write_file": write_file,
    "save_config": save_config,
    "long_file": long_file,
    "deep_config": deep_config,
    "about_code": about_code,
    "file_dialogue": file_dialogue,
}


def compose(kind: str, composer: Composer) -> tuple[list[Json], list[Json]]:
    """Tools and messages of one transcript of `kind`."""
    return KINDS[kind](composer)
