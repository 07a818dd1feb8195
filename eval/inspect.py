"""Look at one prompt and its completion as tokens: `python -m eval.inspect --prompt 'Save hi as a.txt' --model outputs/quickstart/merged`

Shows ids and logprobs, our strict reading, the server's reading (with --base-url), and what became of the call: native, typed,
salvaged, lost or none. What one reaches for first when a call goes missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from data.errors import UserError, reported
from data.render import prompt_ids
from data.response import Response
from data.sources.messages import user
from data.tokenizer import load_tokenizer
from data.transcript import Json
from data.wire import WireIds, read_ids
from eval.backends.protocol import Decoding, Request
from eval.completion import Key
from eval.inspection import Fate, Inspection, inspect_reply
from eval.serving.agreement import spelled, told
from eval.serving.bench import Sizes
from eval.serving.checks import bench_for
from eval.serving.client import Ask, Client
from eval.serving.conversations import parameters, tool
from eval.serving.reply import Reply

WRITE_FILE = tool("write_file", "Write text to a file.", parameters(path="string", content="string"))
COLOURS = {Fate.NATIVE: "green", Fate.TYPED: "yellow", Fate.SALVAGED: "yellow", Fate.LOST: "bold red", Fate.NONE: "cyan"}


def read_tools(path: Path | None) -> list[Json]:
    """The tools of a JSON file, a list of OpenAI's form or of bare functions; without a file, one that writes files."""
    if path is None:
        return [WRITE_FILE]
    try:
        tools = [one if "function" in one else {"type": "function", "function": one} for one in json.loads(path.read_text())]
        return [one for one in tools if one["function"]["name"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        found = f"{type(error).__name__}: {error}"
        raise UserError(str(path), found, "a JSON list of tools in OpenAI's form", "mend the file, or leave --tools out") from error


def inspect_served(base_url: str, model: str | None, folder: str | None, ask: Ask, stream: bool) -> tuple[Inspection, Any, WireIds]:
    """Ask a server, by default for the first model that it serves."""
    name = model or str(Client(base_url, "").get("/v1/models")["data"][0]["id"])
    bench = bench_for(base_url, name, folder, Sizes(), Console(stderr=True))
    reply = bench.answer(ask, stream)
    prompt = reply.prompt_ids or bench.prompt(ask)
    return inspect_reply(prompt, reply, ask.tools, bench.tokenizer, bench.wire, served=True), bench.tokenizer, bench.wire


def inspect_local(model: str, ask: Ask) -> tuple[Inspection, Any, WireIds]:
    """Generate here, greedily, with the logprob of each id."""
    from data.precision import compute_dtype
    from eval.backends.local import TransformersBackend

    tokenizer = load_tokenizer(model)
    wire = read_ids(tokenizer)
    prompt = prompt_ids(ask.messages, ask.tools, tokenizer, enable_thinking=ask.thinking)
    backend = TransformersBackend.load(model, None, compute_dtype(), tokenizer.pad_token_id, wire.turn_close)
    request = Request(Key("inspect", 0), prompt, ask.messages, ask.tools, ask.max_tokens)
    (completion,) = backend.complete([request], Decoding(logprobs=True))
    if completion.ids is None:
        raise UserError(model, completion.error or "no completion", "a completion", "a shorter prompt, or a model with a longer context")
    reply = Reply("", "", [], completion.ids, prompt, len(completion.ids), completion.finish, completion.logprobs)
    return inspect_reply(prompt, reply, ask.tools, tokenizer, wire, served=False), tokenizer, wire


def tokens_text(ids: list[int], logprobs: list[float] | None, tokenizer: Any, wire: WireIds) -> Text:
    """Each token in a colour of its own, wire tokens in reverse, then its id and logprob; lines break where the text's do."""
    wire_ids = {value for value in vars(wire).values() if isinstance(value, int)}
    text = Text()
    for index, (token, logprob) in enumerate(zip_longest(ids, logprobs or [])):
        piece = str(tokenizer.decode([token], skip_special_tokens=False))
        style = "bold reverse magenta" if token in wire_ids else ("cyan", "green")[index % 2]
        text.append(piece.replace("\n", "⏎") or "·", style=style)
        text.append(f" {token}{'' if logprob is None else f' {logprob:.2f}'} ", style="dim")
        text.append("\n" * piece.count("\n"))
    return text


def show(found: Inspection, tokenizer: Any, wire: WireIds, console: Console) -> None:
    """The tokens of prompt and completion, both readings, and the verdict."""
    console.rule(f"prompt, {len(found.prompt)} tokens: text and id")
    console.print(tokens_text(found.prompt, None, tokenizer, wire))
    console.rule(f"completion, {len(found.ids)} tokens: text, id{', logprob' if found.logprobs else ''}")
    console.print(tokens_text(found.ids, found.logprobs, tokenizer, wire))
    console.rule("readings")
    console.print(f"ours, strict, on ids: {_told_strict(found.strict)}", markup=False, highlight=False)
    console.print(f"the server's: {told(found.served) if found.served else 'no server was asked'}", markup=False, highlight=False)
    console.print(f"emission: {found.emission} ({found.why})", markup=False, highlight=False)
    console.print(Text(f"verdict: {found.fate}", style=COLOURS[found.fate]))


def _told_strict(strict: Response) -> str:
    calls = [spelled(call.name, call.arguments) + (" in reasoning" if call.in_reasoning else "") for call in strict.calls]
    broken = [f"malformed ({block.defect}) {block.text!r}" for block in strict.malformed]
    return f"calls {' '.join([*calls, *broken]) or 'none'}; content {strict.content!r}; reasoning {strict.reasoning!r}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="eval.inspect", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", required=True, help="what the user says")
    parser.add_argument("--tools", type=Path, help="JSON list of tools (default: write_file)")
    parser.add_argument("--model", help="folder or Hub id; with --base-url the model's name there (default: the first)")
    parser.add_argument("--base-url", help="ask this server instead of loading the model")
    parser.add_argument("--tokenizer", help="with --base-url: local folder of the model (default: the one that the server names)")
    parser.add_argument("--thinking", action="store_true", help="ask for reasoning (default: without)")
    parser.add_argument("--stream", action="store_true", help="with --base-url: streamed")
    parser.add_argument("--max-new-tokens", type=int, default=256, help="(default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


@reported
def main() -> int:
    args = parse()
    options = {} if args.stream else {"logprobs": True}
    ask = Ask([user(args.prompt)], read_tools(args.tools), args.thinking, args.max_new_tokens, options)
    if args.base_url:
        found, tokenizer, wire = inspect_served(args.base_url, args.model, args.tokenizer, ask, args.stream)
    elif args.model:
        found, tokenizer, wire = inspect_local(args.model, ask)
    else:
        raise UserError("arguments", "neither --model nor --base-url", "one of them", "give a model folder, or a server's address")
    if args.json:
        print(json.dumps(found.to_json(tokenizer), ensure_ascii=False, indent=1))
    else:
        show(found, tokenizer, wire, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
