"""Our templates print the same in every Jinja engine that a server may have: compared with transformers', which vLLM uses as well.

`@huggingface/jinja` is found by node (`npm install @huggingface/jinja`, or NODE_PATH), llama.cpp's engine by LLAMA_JINJA, see
`llama_jinja.cpp`; a test of an engine that is absent is skipped.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable

import jinja2
import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from data.tokenizer import FAMILIES, template_path
from tests.chats import WEATHER, Json
from tests.test_template_qwen import CONVERSATIONS, FORECAST, SYSTEM, WITH_REASONING

PARTS = [{"type": "text", "text": "one"}, {"type": "text", "text": " two"}]
PICKY: Json = {
    "type": "function",
    "function": {
        "name": "picky",
        "description": 'Says "ä"\n',
        "parameters": {"type": "object", "properties": {"x": {"type": ["integer", "null"], "default": None, "min": 0.5}}, "required": []},
        "strict": True,
    },
}
TURNS = [*CONVERSATIONS, *WITH_REASONING, [{"role": "user", "content": PARTS}, {"role": "assistant", "content": None}]]
OPTIONS: list[Json] = [{}, {"enable_thinking": False, "add_generation_prompt": True}, {"preserve_thinking": False}]
FAMILY_NAMES = [family.name for family in FAMILIES]
NODE = """
const {Template} = require("@huggingface/jinja");
const jobs = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(jobs.map(({template, globals}) => new Template(template).render(globals))));
"""


@functools.cache
def jobs(family: str) -> list[tuple[Json, str]]:
    """What an engine is given, and what transformers' prints for it."""
    template = template_path(family).read_text()
    found = []
    for turns, system, tools, options in itertools.product(TURNS, ([], [SYSTEM]), (None, [WEATHER], [FORECAST, PICKY]), OPTIONS):
        globals_: Json = {"messages": system + turns, "add_generation_prompt": False, **({"tools": tools} if tools else {}), **options}
        printed, _ = render_jinja_template([system + turns], tools=tools, chat_template=template, **options)
        found.append(({"template": template, "globals": globals_}, printed[0]))
    return found


def differences(family: str, engine: Callable[[list[Json]], list[str]]) -> list[tuple[str, str]]:
    """What the engine prints and transformers prints, where the two are not the same."""
    given, wanted = zip(*jobs(family), strict=True)
    printed = engine(list(given))
    return [(theirs, ours) for theirs, ours in zip(printed, wanted, strict=True) if theirs != ours]


def run(command: list[str], given: object) -> str:
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-600:]
    return done.stdout


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_plain_jinja2_prints_the_same_without_the_marks(family: str) -> None:
    """An engine that does not know the tag refuses it; without it, and without transformers' white-space options, the text is the same."""
    plain = jinja2.Environment()
    plain.filters["tojson"] = functools.partial(json.dumps, ensure_ascii=False)
    source = template_path(family).read_text()
    with pytest.raises(jinja2.TemplateSyntaxError, match="unknown tag 'generation'"):
        plain.from_string(source)
    template = plain.from_string(re.sub(r"\{%- (end)?generation -%\}", "{#- -#}", source))
    assert differences(family, lambda given: [template.render(job["globals"]) for job in given]) == []


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_huggingface_js_prints_the_same(family: str) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if subprocess.run(["node", "-e", 'require.resolve("@huggingface/jinja")'], capture_output=True, check=False).returncode:
        pytest.skip("node finds no @huggingface/jinja")
    assert differences(family, lambda given: json.loads(run(["node", "-e", NODE], given))) == []


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_llama_cpp_prints_the_same(family: str) -> None:
    binary = os.environ.get("LLAMA_JINJA")
    if binary is None:
        pytest.skip("LLAMA_JINJA does not name a program built from tests/llama_jinja.cpp")
    assert differences(family, lambda given: [run([binary], job) for job in given]) == []
