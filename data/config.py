"""YAML files that describe a run, checked against a pydantic model."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from data.errors import UserError

Config = TypeVar("Config", bound=BaseModel)


def load_yaml(path: Path, model: type[Config], examples: str) -> Config:
    """The file as `model`; `examples` names a folder with good ones.

    Raises:
        UserError: the file is missing, is not YAML, or has an unknown or wrong key.
    """
    try:
        return model.model_validate(yaml.safe_load(path.read_text()) or {})
    except FileNotFoundError as error:
        raise UserError(str(path), "no such file", "a YAML file", f"{examples} holds examples") from error
    except yaml.YAMLError as error:
        raise UserError(str(path), f"not YAML: {error}", "a YAML mapping", "mend the line named above") from error
    except ValidationError as error:
        first = error.errors()[0]
        found = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise UserError(str(path), found, f"keys {', '.join(model.model_fields)}", "mend or remove the key") from error
