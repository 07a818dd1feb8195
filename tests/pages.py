"""Rows for the page's tests, and a headless Chromium that opens the page from disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from data.wire import HERMES
from eval.case import Case, ExpectedCall
from eval.completion import Completion
from eval.emission import Emission
from eval.rows import Row
from eval.verdict import Judged, Verdict

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
IDS = {HERMES.call_open: 7, HERMES.call_close: 8, HERMES.turn_close: 9}
CALL = [HERMES.call_open, '{"name": "f", ', '"arguments": {}}', HERMES.call_close, HERMES.turn_close]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1280,900"
)


def row(
    case_id: str,
    tokens: list[str],
    emission: Emission = Emission.ANSWER,
    verdict: Verdict | None = Verdict.MISSED,
    request: str = "Please do it",
    logprobs: list[float] | None = None,
    meta: dict[str, Any] | None = None,
    slice_: str = "call",
) -> Row:
    """A row of a case that needs a call of f; tokens that are not of the wire format have ids from 100."""
    case = Case(
        case_id, "native", slice_, [{"role": "user", "content": request}], [TOOL], (ExpectedCall("f", {}, exact=True),), 8, meta or {}
    )
    ids = [IDS.get(text, 100 + index) for index, text in enumerate(tokens)]
    return Row(case, Completion(case_id, ids, "stop", 3, 0.1, logprobs=logprobs), Judged(emission, verdict, "so"), tokens=tokens)


def called(case_id: str, **options: Any) -> Row:
    return row(case_id, CALL, Emission.NATIVE_CALL, Verdict.RIGHT_CALL, **options)


def dumped(case_id: str, **options: Any) -> Row:
    return row(case_id, ["def", " f", "():", "\n", " pass"], Emission.CODE_DUMP, **options)


@contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """A driver of the installed Chromium; skips the test where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    driver, browser = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
    if not driver or not browser:
        pytest.skip("no Chromium with its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield opened
    finally:
        opened.quit()
