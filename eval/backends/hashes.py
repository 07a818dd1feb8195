"""What a model's weights are, for a fingerprint. Pure; no torch."""

from __future__ import annotations

from pathlib import Path

from data.manifest import NAME, sha256_file


def hashes(model: str, adapter: str | None) -> dict[str, str]:
    """sha256 of the model folder's manifest, where it has one, and of the adapter's weights."""
    found = {"model_manifest_sha256": Path(model) / NAME}
    if adapter:
        found["adapter_sha256"] = Path(adapter) / "adapter_model.safetensors"
    return {name: sha256_file(path) for name, path in found.items() if path.is_file()}
