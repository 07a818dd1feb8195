"""Pushes an exported folder to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

from data.errors import UserError


def push(folder: Path, repo: str, api: Any, private: bool = True) -> str:
    """Create the model repository if it is not there, upload `folder` as one commit, and return the commit's address.

    Args:
        folder: a finished export.
        repo: `owner/name`.
        api: a `huggingface_hub.HfApi`.
        private: whether a repository that is created is private.
    """
    try:
        api.create_repo(repo, repo_type="model", private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=repo, folder_path=str(folder), repo_type="model", commit_message="Export by train.export")
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise UserError(
            f"--push-to-hub {repo}",
            str(error).strip().splitlines()[0],
            "a repository that your token may write to",
            f"hf auth login, then: hf upload {repo} {folder}; the export itself is finished",
        ) from error
    return str(commit)
