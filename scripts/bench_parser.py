"""Time of the reader per streamed token, beside vLLM's parsers when vLLM is installed: `python scripts/bench_parser.py`

Each output is fed token by token: its ids to our reader, and its text and ids to vLLM's parser, as vLLM's chat server does. Flat cost
means that a token costs the same at 8,000 tokens as at 200. Rows go to `--json F`.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table
from transformers import PreTrainedTokenizerBase

from data.response import Reader, read_response
from data.tokenizer import TEMPLATES, attach_template, load_tokenizer
from data.transcript import Json
from data.wire import HERMES, TAGGED, WireFormat, read_ids

LENGTHS = (200, 2000, 8000)
WORDS = "the quick brown fox, jumps over a lazy dog; 42 times (or so) and then naps.\n    return value + 1\n"
TOOLS: list[Json] = [
    {
        "type": "function",
        "function": {
            "name": "write_file",
            "description": "Write a file.",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}},
        },
    }
]


class Output(NamedTuple):
    """What a model might write, as ids: one call or text or many calls of about `length` tokens."""

    kind: str
    form: WireFormat
    length: int
    ids: list[int]


def spelled(form: WireFormat, content: str) -> str:
    """One call of `write_file`."""
    if form.body == "json":
        body = json.dumps({"name": "write_file", "arguments": {"path": "a.py", "content": content}})
    else:
        body = f"<function=write_file>\n<parameter=path>\na.py\n</parameter>\n<parameter=content>\n{content}\n</parameter>\n</function>"
    return f"{form.call_open}\n{body}\n{form.call_close}"


def outputs(tokenizer: PreTrainedTokenizerBase) -> Iterator[Output]:
    """Text, one long call and many short ones, in both formats and all lengths; every call is well formed."""

    def encoded(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    for form in (HERMES, TAGGED):
        around, line, short = (len(encoded(text)) for text in (spelled(form, ""), WORDS * 10, spelled(form, "print(1)") + "\n"))
        for length in LENGTHS:
            text = WORDS * (10 * (length - around) // line)
            many = "\n".join(spelled(form, f"print({i % 10})") for i in range(length // short))
            for kind, written in (("text", text), ("one long call", spelled(form, text)), ("many calls", many)):
                yield Output(kind, form, length, encoded(written))


def seconds(run: Callable[[], Any], repeats: int) -> float:
    """Processor time of the fastest of `repeats`, without garbage collection: what the code costs, not what else the machine was doing."""
    times = []
    gc.disable()
    try:
        for _ in range(repeats):
            began = time.process_time()
            run()
            times.append(time.process_time() - began)
    finally:
        gc.enable()
    return min(times)


def stream_ours(output: Output, tokenizer: PreTrainedTokenizerBase) -> Callable[[], Any]:
    wire = read_ids(tokenizer, output.form)

    def run() -> Any:
        reader = Reader(tokenizer, wire, tools=TOOLS)
        feed = reader.feed
        for token in output.ids:
            feed(token)
        return reader.finish()

    return run


def has_vllm() -> bool:
    return importlib.util.find_spec("vllm") is not None


def stream_vllm(output: Output, tokenizer: PreTrainedTokenizerBase, name: str) -> Callable[[], Any]:
    """What vLLM's chat server does with each token, with the tool parser `name`."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.parser.parser_manager import ParserManager

    parser_class = ParserManager.get_parser(name, None, enable_auto_tools=True, tokenizer=tokenizer)
    assert parser_class is not None
    request = ChatCompletionRequest(messages=[{"role": "user", "content": "x"}], model="m", tools=TOOLS, tool_choice="auto")
    pieces = [str(tokenizer.decode([token])) for token in output.ids]

    def run() -> None:
        parser: Any = parser_class(tokenizer, request.tools)
        parser._enable_auto_tools = True
        adjusted = parser.adjust_request(request)
        for token, piece in zip(output.ids, pieces, strict=True):
            parser.parse_delta(piece, [token], adjusted, prompt_token_ids=[], finished=False)

    return run


TEMPLATE_OF = {HERMES.name: "smollm2", TAGGED.name: "qwen3_coder"}
PEERS = {HERMES.name: ("hermes", "hf"), TAGGED.name: ("qwen3_coder", "hf")}


def measure(output: Output, tokenizer: PreTrainedTokenizerBase, peers: bool, repeats: int) -> list[dict[str, Any]]:
    """Rows `{name, value, unit, peer, peer_value, ratio, n}`: microseconds a streamed token, and milliseconds one-shot."""
    name, n = f"{output.form.name}, {output.kind}, {output.length} tokens", len(output.ids)
    streamed = seconds(stream_ours(output, tokenizer), repeats) * 1e6 / n
    wire = read_ids(tokenizer, output.form)
    once = seconds(lambda: read_response(output.ids, tokenizer, wire, tools=TOOLS), repeats) * 1e3
    rows: list[dict[str, Any]] = [{"name": f"{name}, one-shot", "value": once, "unit": "ms", "n": repeats}]
    row = {"name": name, "value": streamed, "unit": "µs/token", "n": repeats}
    attach_template(tokenizer, TEMPLATES / TEMPLATE_OF[output.form.name] / "chat_template.jinja")  # `hf` reads its response template
    for peer in PEERS[output.form.name] if peers else ():
        theirs = seconds(stream_vllm(output, tokenizer, peer), 1) * 1e6 / n
        rows.append({**row, "peer": f"vllm {peer}", "peer_value": theirs, "ratio": theirs / streamed})
    return rows if peers else [row, *rows]


def shown(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="time of the reader", title_justify="left")
    for head in ("output", "ours", "unit", "peer", "peer's", "times"):
        table.add_column(head, justify="right" if head in ("ours", "peer's", "times") else "left")
    for row in rows:
        peer = (row["peer"], f"{row['peer_value']:.1f}", f"{row['ratio']:.1f}") if "peer" in row else ("", "", "")
        table.add_row(row["name"], f"{row['value']:.2f}", row["unit"], *peer)
    return table


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="outputs/quickstart/base", help="folder or Hub id of a tokenizer (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=20, help="the fastest of this many (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="F", help="write the rows")
    return parser.parse_args()


def main() -> int:
    args = parse()
    console = Console()
    tokenizer = load_tokenizer(args.model)
    peers = has_vllm()
    todo = list(outputs(tokenizer))
    rows = [
        row
        for output in track(todo, description="measure", console=console, transient=True)
        for row in measure(output, tokenizer, peers, args.repeats)
    ]
    console.print(shown(rows))
    streamed = [row["value"] for row in rows if row["unit"] == "µs/token"]
    console.print(f"streamed: median {statistics.median(streamed):.2f} µs a token, slowest {max(streamed):.2f}")
    if not peers:
        console.print(
            "vLLM is not installed here: run this script with the Python of an environment that has it to see its parsers beside ours"
        )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
