"""The model card of an export: README.md with Hub metadata, measured rates, licence and data card."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData
from jinja2 import Environment, PackageLoader

from data.wire import WireFormat
from train.provenance import base_licence, contamination, data_sources, measured, origin

SPELLED = {
    "json": "as JSON with name and arguments, between the wire format's own tokens",
    "tagged": "as tagged parameters, between the wire format's own tokens",
}


def is_hub_id(base: str) -> bool:
    """`owner/name` that is no folder here."""
    return base.count("/") == 1 and not base.startswith((".", "/")) and not Path(base).exists()


def front_matter(base: str, licence: str | None, unmerged: bool) -> ModelCardData:
    """Metadata of the card; fields without a value are left out."""
    named = origin(base)
    return ModelCardData(
        license=licence,
        base_model=named if is_hub_id(named) else None,
        library_name="peft" if unmerged else "transformers",
        pipeline_tag="text-generation",
        tags=["tool-calling", "lora"],
    )


def model_card(
    name: str,
    manifest: dict[str, Any],
    serve: dict[str, Any],
    wire: WireFormat,
    weights: str,
    *,
    metrics: Path | None = None,
    dataset: Path | None = None,
    gate: dict[str, Any] | None = None,
) -> str:
    """The card's text.

    Args:
        name: of the model.
        manifest: the adapter's.
        serve: what `serve.json` holds.
        wire: the wire format of the chat template.
        weights: a phrase that says what is in the folder.
        metrics: folder of an evaluation run of this adapter.
        dataset: folder of the data set, to count licences in.
        gate: the merge gate's comparison; None for an adapter that stays unmerged.
    """
    licence = base_licence(manifest["base"])
    rows, note = measured(metrics, manifest["adapter_sha256"]) if metrics else ([], "")
    unmerged = serve["model"] != "."
    page = Environment(loader=PackageLoader("train", "pages"), trim_blocks=True, keep_trailing_newline=True).get_template(
        "model_card.md.jinja"
    )
    body = page.render(
        name=name,
        what=what(unmerged),
        base=origin(manifest["base"]),
        licence=licence,
        adapter=f"LoRA, {manifest.get('steps', 'unknown')} steps, sha256 {manifest['adapter_sha256']}",
        weights=weights,
        wire=SPELLED[wire.body],
        serving="Run in this folder, with vLLM 0.32 or later:",
        command=shlex.join(["vllm", "serve", serve["model"], *serve["arguments"]]),
        metrics=rows,
        metrics_note=note,
        gate=gate,
        sources=data_sources(manifest.get("dataset"), dataset),
        rejected=(manifest.get("dataset") or {}).get("rejected"),
        contamination=contamination(manifest.get("dataset")),
    )
    return f"---\n{front_matter(manifest['base'], licence, unmerged).to_yaml()}\n---\n\n{body}"


def what(unmerged: bool) -> str:
    """One sentence on what the folder holds."""
    if unmerged:
        return (
            "A LoRA adapter that teaches its base to emit native tool-call tokens. Load it beside the base; no embedding row was trained."
        )
    return "A model that emits native tool-call tokens: a LoRA fine-tune, merged into its base in float32 and cast once."
