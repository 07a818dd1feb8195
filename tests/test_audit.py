"""The audit: what it says of templates with one known fault each, of ours and upstream's, and that no template stops it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from data.audit import Row, markdown, of_file, of_tokenizer
from data.finding import Finding, Status, Subject
from data.probe import Probe, ProbeError
from data.properties import PROPERTIES, failures, findings
from data.tokenizer import TEMPLATES
from tests.cli import run

SHARED = Path(__file__).parents[2] / "shared" / "templates"
OURS = (TEMPLATES / "smollm2" / "chat_template.jinja").read_text()
KEYS = {property_.key for property_ in PROPERTIES}


def audited(template: str) -> dict[str, Finding]:
    return findings(Subject("t", Probe(template)))


def failed(template: str) -> set[str]:
    return {key for key, finding in audited(template).items() if finding.status is Status.NO}


@pytest.mark.parametrize("family", sorted(folder.name for folder in TEMPLATES.iterdir() if folder.is_dir()))
def test_ours_are_all_green(family: str) -> None:
    cannot = {"argument_forms"} if family == "qwen3_coder" else set()  # a template cannot read JSON text to print it as tags
    assert failed((TEMPLATES / family / "chat_template.jinja").read_text()) == cannot


def test_stock_smollm3_shows_its_defects() -> None:
    found = audited((TEMPLATES / "smollm3" / "upstream.jinja").read_text())
    assert {key for key, finding in found.items() if finding.status is Status.NO} == {
        "tools",
        "call_name",
        "call_arguments",
        "result",
        "system_closed",
        "date",
        "mask",
        "round_trip",
    }
    assert "Python's repr" in found["tools"].detail
    assert "'<|im_start|>assistant\\n'" in found["mask"].detail


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        ("(tool.function or tool) | tojson", "tool | string", {"tools"}),
        ("message.tool_calls or []", "[]", {"call_name", "call_arguments", "round_trip"}),
        ("arguments if arguments is string else arguments | tojson", '"{}"', {"call_arguments", "round_trip"}),
        ("arguments if arguments is string else arguments | tojson", "arguments | tojson", {"argument_forms"}),
        ('<tool_response>\\n" + content', '<tool_response>\\n" + ""', {"result"}),
        ('{{- "<|im_end|>\\n" -}}\n{%- for message in rest', "{%- for message in rest", {"system_closed"}),
        ("{%- generation -%}", "", {"generation"}),
        ('      {{- "<|im_end|>" -}}\n    {%- endgeneration -%}', '    {%- endgeneration -%}{{- "<|im_end|>" -}}', {"stop"}),
        ('{{- "<|im_start|>assistant\\n" -}}\n    {%- generation -%}', '{%- generation -%}{{- "<|im_start|>assistant\\n" -}}', {"mask"}),
    ],
)
def test_one_fault_is_found(old: str, new: str, broken: set[str]) -> None:
    """Our template with one thing spoilt fails in that thing."""
    spoilt = OURS.replace(old, new)
    if "generation" in broken:
        spoilt = spoilt.replace("{%- endgeneration -%}", "")
    assert spoilt != OURS
    assert failed(spoilt) == broken


def test_date_is_found() -> None:
    assert failed('{{- strftime_now("%d %B %Y") -}}' + OURS) == {"date"}


def test_template_that_changes_what_it_printed_breaks_the_prefix() -> None:
    counting = '{{- "<|im_start|>system\\n" ~ (messages | length) ~ "<|im_end|>\\n" -}}' + OURS
    assert {"prefix_plain", "prefix_tools"} <= failed(counting)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('no roles here') }}", "no roles here"),
        ("{% if %}", "TemplateSyntaxError"),
        ("{{ absent.field }}", "UndefinedError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ messages[0]['content'].__class__ }}", ""),
        ("", "loses"),
    ],
)
def test_broken_template_is_a_row_with_the_reason(tmp_path: Path, template: str, reason: str) -> None:
    path = tmp_path / "t.jinja"
    path.write_text(template)
    row = of_file(path, "t")
    assert not row.trainable
    assert row.findings.keys() == KEYS
    assert reason in row.next_step


def test_endless_template_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.probe.SECONDS", 0.2)
    endless = "{% for i in range(99999) %}{% for j in range(99999) %}{{ j }}{% endfor %}{% endfor %}"
    with pytest.raises(ProbeError, match=r"still running after 0\.2 s"):
        Probe(endless).text([])


def test_unreadable_file_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "t.jinja"
    path.write_bytes(b"\xff\xfe\xff")
    assert "cannot be read" in of_file(path, "t").next_step


def test_tokenizer_adds_ids_to_the_picture(tokenizer: PreTrainedTokenizerBase) -> None:
    (row,) = of_tokenizer(tokenizer, "t")
    assert row.trainable
    assert row.findings["wire_ids"].status is Status.YES
    assert row.findings["literal"].status is Status.NO  # a server would encode it as the real token


def test_tokenizer_without_template_is_a_row(smollm2: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "chat_template", None)
    (row,) = of_tokenizer(smollm2, "t")
    assert "has no chat template" in row.next_step


def test_command_tells_by_its_exit_status(tmp_path: Path) -> None:
    report, page = tmp_path / "audit.json", tmp_path / "audit.md"
    text = run("-m", "data.audit", str(TEMPLATES), "--json", str(report), "--markdown", str(page), status=1)
    assert "smollm3/upstream.jinja" in text
    assert {row["name"]: row["trainable"] for row in json.loads(report.read_text())}["smollm3/chat_template.jinja"]
    assert "| smollm3/upstream.jinja | ✓ | ✗ |" in page.read_text()
    assert "ready for training" in run("-m", "data.audit", str(TEMPLATES / "smollm3" / "chat_template.jinja"))


def test_command_names_what_is_no_target(tmp_path: Path) -> None:
    assert "neither a tokenizer nor a .jinja file in it" in run("-m", "data.audit", str(tmp_path), status=1)


def test_markdown_escapes_bars() -> None:
    assert "a\\|b" in markdown([Row("a|b", {}, "gone")])


@pytest.mark.skipif(not SHARED.is_dir(), reason="no collection of templates beside the repository")
def test_collected_templates_are_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of the collection; the whole of it is `python -m data.audit ../shared/templates`."""
    files = sorted(SHARED.rglob("*.jinja"))
    assert len(files) == 193
    for path in files[::8]:
        row = of_file(path, path.name)
        assert row.error is None
        assert row.findings.keys() == KEYS
        assert row.trainable == (not failures(row.findings))
