"""The page in headless Chromium, opened from disk as a reader opens it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.wire import HERMES
from eval.emission import Emission
from eval.pages.summary import Run
from eval.report import write_report
from eval.rows import Row
from eval.score import metrics_json
from eval.verdict import Verdict
from tests.pages import called, chromium, dumped, row

HOSTILE = ["</script>", "<script>window.hacked=1</script>", "<!--<script>", "\u2028", "<img src=x onerror='window.hacked=1'>", "\u202e"]
SPELLED = [HERMES.call_open[:5], HERMES.call_open[5:], "{}"]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def show(driver: Any, folder: Path, rows: list[Row], baseline: list[Row] | None = None) -> None:
    before = Run("before", metrics_json(baseline), baseline)[:3] if baseline is not None else None
    write_report(folder / "report.html", "after", metrics_json(rows), rows, baseline=before)
    driver.get((folder / "report.html").as_uri())


def press(driver: Any, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(driver, duration=0).send_keys(*keys).perform()


def title(driver: Any) -> str:
    return driver.find_element("css selector", "#detail h3").text.split()[0]


def count(driver: Any) -> str:
    return driver.find_element("id", "count").text


def choose(driver: Any, name: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(driver.find_element("id", name)).select_by_value(value)


def two_runs(driver: Any, folder: Path) -> None:
    before = [dumped("a"), dumped("b"), called("c", slice_="long")]
    after = [called("a", request="the quick request"), row("b", ["slow", " answer"]), dumped("c", slice_="long"), called("d")]
    show(driver, folder, after, before)


def test_markup_in_a_completion_is_shown_and_never_runs(driver: Any, tmp_path: Path) -> None:
    show(driver, tmp_path, [row("a", HOSTILE, request="".join(HOSTILE), slice_="<script>window.hacked=1</script>")])
    tokens = [each.text for each in driver.find_elements("css selector", ".token")]
    assert tokens[:3] == HOSTILE[:3]
    assert (tokens[3], tokens[5]) == ("⟨U+2028⟩", "⟨U+202E⟩")
    assert driver.execute_script("return window.hacked") is None
    assert driver.find_elements("tag name", "img") == []
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_policy_stops_what_the_page_does_not_bring(driver: Any, tmp_path: Path) -> None:
    show(driver, tmp_path, [called("a")])
    injected = "const s = document.createElement('script'); s.append('window.hacked = 1'); document.body.append(s); return window.hacked"
    assert driver.execute_script(injected) is None
    assert driver.execute_async_script("fetch('data:,x').then(() => arguments[0]('sent'), () => arguments[0]('refused'))") == "refused"


def test_wire_tokens_are_marked_by_id_and_look_alikes_apart(driver: Any, tmp_path: Path) -> None:
    show(driver, tmp_path, [called("a"), row("b", SPELLED, Emission.TYPED_CALL)])
    marked = [each.text for each in driver.find_elements("css selector", ".token.wire")]
    assert marked == [HERMES.call_open, HERMES.call_close, HERMES.turn_close]
    press(driver, "j")
    assert [each.text for each in driver.find_elements("css selector", ".token.typed")] == SPELLED[:2]
    assert driver.find_elements("css selector", ".token.wire") == []


def test_hover_and_focus_tell_id_and_logprob(driver: Any, tmp_path: Path) -> None:
    from selenium.webdriver import ActionChains, Keys

    show(driver, tmp_path, [called("a", logprobs=[-0.105, -2.0, -0.0, -0.0, -0.0])])
    tip = driver.find_element("id", "tip")
    ActionChains(driver).move_to_element(driver.find_element("css selector", ".token")).perform()
    assert "id 7" in tip.text
    assert "log p -0.105 (90.0 %)" in tip.text
    driver.find_element("id", "list").click()
    press(driver, Keys.ENTER, Keys.ARROW_RIGHT)
    assert "id 101" in tip.text
    assert "log p -2.000" in tip.text
    press(driver, Keys.ESCAPE)
    assert driver.switch_to.active_element.get_attribute("id") == "list"
    assert not tip.is_displayed()


def test_keyboard_moves_and_searches(driver: Any, tmp_path: Path) -> None:
    from selenium.webdriver import Keys

    two_runs(driver, tmp_path)
    assert title(driver) == "a"
    press(driver, "j", "j", "k")
    assert title(driver) == "b"
    press(driver, "/", *"slow", Keys.ENTER)
    assert (count(driver), title(driver)) == ("1 of 4 cases", "b")
    press(driver, "/", *[Keys.BACKSPACE] * 4, *"nowhere")
    assert count(driver) == "0 of 4 cases"
    assert "No case matches" in driver.find_element("id", "list").text


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("emission", "native call", ["a", "d"]),
        ("before", "code dump", ["a", "b"]),
        ("verdict", "missed", ["b", "c"]),
        ("slice", "native/long", ["c"]),
        ("change", "became right", ["a"]),
        ("change", "became wrong", ["c"]),
        ("change", "class changed", ["a", "b", "c"]),
        ("change", "in one run only", ["d"]),
    ],
)
def test_filters(driver: Any, tmp_path: Path, name: str, value: str, found: list[str]) -> None:
    two_runs(driver, tmp_path)
    choose(driver, name, value)
    assert driver.execute_script("return shown.map((item) => item.id)") == found
    assert count(driver) == f"{len(found)} of 4 cases"


def test_a_part_of_the_ledger_shows_its_cases(driver: Any, tmp_path: Path) -> None:
    two_runs(driver, tmp_path)
    driver.find_element("css selector", '.segment[data-side="then"][data-emission="code dump"]').click()
    assert driver.execute_async_script("setTimeout(() => arguments[0](shown.map((item) => item.id)), 50)") == ["a", "b"]


def test_both_runs_stand_side_by_side(driver: Any, tmp_path: Path) -> None:
    two_runs(driver, tmp_path)
    left, right = driver.find_elements("css selector", ".side")
    assert left.location["y"] == right.location["y"]
    assert "code dump" in left.text
    assert "native call" in right.text


@pytest.mark.parametrize("width", [360, 1280])
def test_no_sideways_scrolling(driver: Any, tmp_path: Path, width: int) -> None:
    before = [dumped(f"{n}", request="w" * 300, meta={"content_tokens": 2**n, "nesting": n}) for n in range(1, 13)]
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    show(driver, tmp_path, [called(each.case.id, meta=each.case.meta) for each in before], before)
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_five_thousand_cases(driver: Any, tmp_path: Path) -> None:
    def completion(case: int) -> Row:
        return row(f"case-{case}", [f" w{(case * 7 + n) % 997}" for n in range(100)], verdict=Verdict.MISSED, logprobs=[-0.25] * 100)

    rows = [completion(case) for case in range(5000)]
    show(driver, tmp_path, rows, rows)
    assert count(driver) == "5,000 of 5,000 cases"
    assert len(driver.find_elements("css selector", ".row")) < 60
    driver.find_element("id", "list").click()
    from selenium.webdriver import Keys

    press(driver, Keys.END)
    assert title(driver) == "case-4999"
    press(driver, "/", *"case-4321")
    assert (count(driver), title(driver)) == ("1 of 5,000 cases", "case-4321")


def test_a_very_long_completion_is_shown_in_parts(driver: Any, tmp_path: Path) -> None:
    show(driver, tmp_path, [row("a", [" w"] * 50_000)])
    assert len(driver.find_elements("css selector", ".token")) == 3000
    driver.find_element("xpath", "//button[text()='Show all 50,000 tokens']").click()
    assert driver.execute_script("return document.querySelectorAll('.token').length") == 50_000
