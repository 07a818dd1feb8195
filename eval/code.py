"""Recognises program text: Python by parsing, other languages by their fence and pygments' lexers, shell by its commands. Never raises.

Code that names an offered tool is about the tool, whatever was expected. Any other program is a code dump where a call was wanted,
because it stands in the call's place, and an answer where none was: the right answer to a question about code is code.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator

from pygments.lexers import find_lexer_class_by_name
from pygments.token import Token
from pygments.util import ClassNotFound

from eval.asked import Asked, key_of
from eval.emission import Emission
from eval.fences import Block, Layout
from eval.python_code import SAMPLE, Use, called_names, parse, use_of
from eval.shell_code import is_shell

Found = tuple[Emission, str]
MOST_BLOCKS = 6
SHELLS = frozenset({"Bash", "Bash Session", "PowerShell", "PowerShell Session", "Batchfile", "Fish", "Tcsh", "MSDOS Session"})
DATA = frozenset(
    [
        "JSON",
        "JSON-LD",
        "JSON5",
        "YAML",
        "TOML",
        "XML",
        "INI",
        "Properties",
        "Text only",
        "Text output",
        "Markdown",
        "reStructuredText",
        "Diff",
        "TeX",
        "BibTeX",
        "HTTP",
    ]
)
CODE_TAG = re.compile(r"^[ \t]*<code>", re.MULTILINE)
THOUGHT = re.compile(r"^[^\w\n]*Thoughts?[^\w\n]*:", re.MULTILINE)
CODE_LABEL = re.compile(r"^[^\w\n]*Code[^\w\n]*:[^\w\n]*$", re.MULTILINE)
STATEMENT = re.compile(
    r"^(?:(?:async )?def \w+\s*\(|class \w+\s*[:({]|import [\w.{*]|from [\w.]+ import |@\w+|#!|#include\s*[<\"]"
    r"|package \w+;?$|using [\w.]+;|(?:for|while|if) .+:$|try:$"
    r"|(?:export |public |private |static )+\w+|(?:async )?function \w+\s*\(|(?:const|let|var) \w+\s*=|with open\()",
    re.MULTILINE,
)
ENDS_IN_CODE = re.compile(r"[;{}]\s*$|^\s*(?://|\}|</?\w)")


def code_of(text: str, parts: Layout, asked: Asked) -> Found | None:
    """The class of program text that `text` is, with the reason, or None."""
    if reason := code_mode(text, parts, asked):
        return Emission.CODE_MODE, reason
    found = [item for block in parts.blocks[:MOST_BLOCKS] if (item := block_code(block, asked))]
    loose = prose_code(parts.prose, asked)
    found += [loose] if loose else []
    for emission in (Emission.CODE_DUMP, Emission.PYTHON_CALL, Emission.SHELL_DUMP):
        if reason := next((reason for kind, reason in found if kind is emission), None):
            return emission, reason
    return None


def code_mode(text: str, parts: Layout, asked: Asked) -> str | None:
    """smolagents' way to act (https://huggingface.co/docs/smolagents): Python in a `<code>` element, or after the label "Code:"."""
    if opening := CODE_TAG.search(text):
        body = text[opening.end() :].split("</code>", 1)[0]
        use, _ = use_of(body, asked)
        if use in (Use.CALLS, Use.NAMES) or _answers(body) or (use is Use.PROGRAM and body.startswith("\n")):
            return "Python in a <code> element"
    label = CODE_LABEL.search(text)
    if label and THOUGHT.search(text):
        bodies = [block.body for block in parts.blocks[:MOST_BLOCKS]] or [text[label.end() :]]
        if any(use_of(body, asked)[0] is not Use.NOTHING for body in bodies):
            return 'Python under "Thought:" and "Code:"'
    return None


def _answers(body: str) -> bool:
    tree = parse(body)
    return tree is not None and "final_answer" in called_names(list(ast.walk(tree)))


def block_code(block: Block, asked: Asked) -> Found | None:
    """What one fenced block is, by its language if it names one, else by what it parses as."""
    kind = language_kind(block.language)
    if kind == "data":
        return None
    if kind == "shell":
        return (Emission.SHELL_DUMP, f"a fenced block of {block.language}") if asked.wants_call else None
    if kind == "program":
        told = asked.wants_call or _lexer_names_tool(block, asked)
        return (Emission.CODE_DUMP, f"a fenced block of {block.language}") if told else None
    if python := _python(block.body, asked):
        return python
    if asked.wants_call and kind == "python":
        return Emission.CODE_DUMP, "a fenced block of python"
    if asked.wants_call and is_shell(block.body, asked, fenced=True):
        return Emission.SHELL_DUMP, "a fenced block of shell commands"
    return (Emission.CODE_DUMP, "a fenced block of program text") if asked.wants_call and has_code_shape(block.body) else None


def prose_code(prose: str, asked: Asked) -> Found | None:
    """Program text outside fences: from the first line that begins a statement or calls a tool."""
    for start in _starts(prose, asked):
        if python := _python(prose[start:], asked):
            return python
    if not asked.wants_call:
        return None
    if is_shell(prose, asked, fenced=False):
        return Emission.SHELL_DUMP, "shell commands"
    statement = STATEMENT.search(prose)
    if statement and has_code_shape(prose[statement.start() :]):
        return Emission.CODE_DUMP, "lines of program text"
    return None


def _starts(prose: str, asked: Asked) -> Iterator[int]:
    """Offsets of the first lines that may begin Python."""
    call = re.compile(rf"^[ \t]*(?:>>> )?(?:\w+\s*[:=]\s*)?(?:await |print\(|\[)?(?:\w+\.)*(?:{asked.spelled})\s*\(", re.MULTILINE)
    found = sorted(match.start() for pattern in (STATEMENT, call) if (match := pattern.search(prose)))
    return iter(found)


def _python(text: str, asked: Asked) -> Found | None:
    use, reason = use_of(text, asked)
    if use is Use.CALLS:
        return Emission.PYTHON_CALL, reason
    if use is Use.NAMES or (use is Use.PROGRAM and asked.wants_call):
        return Emission.CODE_DUMP, reason
    return None


@functools.lru_cache(maxsize=256)
def language_kind(language: str) -> str:
    """`python`, `shell`, `program`, `data`, or `unknown` for no language and for tags that pygments does not know."""
    if not language:
        return "unknown"
    try:
        name = find_lexer_class_by_name(language).name
    except ClassNotFound:
        return "unknown"
    if name in SHELLS:
        return "shell"
    if name.startswith("Python"):
        return "python"
    return "data" if name in DATA else "program"


def _lexer_names_tool(block: Block, asked: Asked) -> bool:
    lexer = find_lexer_class_by_name(block.language)()
    tokens = lexer.get_tokens(block.body[:SAMPLE])
    return any(kind in Token.Name and key_of(value) in asked.keys for kind, value in tokens)


def has_code_shape(text: str) -> bool:
    """Whether most of at least two lines end or begin as lines of the C family and of markup do."""
    lines = [line for line in text[:SAMPLE].splitlines() if line.strip()]
    return len(lines) > 1 and sum(bool(ENDS_IN_CODE.search(line)) for line in lines) >= 0.6 * len(lines)
