"""Builds transcripts from the catalogue: who is offered, what is asked, and what the assistant rightly does.

Each kind of transcript is a method of `Composer` named in `KINDS`. All draws come from one `random.Random`; which tools and
phrasings may occur is decided by the split alone, so nothing of the validation split can occur in training.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from data.sources import filetools, scenes
from data.sources.catalog import CatalogTool, load_catalog, load_chat, load_unserved
from data.sources.messages import assistant, result, user
from data.sources.synthetic import compose_missing, compose_request, compose_result
from data.split import Split, split_of
from data.transcript import Json, Transcript

OPENERS = (
    "Hi, ",
    "Hello! ",
    "Hey, ",
    "Hi there. ",
    "Good morning. ",
    "Quick one: ",
    "One more thing: ",
    "Thanks. ",
    "OK, ",
    "Please help. ",
)
CLOSERS = (" Thanks!", " Thank you.", " Please.", " Cheers.", " That would help a lot.", " I appreciate it.", " Thx", " It's urgent.")
JOINS = ("Also, ", "And ", "Then ", "After that, ", "Besides that: ", "Second, ", "Oh, and ", "At the same time, ")
REFUSALS = (  # all begin alike: the first token says that nothing is called, not which of these is drawn
    "I can't {gist} with the tools I have here.",
    "I can't {gist}: no tool here does that.",
    "I can't {gist}; I can only {other}.",
    "I can't {gist} with any of my tools.",
    "I have no tool to {gist}.",
    "I can't {gist} with these tools.",
)
NESTED_RATE = 0.25
CAMEL = re.compile(r"[_.](\w)")


@dataclass(frozen=True)
class Offered:
    """A catalogue tool under the name it is offered with in one transcript."""

    tool: CatalogTool
    name: str

    terse: bool = False

    def schema(self) -> Json:
        """The OpenAI form; a `terse` tool has no descriptions of its parameters."""
        schema = self.tool.schema_dict()
        function = {**schema["function"], "name": self.name}
        return {**schema, "function": {**function, "parameters": undescribed(function["parameters"])} if self.terse else function}


def undescribed(schema: Json) -> Json:
    """A schema whose properties have no descriptions, at any depth."""
    kept = {key: value for key, value in schema.items() if key not in ("description", "properties", "items")}
    if "properties" in schema:
        kept["properties"] = {name: undescribed(inner) for name, inner in schema["properties"].items()}
    if "items" in schema:
        kept["items"] = undescribed(schema["items"])
    return kept


def restyled(name: str, domain: str, rng: random.Random) -> str:
    """The tool's own name, or the same words in another naming style."""
    style = rng.random()
    if style < 0.75:
        return name
    if style < 0.87:
        return CAMEL.sub(lambda match: match[1].upper(), name)
    if style < 0.95:
        return f"{domain.split('_')[0]}.{name.replace('.', '_')}"
    return re.sub(r"(?<=[a-z])([A-Z])", lambda match: "_" + match[1].lower(), name).replace(".", "_")


class Composer:
    """Composes transcripts of one split."""

    def __init__(self, split: Split, rng: random.Random, max_tools: int = 4) -> None:
        self.split, self.rng, self.max_tools = split, rng, max_tools
        mine = [(domain.domain, tool) for domain in load_catalog() for tool in domain.tools if split_of(tool.name) == split]
        self.tools = [tool for _, tool in mine]
        self.domain_of = {tool.name: domain for domain, tool in mine}
        self.nested_tools = [tool for tool in self.tools if any(parameter.is_nested for parameter in tool.parameters.values())]
        self.listed_tools = [tool for tool in self.tools if any(parameter.is_flat_list for parameter in tool.parameters.values())]
        self._other_tools: dict[str, tuple[list[CatalogTool], list[CatalogTool]]] = {}
        self.chat_pairs = [pair for pair in load_chat() if split_of(pair["user"]) == split]
        self.unserved_requests = [entry for entry in load_unserved() if split_of(entry["request"]) == split]
        self.openers = [text for text in OPENERS if split_of(text) == split] or [""]
        self.closers = [text for text in CLOSERS if split_of(text) == split] or [""]
        self.joins = [text for text in JOINS if split_of(text) == split] or ["And "]
        self.refusals = [text for text in REFUSALS if split_of(text) == split] or list(REFUSALS[:1])

    # Who is offered

    def focus(self) -> CatalogTool:
        """The tool to be called; those with nested arguments, which are harder to spell, come more often than they are in the catalogue."""
        return self.rng.choice(self.nested_tools if self.rng.random() < NESTED_RATE else self.tools)

    def distractors(self, focus: CatalogTool, count: int, near_rate: float = 0.4) -> list[CatalogTool]:
        """Other tools that do not serve the requests of `focus`; with `near_rate` from its own domain."""
        free, near = self._others(focus.name)
        chosen: list[CatalogTool] = []
        while len(chosen) < count:
            pool = near if near and self.rng.random() < near_rate else free
            tool = self.rng.choice(pool)
            if tool not in chosen:
                chosen.append(tool)
        return chosen

    def _others(self, name: str) -> tuple[list[CatalogTool], list[CatalogTool]]:
        """Tools that do not serve the requests of the tool `name`: all of them, and those of its own domain."""
        if name not in self._other_tools:
            focus = next(tool for tool in self.tools if tool.name == name)
            free = [tool for tool in self.tools if tool.name not in {name, *focus.similar} and name not in tool.similar]
            self._other_tools[name] = free, [tool for tool in free if self.domain_of[tool.name] == self.domain_of[name]]
        return self._other_tools[name]

    def offer(self, tools: list[CatalogTool]) -> list[Offered]:
        """Shuffle the tools and give each the name it has in this transcript."""
        shuffled = self.rng.sample(tools, len(tools))
        terse = self.rng.random() < 0.3
        return [Offered(tool, restyled(tool.name, self.domain_of[tool.name], self.rng), terse) for tool in shuffled]

    def tool_count(self) -> int:
        weights = [10, 3, 1, 1, 1, 1][: self.max_tools]
        return self.rng.choices(range(1, len(weights) + 1), weights)[0]

    # What is said

    def say(self, text: str) -> str:
        """A request as typed: sometimes with an opener or closer, sometimes carelessly."""
        if self.rng.random() < 0.08:
            text = text.rstrip(".?")
        if self.rng.random() < 0.06:
            text = text[0].lower() + text[1:]
        if self.rng.random() < 0.12:
            text = self.rng.choice(self.openers) + text
        if self.rng.random() < 0.06:
            text += self.rng.choice(self.closers)
        return text

    def refuse(self, gist: str, offered: list[Offered]) -> str:
        return self.rng.choice(self.refusals).format(gist=gist, other=self.rng.choice(offered).tool.gist)

    # Exchanges: each appends the messages of one request to `messages`

    def serve(self, offered: Offered, messages: list[Json], finish: bool) -> None:
        """A request for one call; `finish` adds the result and the answer."""
        composed = compose_request(offered.tool, self.rng.choice(offered.tool.requests), self.rng)
        id_ = f"call_{len(messages)}"
        messages += [user(self.say(composed.text)), assistant(calls=[(offered.name, composed.arguments, id_)])]
        if finish:
            value, answer = compose_result(offered.tool, composed, self.rng)
            messages += [result(offered.name, value, id_), assistant(answer)]

    def serve_silently(self, offered: Offered, messages: list[Json]) -> None:
        """A request for one call whose result needs no answer: the user goes on with the next request."""
        self.serve(offered, messages, finish=False)
        messages.append(result(offered.name, {"ok": True}, messages[-1]["tool_calls"][0]["id"]))

    def serve_parallel(self, offered: list[Offered], messages: list[Json], finish: bool) -> None:
        """One request for several calls, in the order in which they are asked for."""
        composed = [compose_request(item.tool, self.rng.choice(item.tool.requests), self.rng) for item in offered]
        first, *rest = [part.text for part in composed]
        text = first + "".join(f" {self.rng.choice(self.joins)}{part[0].lower() + part[1:]}" for part in rest)
        ids = [f"call_{len(messages)}_{index}" for index in range(len(offered))]
        calls = [(item.name, part.arguments, id_) for item, part, id_ in zip(offered, composed, ids, strict=True)]
        messages += [user(self.say(text)), assistant(calls=calls)]
        if finish:
            outcomes = [compose_result(item.tool, part, self.rng) for item, part in zip(offered, composed, strict=True)]
            messages += [result(item.name, value, id_) for item, (value, _), id_ in zip(offered, outcomes, ids, strict=True)]
            messages.append(assistant(" ".join(answer for _, answer in outcomes)))

    def decline(self, absent: CatalogTool, offered: list[Offered], messages: list[Json]) -> None:
        """A request that a tool of the catalogue would serve, but it is not offered."""
        composed = compose_request(absent, self.rng.choice(absent.requests), self.rng)
        messages += [user(self.say(composed.text)), assistant(self.refuse(absent.gist, offered))]

    def ask(self, offered: Offered, messages: list[Json]) -> None:
        """A request that lacks a required argument."""
        request, question = compose_missing(offered.tool, self.rng.choice(offered.tool.missing), self.rng)
        messages += [user(self.say(request)), assistant(question)]

    def chat(self, messages: list[Json]) -> None:
        pair = self.rng.choice(self.chat_pairs)
        messages += [user(pair["user"]), assistant(pair["assistant"])]

    # Kinds of transcripts

    def call(self) -> tuple[list[Offered], list[Json]]:
        """One request for one call."""
        focus = self.focus()
        offered = self.offer([focus, *self.distractors(focus, self.tool_count() - 1)])
        messages: list[Json] = []
        self.serve(next(item for item in offered if item.tool is focus), messages, finish=self.rng.random() < 0.25)
        return offered, messages

    def parallel(self) -> tuple[list[Offered], list[Json]]:
        focus = self.rng.choice(self.tools)
        offered = self.offer([focus, *self.distractors(focus, self.rng.randint(1, 2))])
        count = self.rng.choice([2, 2, 2, 3])
        same = [item for item in offered if item.tool is focus] * count
        chosen = same if self.rng.random() < 0.5 else [self.rng.choice(offered) for _ in range(count)]
        messages: list[Json] = []
        self.serve_parallel(chosen, messages, finish=self.rng.random() < 0.2)
        return offered, messages

    def unserved(self) -> tuple[list[Offered], list[Json]]:
        """The request of one tool, with only other tools offered."""
        focus = self.rng.choice(self.tools)
        offered = self.offer(self.distractors(focus, self.tool_count()))
        messages: list[Json] = []
        self.decline(focus, offered, messages)
        return offered, messages

    def outside(self) -> tuple[list[Offered], list[Json]]:
        """A request that no tool of the catalogue serves."""
        entry = self.rng.choice(self.unserved_requests)
        offered = self.offer(self.rng.sample(self.tools, self.tool_count()))
        return offered, [user(self.say(entry["request"])), assistant(self.refuse(entry["gist"], offered))]

    def missing(self) -> tuple[list[Offered], list[Json]]:
        focus = self.rng.choice([tool for tool in self.tools if tool.missing])
        offered = self.offer([focus, *self.distractors(focus, self.tool_count() - 1)])
        messages: list[Json] = []
        self.ask(next(item for item in offered if item.tool is focus), messages)
        return offered, messages

    def small_talk(self) -> tuple[list[Offered], list[Json]]:
        offered = self.offer(self.rng.sample(self.tools, self.tool_count()))
        messages: list[Json] = []
        self.chat(messages)
        return offered, messages

    def dialogue(self) -> tuple[list[Offered], list[Json]]:
        """Several requests over the same tools: served, declined, unclear, or small talk."""
        focus = self.focus()
        offered = self.offer([focus, *self.distractors(focus, self.tool_count() - 1)])
        messages: list[Json] = []
        for _ in range(self.rng.randint(4, 8)):
            self.exchange(offered, messages)
        return offered, messages

    def exchange(self, offered: list[Offered], messages: list[Json]) -> None:
        item, what = self.rng.choice(offered), self.rng.random()
        if what < 0.12:
            self.serve(item, messages, finish=True)
        elif what < 0.46:
            self.serve_silently(item, messages)
        elif what < 0.80:
            names = {other.tool.name for other in offered}
            free = [tool for tool in self.distractors(item.tool, 3) if not names & {tool.name, *tool.similar}]
            if free:
                self.decline(free[0], offered, messages)
        elif what < 0.93 and item.tool.missing:
            self.ask(item, messages)
        else:
            self.chat(messages)

    def transcripts(self, kind: str, id_: str) -> list[Transcript]:
        """The validated transcripts of one draw of `kind`, with `meta.kind` and the catalogue names of the offered tools.

        One, or of a scene one for each of its requests.
        """
        if kind in scenes.KINDS:
            tools, names, exchanges = scenes.KINDS[kind](self)
            return [self._transcript(kind, f"{id_}.{at}", tools, names, messages) for at, messages in enumerate(exchanges)]
        if kind in filetools.KINDS:
            tools, messages = filetools.compose(kind, self)
            return [self._transcript(kind, id_, tools, [tool["function"]["name"] for tool in tools], messages)]
        offered: list[Offered] = []
        messages = []
        while not messages:
            offered, messages = getattr(self, kind)()
        return [self._transcript(kind, id_, [item.schema() for item in offered], [item.tool.name for item in offered], messages)]

    def _transcript(self, kind: str, id_: str, tools: list[Json], names: list[str], messages: list[Json]) -> Transcript:
        meta = {"kind": kind, "split": self.split, "catalog": names}
        row = {"id": id_, "source": "synthetic", "license": "Apache-2.0", "tools": tools, "messages": messages, "meta": meta}
        return Transcript.model_validate(row)


KINDS = ("call", "parallel", "unserved", "outside", "missing", "small_talk", "dialogue", *filetools.KINDS, *scenes.KINDS)


def generate(split: Split, seed: int, count: int, mix: Mapping[str, float], max_tools: int = 4) -> Iterator[Transcript]:
    """`count` draws of `split`: the kinds in the proportions of `mix`, in a seeded order. A draw is a transcript, or a scene of several."""
    unknown = sorted(set(mix) - set(KINDS))
    if unknown:
        raise ValueError(f"mix names {', '.join(unknown)}; kinds are {', '.join(KINDS)}")
    rng = random.Random(f"{seed}:{split}")
    composer = Composer(split, rng, max_tools)
    total = sum(mix.values())
    kinds = [kind for kind, share in mix.items() for _ in range(round(count * share / total))]
    rng.shuffle(kinds)
    for index, kind in enumerate(kinds):
        yield from composer.transcripts(kind, f"synthetic-{split}-{seed}-{index}")
