"""Check catalogue files: `python -m data.sources.catalog [FILE …]` (all files when none is named).

Exit status 1 when a file has a problem; each problem is one line with its place.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema

from data.contamination import bfcl_folder, bfcl_protected, overlaps
from data.sources.catalog import FOLDER, CatalogTool, load_domain
from data.sources.synthetic import compose_missing, compose_request, compose_result

TRIALS = 20


def tool_problems(tool: CatalogTool) -> Iterator[str]:
    """Instantiate every phrasing several times: slots filled, arguments valid, result and answer complete."""
    schema = tool.schema_dict()["function"]["parameters"]
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    rng = random.Random(tool.name)
    for request in tool.requests:
        for _ in range(TRIALS):
            try:
                composed = compose_request(tool, request, rng)
                validator.validate(composed.arguments)
                compose_result(tool, composed, rng)
            except (ValueError, KeyError, IndexError, jsonschema.ValidationError) as error:
                yield f"{tool.name}: {request!r}: {str(error).splitlines()[0]}"
                break
    for missing in tool.missing:
        try:
            compose_missing(tool, missing, rng)
        except (ValueError, KeyError) as error:
            yield f"{tool.name}: missing {missing.lacks}: {error}"


def file_problems(path: Path) -> Iterator[str]:
    try:
        domain = load_domain(path)
    except ValueError as error:
        yield str(error)
        return
    if domain.domain != path.stem:
        yield f"domain is {domain.domain!r}, the file name says {path.stem!r}"
    folder = bfcl_folder()
    for tool in domain.tools:
        yield from tool_problems(tool)
    if folder:
        protected = bfcl_protected(folder)
        for tool in domain.tools:
            yield from (f"{tool.name}: BFCL holds {line}" for line in overlaps([tool.name], tool.requests, protected))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N composed requests of each tool")
    args = parser.parse_args()
    special = {"pools.yaml", "chat.yaml", "unserved.yaml"}
    files = args.files or [path for path in sorted(FOLDER.glob("*.yaml")) if path.name not in special]
    count = 0
    for path in files:
        problems = list(file_problems(path))
        count += len(problems)
        for problem in problems:
            print(f"{path.name}: {problem}")
        if args.show and not problems:
            rng = random.Random(0)
            for tool in load_domain(path).tools:
                for request in rng.sample(tool.requests, min(args.show, len(tool.requests))):
                    composed = compose_request(tool, request, rng)
                    print(f"{tool.name}: {composed.text}\n    {composed.arguments}")
    print(f"{len(files)} files, {count} problems")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
