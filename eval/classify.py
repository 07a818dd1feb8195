"""One completion, read strictly, against its case: its emission class and its verdict. Pure; no torch."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator

from data.response import Defect, Response
from data.wire import HERMES
from eval.case import Case
from eval.completion import Completion
from eval.emission import ATTEMPTS, Emission
from eval.match import calls_mismatch
from eval.verdict import Judged, Verdict

FENCE = re.compile(r"```([\w+#.-]*)[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
NO_CODE = frozenset({"", "text", "txt", "json", "markdown", "md", "yaml", "output", "plaintext"})
CODE_LINE = re.compile(
    r"^\s*(?:def \w+\s*\(|class \w+|import [\w.]+|from [\w.]+ import |#include|public (?:static|class)|function \w+\s*\(|const \w+ =|#!/)"
)


BROKEN = {
    Defect.PYTHON_LITERAL: Emission.NATIVE_PYTHON,
    Defect.UNCLOSED: Emission.NATIVE_UNCLOSED,
    Defect.TRUNCATED: Emission.NATIVE_TRUNCATED,
}


def judge(case: Case, completion: Completion, response: Response) -> Judged:
    """Classify one completion, given its strict reading."""
    emission, why = emission_of(completion, response, {function["name"] for function in case.functions})
    if emission is Emission.ERROR or emission is Emission.UNMEASURABLE:
        return Judged(emission, None, why)
    if case.unjudged:
        return Judged(emission, None, why, "nobody said what is right")
    verdict, mismatch = verdict_of(case, emission, response)
    return Judged(emission, verdict, why, mismatch)


def emission_of(completion: Completion, response: Response, tool_names: set[str]) -> tuple[Emission, str]:
    """What the completion is, and why, by ids first and by text only where no wire id was generated."""
    if completion.finish == "error":
        return Emission.ERROR, completion.error or "no completion"
    if completion.ids is None:
        return Emission.UNMEASURABLE, "the server gave no token ids"
    if response.calls:
        return Emission.NATIVE_CALL, "a well-formed call between the wire format's own ids"
    if response.malformed:
        defect = response.malformed[0].defect
        return BROKEN.get(defect, Emission.NATIVE_MALFORMED), f"native ids around a block that is {defect}"
    return emission_of_text(response.content, response.reasoning, tool_names)


def verdict_of(case: Case, emission: Emission, response: Response) -> tuple[Verdict, str]:
    """What the completion is worth, and what is wrong with it. A failed attempt to call is no abstention."""
    if not case.expects_call:
        if emission in ATTEMPTS:
            return Verdict.FALSE_CALL, f"{emission} although no call was expected"
        return (Verdict.RIGHT_QUESTION if emission is Emission.QUESTION else Verdict.RIGHT_ABSTENTION), ""
    if emission is not Emission.NATIVE_CALL:
        return Verdict.MISSED, f"{emission} where a call was expected"
    found = [(call.name, call.arguments) for call in response.calls]
    if case.any_call:
        unknown = {name for name, _ in found} - {function["name"] for function in case.functions}
        return (Verdict.WRONG_TOOL, f"not offered: {', '.join(sorted(unknown))}") if unknown else (Verdict.RIGHT_CALL, "")
    mismatch = calls_mismatch(found, list(case.expected), case.functions)
    if mismatch is None and response.malformed:
        return Verdict.WRONG_NUMBER, f"a further block is malformed: {response.malformed[0].defect}"
    return (Verdict.WRONG_ARGUMENTS, mismatch) if mismatch else (Verdict.RIGHT_CALL, "")


def emission_of_text(text: str, reasoning: str | None, tool_names: set[str]) -> tuple[Emission, str]:
    """What a completion without any native block is."""
    if not text.strip():
        return (Emission.REASONING_ONLY, "nothing after the reasoning") if reasoning else (Emission.EMPTY, "nothing but white space")
    if HERMES.call_open in text:
        return Emission.TYPED_CALL, "the call's opening text, spelled with other ids"
    for value in json_objects(text):
        if str(value.get("name")) in tool_names and ({"arguments", "parameters"} & value.keys()):
            return Emission.JSON_IN_TEXT, "a call as JSON text"
    reason = code_reason(text, tool_names)
    return (Emission.CODE_DUMP, reason) if reason else (Emission.ANSWER, "text without call or code")


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
