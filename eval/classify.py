"""One completion, read strictly, against its case: exactly one verdict. Pure; no torch."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from data.response import Response
from data.wire import HERMES
from eval.case import Case
from eval.match import calls_mismatch


class Verdict(StrEnum):
    """Exhaustive and exclusive. The first seven are for cases that expect a call, the last two for cases that expect none."""

    CORRECT_CALL = "native call, correct"
    WRONG_CALL = "native call, wrong"
    MALFORMED = "malformed"
    TYPED_CALL = "typed call"
    CODE_DUMP = "code dump"
    PROSE = "prose"
    EMPTY = "empty"
    CORRECT_ABSTENTION = "correct abstention"
    FALSE_CALL = "false call"


@dataclass(frozen=True)
class Judged:
    """A verdict and the reason for it in words."""

    verdict: Verdict
    reason: str


FENCE = re.compile(r"```([\w+#.-]*)[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
NO_CODE = frozenset({"", "text", "txt", "json", "markdown", "md", "yaml", "output", "plaintext"})
CODE_LINE = re.compile(
    r"^\s*(?:def \w+\s*\(|class \w+|import [\w.]+|from [\w.]+ import |#include|public (?:static|class)|function \w+\s*\(|const \w+ =|#!/)"
)


def judge(case: Case, response: Response) -> Judged:
    """Classify one response."""
    if not case.expects_call:
        return _judge_abstention(case, response)
    if response.calls:
        found = [(call.name, call.arguments) for call in response.calls]
        functions = [tool["function"] for tool in case.tools]
        mismatch = calls_mismatch(found, list(case.expected), functions)
        if mismatch is None and response.malformed:
            mismatch = f"a further block is malformed: {response.malformed[0].defect}"
        return Judged(Verdict.WRONG_CALL, mismatch) if mismatch else Judged(Verdict.CORRECT_CALL, "calls as expected")
    if response.malformed:
        return Judged(Verdict.MALFORMED, f"native tokens around a block that is {response.malformed[0].defect}")
    return judge_text(response.content, _names(case))


def _judge_abstention(case: Case, response: Response) -> Judged:
    """An attempt to call is a false call, also when it is malformed or typed: a failed decoding is no abstention."""
    if response.calls or response.malformed:
        return Judged(Verdict.FALSE_CALL, "native tokens although no call was expected")
    if judge_text(response.content, _names(case)).verdict is Verdict.TYPED_CALL:
        return Judged(Verdict.FALSE_CALL, "a typed call although no call was expected")
    return Judged(Verdict.CORRECT_ABSTENTION, "no call")


def _names(case: Case) -> set[str]:
    return {tool["function"]["name"] for tool in case.tools}


def judge_text(text: str, tool_names: set[str]) -> Judged:
    """What a completion without any native block is: typed call, code dump, prose or empty."""
    if not text.strip():
        return Judged(Verdict.EMPTY, "nothing but white space")
    if HERMES.call_open in text:
        return Judged(Verdict.TYPED_CALL, "the call's opening text, spelled with other ids")
    for value in json_objects(text):
        if str(value.get("name")) in tool_names and ({"arguments", "parameters"} & value.keys()):
            return Judged(Verdict.TYPED_CALL, "a call as JSON text")
    reason = code_reason(text, tool_names)
    return Judged(Verdict.CODE_DUMP, reason) if reason else Judged(Verdict.PROSE, "text without call or code")


def json_objects(text: str) -> Iterator[dict[str, object]]:
    """JSON objects that stand anywhere in the text, outermost first."""
    decoder = json.JSONDecoder()
    position = text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            if isinstance(value, dict):
                yield value
        position = text.find("{", end)


def code_reason(text: str, tool_names: set[str]) -> str | None:
    """Why the text is a code dump, or None: program text in a fence, or statements that define, import or call."""
    blocks = FENCE.findall(text)
    for language, body in blocks:
        if language.lower() not in NO_CODE:
            return f"a fenced block of {language}"
        if reason := _python_reason(body, tool_names):
            return f"a fenced block that {reason}"
    if blocks:
        return None
    if sum(bool(CODE_LINE.match(line)) for line in text.splitlines()) >= 1:
        return "lines that define or import"
    return _python_reason(text, tool_names)


def _python_reason(text: str, tool_names: set[str]) -> str | None:
    """Parse as Python, leaving out a last statement that was cut off."""
    tree = _parse(text)
    if tree is None:
        return None
    last_names = {name.rsplit(".", 1)[-1] for name in tool_names}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return f"defines {node.name}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            return "imports"
        if isinstance(node, ast.Call) and _called(node) in last_names:
            return f"calls {_called(node)} as a Python function"
    return None


def _called(node: ast.Call) -> str | None:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else None


def _parse(text: str, tries: int = 12) -> ast.Module | None:
    lines = text.strip().splitlines()
    for dropped in range(min(tries, len(lines))):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse("\n".join(lines[: len(lines) - dropped]))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None
