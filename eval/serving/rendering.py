"""Checks of what the server makes of a conversation: its prompt's ids, the wire tokens, and which files it serves."""

from __future__ import annotations

from pathlib import Path

from data.manifest import read_manifest, sha256_file, sha256_text
from data.wire import single_id
from eval.serving.bench import Bench
from eval.serving.client import Ask
from eval.serving.conversations import Conversation, conversations, literals
from eval.serving.outcome import Failure, Outcome, Status
from eval.serving.tokens import prompt_failure


def ask_of(conversation: Conversation) -> Ask:
    return Ask(conversation.messages, conversation.tools, conversation.thinking)


def prompts(bench: Bench, outcome: Outcome) -> None:
    """The server's prompt has our ids."""

    def check(conversation: Conversation) -> Failure | None:
        ask = ask_of(conversation)
        return prompt_failure(conversation.id, bench.prompt(ask), bench.client.prompt_ids(ask), bench.tokenizer)

    bench.each(outcome, conversations(bench.sizes.conversations, bench.wire.form), check)
    outcome.note = "tools, results, both think modes, Unicode, null fields"


def typed_wire_tokens(bench: Bench, outcome: Outcome) -> None:
    """A wire token that a user types becomes the real one in the server, text in ours: a known limit, stated."""
    for conversation in literals(bench.wire.form):
        ask = ask_of(conversation)
        equal = bench.prompt(ask) == bench.client.prompt_ids(ask)
        outcome.total += 1
        outcome.right += equal
    outcome.stated = Status.STATED
    outcome.note = "prompts in which a user types a wire token and it stays text; a server encodes what is typed as the real token"


def wire_tokens(bench: Bench, outcome: Outcome) -> None:
    """Each wire token that our tokenizer has as one id is the same one id on the server."""
    for text in bench.wire.form.texts:
        ours = single_id(bench.tokenizer, text)
        if ours is None:
            continue
        theirs = bench.client.text_ids(text)
        wrong = Failure(f"wire token {text}", f"ids {theirs} on the server", f"[{ours}]", "serve the tokenizer of the exported folder")
        outcome.count(None if theirs == [ours] else wrong)


def drift(bench: Bench, outcome: Outcome) -> None:
    """Template and tokenizer of the local folder against its manifest, and against the folder that the server names."""
    local, root = Path(bench.folder), Path(str(bench.client.card().get("root") or ""))
    manifest = read_manifest(local) or {}
    ours = _hashes(local)
    for name, found in ours.items():
        wanted = manifest.get(f"{name}_sha256")
        if wanted:
            outcome.count(_changed(f"{local}: {name}", found, wanted, "the folder was changed after its export; export again"))
    if root.is_dir():
        for name, found in _hashes(root).items():
            outcome.count(_changed(f"{root}, which the server names: {name}", found, ours[name], "serve the folder that is tested"))
    engine = bench.client.engine
    unknown = "" if root.is_dir() else "; the server's folder is not on this machine, so only what it answers could be compared"
    outcome.note = f"{engine.name} {engine.version}{unknown}"
    if not outcome.total:
        outcome.stated = Status.STATED


def _hashes(folder: Path) -> dict[str, str]:
    """sha256 of the template's text and of the tokenizer's file, of those that the folder has."""
    template, tokenizer = folder / "chat_template.jinja", folder / "tokenizer.json"
    found = {"template": sha256_text(template.read_text())} if template.is_file() else {}
    return {**found, "tokenizer": sha256_file(tokenizer)} if tokenizer.is_file() else found


def _changed(place: str, found: str, wanted: str | None, remedy: str) -> Failure | None:
    return None if found == wanted else Failure(place, f"sha256 {found[:16]}…", f"sha256 {str(wanted)[:16]}…", remedy)
