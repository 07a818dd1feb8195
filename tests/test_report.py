"""The page's figures, its embedded data, and the command that rebuilds it."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.manifest import write_json, write_manifest
from data.wire import HERMES
from eval.emission import Emission
from eval.pages.browser import browser_data, wire_ids_of
from eval.pages.charts import emission_plots, length_bin, margins, segments, stacked
from eval.pages.families import ORDER
from eval.pages.summary import Run, figures, headline, lede
from eval.report import ledger_table, metrics_table, write_report
from eval.rows import Row, write_rows
from eval.score import metrics_json
from tests import cli
from tests.pages import called, dumped, row


def run_of(rows: list[Row], name: str = "after") -> Run:
    return Run(name, metrics_json(rows), rows)


def embedded(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_every_class_has_one_family() -> None:
    assert sorted(ORDER) == sorted(Emission)


def test_headline_pairs_the_completions_that_both_runs_count() -> None:
    before = [dumped("a"), dumped("b"), row("c", [], Emission.ERROR, None), dumped("only before")]
    after = [called("a"), called("b"), called("c"), dumped("only after")]
    found = figures(run_of(after), run_of(before, "before"))
    assert headline(found) == "Native tool calls 0\u202f%\u00a0→\u00a0100\u202f% (n=2); code dumps 100\u202f%\u00a0→\u00a00\u202f%"
    assert "the 2 completions that both runs hold" in lede(found, run_of(after), run_of(before, "before"))


def test_a_change_that_chance_explains_is_not_called_better() -> None:
    few, many = [f"{n}" for n in range(3)], [f"{n}" for n in range(10)]
    for ids, change in ((few, "no clear change"), (many, "better")):
        calls, _, code, false_calls = figures(run_of([called(i) for i in ids]), run_of([dumped(i) for i in ids], "before"))
        assert (calls.change, code.change, false_calls.change) == (change, change, None)
    assert figures(run_of([dumped(i) for i in many]), run_of([called(i) for i in many], "before"))[0].change == "worse"


def test_nothing_measured_is_said() -> None:
    assert headline(figures(run_of([row("a", [], Emission.ERROR, None)]), None)) == "Nothing was measured"


def test_stacked_bars_fill_their_slice() -> None:
    before, after = run_of([dumped("a", slice_="old")], "before"), run_of([called("a"), called("b"), dumped("c"), row("d", ["no"])])
    bars = dict(stacked([before, after]))
    assert [bar.run.name for bar in bars["native/old"]] == ["before"]
    parts = bars["native/call"][0].segments
    assert [(part.emission, part.x, part.width, part.hits) for part in parts] == [
        ("native call", 0, 50, 2), ("code dump", 50, 25, 1), ("answer", 75, 25, 1),
    ]  # fmt: skip


def test_labels_fit_their_segment() -> None:
    narrow, wide = segments(Counter({Emission.NATIVE_MALFORMED: 1, Emission.ANSWER: 199}))
    assert (narrow.label, wide.label) == ("", "answer 199")


@pytest.mark.parametrize(("tokens", "label"), [(0, "1–1"), (63, "32–63"), (64, "64–127"), (8192, "8192–16383")])
def test_lengths_are_binned_by_octaves(tokens: int, label: str) -> None:
    assert length_bin(tokens)[1] == label


def test_emission_against_length_and_nesting() -> None:
    rows = [called("a", meta={"content_tokens": 70, "nesting": 1}), dumped("b", meta={"content_tokens": 600, "nesting": 1})]
    length, nesting = emission_plots([run_of(rows)])
    assert [(p.bin, p.rate.hits, p.rate.n) for p in length.curves[0].points] == [("64–127", 1, 1), ("512–1023", 0, 1)]
    assert [(p.bin, p.rate.hits, p.rate.n) for p in nesting.curves[0].points] == [("1", 1, 2)]
    assert emission_plots([run_of([called("a")])]) == []


def test_margins_leave_out_what_is_not_finite() -> None:
    rows = [replace(called(str(value)), margin={"margin": value}) for value in (-2.0, 3.0, 5.0, -math.inf)]
    found = margins([run_of(rows)])
    assert found is not None
    assert (found.low, found.high, found.zero) == (-2, 5, pytest.approx(200 / 7))
    assert (found.histograms[0].median, found.histograms[0].above.hits, found.histograms[0].above.n) == (3.0, 2, 3)
    assert margins([run_of([called("a")])]) is None


def test_wire_ids_are_those_whose_own_text_is_a_wire_token() -> None:
    spelled = row("b", [HERMES.call_open[:5], HERMES.call_open[5:]])
    assert wire_ids_of([called("a"), spelled]) == {7: HERMES.call_open, 8: HERMES.call_close, 9: HERMES.turn_close}


def test_embedded_tokens_are_the_completions() -> None:
    data = browser_data([run_of([dumped("a")], "before"), run_of([called("b"), called("a", logprobs=[-0.1, -math.inf])])], {7: "x"})
    assert [item["id"] for item in data["items"]] == ["b", "a"]
    assert data["items"][0]["sides"][0] is None
    assert data["first"] == 1
    side = data["items"][1]["sides"][1]
    assert [data["vocabulary"][index] for index in side["tokens"]] == list(zip([7, 101, 102, 8, 9], called("a").tokens, strict=True))
    assert side["logprobs"] == [-0.1, None]


def test_page_holds_no_markup_of_a_completion(tmp_path: Path) -> None:
    hostile = ["</script>", "<script>window.hacked=1</script>", "<!--<script>", "\u2028", "\ud800", "&lt;", "<img src=x onerror=alert(1)>"]
    rows = [row("</title><b>", hostile, request="".join(hostile[:3]), slice_="<i>")]
    write_report(tmp_path / "report.html", "<u>name</u>", metrics_json(rows), rows)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r"</script", page)) == 2
    assert not re.search(r"<(b|i|u|img)\b(?![^>]*</svg)", page.replace("<b>100.0", "").replace("<b>0.0", ""))
    assert [text for _, text in embedded(page)["vocabulary"]] == hostile
    assert "http" not in re.sub(r'http-equiv="', "", page)


def test_page_shows_metrics_without_a_label_and_the_detector(tmp_path: Path) -> None:
    rows = [called("a")]
    result = metrics_json(rows)
    result["metrics"]["salvage_rate"] = result["metrics"]["native_emission_rate"]
    detector = {"held out": {"classes": {"code dump": {"n": 40, "found": 50, "hits": 30}}}}
    write_report(tmp_path / "report.html", "run", result, rows, detector=detector)
    text = re.sub(r"<[^>]+>", "", (tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "salvage rate" in text
    assert "60.0\u202f% [46, 72] n=50" in text
    assert "75.0\u202f% [60, 86] n=40" in text


def test_tables_of_runs_with_other_metrics() -> None:
    old, new = metrics_json([dumped("a")]), metrics_json([called("a")])
    new["metrics"]["salvage_rate"] = new["metrics"].pop("native_accuracy")
    table = metrics_table({"old": old, "new": new})
    assert "salvage rate" in list(table.columns[0].cells)
    assert "–" in list(table.columns[1].cells)
    ledger = ledger_table({"old": old, "new": new})
    assert list(ledger.columns[0].cells) == ["native call", "code dump"]
    assert list(ledger.columns[2].cells) == ["1 100.0%", "0   0.0%"]


def test_command_rebuilds_the_page_from_run_folders(tmp_path: Path) -> None:
    for name, rows in (("before", [dumped("a")]), ("after", [called("a")])):
        folder = tmp_path / name
        folder.mkdir()
        write_rows(folder / "verdicts.jsonl", rows)
        write_json(folder / "metrics.json", metrics_json(rows))
        write_manifest(folder, "evaluation")
    out = tmp_path / "page.html"
    printed = cli.run("-m", "eval.report", str(tmp_path / "after"), "--baseline", str(tmp_path / "before"), "--out", str(out))
    assert "native call" in printed
    assert embedded(out.read_text(encoding="utf-8"))["runs"] == ["before", "after"]
    told = cli.run("-m", "eval.report", str(tmp_path), status=1)
    assert "no finished evaluation" in told
