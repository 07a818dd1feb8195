"""Draws argument values together with the words a person would use for them.

The sampler language is documented in `data/sources/catalog/README.md`. Every draw takes an explicit `random.Random`, so that a
data set depends on its seed alone.
"""

from __future__ import annotations

import datetime
import random
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Pools = Mapping[str, Sequence[Any]]


class Sampled(NamedTuple):
    """`value` as it stands in the call's arguments, `spoken` as it stands in the request."""

    value: Any
    spoken: str


Draw = Callable[[random.Random, list[str], Pools], Sampled]


def verbatim(value: Any) -> Sampled:
    return Sampled(value, str(value))


def spoken_list(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) <= 1:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def _int(rng: random.Random, args: list[str], pools: Pools) -> Sampled:
    return verbatim(rng.randint(int(args[0]), int(args[1])))


def _float(rng: random.Random, args: list[str], pools: Pools) -> Sampled:
    low, high, decimals = float(args[0]), float(args[1]), int(args[2])
    value = round(rng.uniform(low, high), decimals)
    return Sampled(value, f"{value:g}" if abs(value) < 1e6 else str(value))


def _day(rng: random.Random) -> datetime.date:
    return datetime.date(2024, 1, 1) + datetime.timedelta(days=rng.randrange(3 * 365))


def _date(rng: random.Random, args: list[str], pools: Pools) -> Sampled:
    day = _day(rng)
    month = day.strftime("%B")
    spellings = [day.isoformat(), f"{month} {day.day}, {day.year}", f"{day.day} {month} {day.year}"]
    return Sampled(day.isoformat(), rng.choice(spellings))


def _time(rng: random.Random, args: list[str], pools: Pools) -> Sampled:
    hour, minute = rng.randint(6, 22), rng.choice([0, 0, 10, 15, 20, 30, 30, 40, 45, 50])
    value = f"{hour:02d}:{minute:02d}"
    twelve = f"{(hour - 1) % 12 + 1}{f':{minute:02d}' if minute else ''} {'am' if hour < 12 else 'pm'}"
    return Sampled(value, rng.choice([value, value, twelve]))


def _datetime(rng: random.Random, args: list[str], pools: Pools) -> Sampled:
    day, time = _date(rng, [], pools), _time(rng, [], pools)
    return Sampled(f"{day.value}T{time.value}", rng.choice([f"{day.spoken} at {time.spoken}", f"{day.value}T{time.value}"]))


def _month(rng: random.Random, args: list[str], pools: Pools) -> Sampled:
    return verbatim(datetime.date(2025, rng.randint(1, 12), 1).strftime("%B"))


def _id(rng: random.Random, args: list[str], pools: Pools) -> Sampled:
    return verbatim(f"{args[0]}-{rng.randint(1000, 99999)}")


def _code(rng: random.Random, args: list[str], pools: Pools) -> Sampled:
    return verbatim("".join(rng.choices(string.ascii_uppercase + string.digits, k=int(args[0]))))


def _email(rng: random.Random, args: list[str], pools: Pools) -> Sampled:
    first = rng.choice(pools["first_name"]).lower()
    return verbatim(
        f"{first}{rng.choice(['', '.' + rng.choice('abcdehmrst'), str(rng.randint(1, 99))])}@{rng.choice(pools['domain_name'])}"
    )


def _phone(rng: random.Random, args: list[str], pools: Pools) -> Sampled:
    return verbatim(f"+{rng.randint(1, 98)} {rng.randint(100, 999)} {rng.randint(100, 999)} {rng.randint(1000, 9999)}")


def _url(rng: random.Random, args: list[str], pools: Pools) -> Sampled:
    return verbatim(f"https://{rng.choice(pools['domain_name'])}/{rng.choice(pools['package_name'])}")


def _path(rng: random.Random, args: list[str], pools: Pools) -> Sampled:
    folder = rng.choice(["src", "docs", "reports", "data/raw", "notes", "/srv/app", "exports/2025", "config", "tmp"])
    stem = str(rng.choice(pools["filename"])).rsplit(".", 1)[0]
    return verbatim(f"{folder}/{stem}.{args[0].lstrip('.')}" if args else f"{folder}/{stem}")


COMPUTED: dict[str, Draw] = {
    "int": _int,
    "float": _float,
    "date": _date,
    "time": _time,
    "datetime": _datetime,
    "year": lambda rng, args, pools: verbatim(rng.randint(1950, 2025)),
    "month": _month,
    "id": _id,
    "code": _code,
    "email": _email,
    "phone": _phone,
    "url": _url,
    "path": _path,
}


def draw(spec: Any, rng: random.Random, pools: Pools) -> Sampled:
    """Draw from a sampler spec: a name with arguments, a list of values, a mapping value → spoken, or `{list: …}`."""
    if isinstance(spec, list):
        return verbatim(rng.choice(spec))
    if isinstance(spec, dict):
        return _draw_list(spec, rng, pools) if "list" in spec else Sampled(*rng.choice(list(spec.items())))
    head, *args = str(spec).split()
    if head in pools:
        return verbatim(rng.choice(pools[head]))
    if head in COMPUTED:
        return COMPUTED[head](rng, args, pools)
    raise ValueError(f"unknown sampler {spec!r}; known: {', '.join(sorted([*COMPUTED, *pools]))}")


def _draw_list(spec: dict[str, Any], rng: random.Random, pools: Pools) -> Sampled:
    drawn: dict[str, Sampled] = {}
    for _ in range(rng.randint(spec.get("min", 2), spec.get("max", 4))):
        item = draw(spec["list"], rng, pools)
        drawn.setdefault(item.spoken, item)
    items = list(drawn.values())
    return Sampled([item.value for item in items], spoken_list([item.spoken for item in items]))
