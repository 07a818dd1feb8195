"""Recognises Python by parsing it, also where generation was cut off. Never raises."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from enum import Enum

from eval.asked import Asked, key_of

SAMPLE = 4000  # characters of a block that are parsed
MOST_PARSES = 6
PIECE = re.compile(r"(?P<comment>#[^\n]*)|(?P<long>\"\"\"|''')|(?P<quote>[\"'])|(?P<open>[(\[{])|(?P<close>[)\]}])")
PAIRS = {"(": ")", "[": "]", "{": "}"}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
CALLS_ONLY = (ast.Expr, ast.Assign, ast.AnnAssign)


class Use(Enum):
    """What Python text does with the offered tools."""

    CALLS = "calls a tool and does no more"
    NAMES = "defines, imports or calls a tool"
    PROGRAM = "is a program"
    NOTHING = "is no program"


def parse(text: str) -> ast.Module | None:
    """The tree of the longest beginning of `text` that parses, with what a cut left open closed; None if no statement is left."""
    text = "\n".join(line.removeprefix(">>> ").removeprefix("... ") for line in text[:SAMPLE].strip("\n").splitlines())
    for _ in range(MOST_PARSES):
        error = None
        whole = closed(text)
        for candidate in (text, whole, f"{whole}: pass", f"{whole} pass"):
            tree = _tree(candidate)
            if isinstance(tree, ast.Module):
                return tree if tree.body else None
            error = error or tree
        assert isinstance(error, int)
        lines = text.splitlines()
        text = "\n".join(lines[: max(0, min(error, len(lines)) - 1)])
    return None


def _tree(text: str) -> ast.Module | int:
    """The tree, or the line of the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, feature_version=(3, 12))
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, RecursionError, MemoryError):
        return 0


def closed(text: str) -> str:
    """`text` with its open string and brackets closed; a last argument that was cut off within its name is left out."""
    at = 0
    pending: list[str] = []
    while piece := PIECE.search(text, at):
        at = piece.end()
        if mark := piece["long"] or piece["quote"]:
            end = _string_end(text, at, mark)
            if end is None:
                return text.rstrip("\\") + mark + "".join(reversed(pending))
            at = end
        elif piece["open"]:
            pending.append(PAIRS[piece["open"]])
        elif piece["close"] and pending:
            pending.pop()
    comma = text.rfind(",")
    tail = text[comma + 1 :] if pending and comma >= 0 else ""
    kept = text[:comma] if re.fullmatch(r"\s*\w*\s*=?\s*", tail) and tail else text.rstrip().rstrip(",=")
    return kept + "".join(reversed(pending))


def _string_end(text: str, at: int, mark: str) -> int | None:
    """Where the string with this mark ends; a one-line string that is not closed in its line is open to the end."""
    while found := re.compile(rf"\\.|{mark}", re.DOTALL).search(text, at):
        at = found.end()
        if found[0] == mark:
            return at
    return None


def use_of(text: str, asked: Asked) -> tuple[Use, str]:
    """What `text` does with the tools if it is Python, and the reason in words."""
    tree = parse(text)
    if tree is None:
        return Use.NOTHING, "does not parse as Python"
    nodes = list(ast.walk(tree))
    defined = next((node.name for node in nodes if isinstance(node, DEFINITIONS)), None)
    imported = any(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes)
    called = next((name for name in called_names(nodes) if names_tool(name, asked)), None)
    if called and all(isinstance(node, CALLS_ONLY) for node in tree.body):
        return Use.CALLS, f"calls {called} as a Python function"
    if called or any(key_of(name) in asked.keys for name in _bound_names(nodes)):
        return Use.NAMES, f"Python that defines, imports or calls {called or 'the tool'}"
    if defined or imported:
        return Use.PROGRAM, f"Python that {f'defines {defined}' if defined else 'imports'}"
    runs = any(isinstance(node, ast.Call | ast.For | ast.While | ast.With | ast.Assign) for node in nodes)
    return (Use.PROGRAM, "Python statements") if runs else (Use.NOTHING, "no Python statement that does anything")


def called_names(nodes: list[ast.AST]) -> Iterator[str]:
    """Dotted names of all calls, outermost first."""
    for node in nodes:
        if isinstance(node, ast.Call):
            try:
                yield ast.unparse(node.func)
            except RecursionError:
                return


def names_tool(called: str, asked: Asked) -> bool:
    """Whether a dotted name is a tool's own, with or without a name space before it, or the last part of a tool's name alone."""
    return any(called == name or called.endswith(f".{name}") or ("." in name and called == name.rsplit(".", 1)[1]) for name in asked.names)


def _bound_names(nodes: list[ast.AST]) -> Iterator[str]:
    """Names that are defined or imported."""
    for node in nodes:
        if isinstance(node, DEFINITIONS):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
