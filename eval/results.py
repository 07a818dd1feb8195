"""Turns judged completions into a finished run folder: verdicts, metrics, page and, last, the manifest. Pure; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.manifest import read_manifest, write_json, write_manifest
from data.transcript import Json
from eval.case import Case
from eval.report import write_report
from eval.rows import Row, write_rows
from eval.score import metrics_json
