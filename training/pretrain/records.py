"""Records of twelve kinds, written as lists, JSON and English: where copying is learnt.

Each kind has a handful of fields; a field has a way to draw a value and phrases that say it. The
same record is then the source or the target of a task: record to sentence, sentence to JSON, record
to another layout, a question about one field.
"""

import json
import random
from collections.abc import Callable
from typing import NamedTuple

from training.pretrain import words
from training.pretrain.documents import Document, read_then_write

Draw = Callable[[random.Random], str]
Record = dict[str, str]


class Field(NamedTuple):
    """How a field is drawn and said: each phrase follows the subject, as in `it costs {v}`."""

    draw: Draw
    phrases: tuple[str, ...]


class Kind(NamedTuple):
    """A kind of thing: the nouns that name it and its fields (`name` is always there)."""

    nouns: tuple[str, ...]
    name: Draw
    fields: dict[str, Field]


def _one_of(*values: str) -> Draw:
    return lambda rng: rng.choice(values)


def _pool(kind: str) -> Draw:
    return lambda rng: rng.choice(words.pool(kind))


def _field(draw: Draw, *phrases: str) -> Field:
    return Field(draw, phrases)


_PRICE = _field(words.price, "costs {v}", "is priced at {v}", "has a price of {v}", "can be had for {v}")
_COLOUR = _field(_one_of(*words.COLOURS), "is {v}", "comes in {v}", "has a {v} finish", "is {v} in colour")
_CITY = _field(words.place, "is in {v}", "is located in {v}", "can be found in {v}", "lies in {v}")
_NEAR = _field(words.title, "is near {v}", "is close to {v}", "stands next to {v}", "is not far from {v}")
_RATING = _field(_one_of(*words.RATINGS), "is rated {v}", "has a rating of {v}", "has a {v} rating")
_DAY = _field(words.day, "is on {v}", "takes place on {v}", "is planned for {v}")
_OWNER = _field(words.person, "belongs to {v}", "is owned by {v}", "is run by {v}")
_PHONE = _field(_pool("phone_number"), "can be called at {v}", "has the number {v}")
_AGE = _field(lambda rng: str(rng.randint(1, 99)), "is {v} years old", "has the age of {v}")
_COUNT = _field(words.number, "has {v} members", "counts {v} people", "holds {v} items")
_MAKER = _field(_pool("company"), "is made by {v}", "comes from {v}", "is a product of {v}")
_JOB = _field(_pool("job"), "works as {v}", "has the job of {v}")
_CODE = _field(words.code, "has the number {v}", "is filed under {v}", "carries the code {v}")
_WEIGHT = _field(lambda rng: f"{rng.randint(1, 900)} {rng.choice(('g', 'kg', 'pounds'))}", "weighs {v}", "has a weight of {v}")
_STATUS = _field(
    _one_of("open", "closed", "new", "late", "ready", "lost", "paid", "unpaid", "on hold", "done"),
    "is {v}",
    "has the status {v}",
    "is marked as {v}",
)
_MATERIAL = _field(_one_of(*words.MATERIALS), "is made of {v}", "is a {v} one", "was built from {v}")

KINDS: dict[str, Kind] = {
    "product": Kind(
        ("lamp", "chair", "bag", "watch", "bottle", "jacket", "phone", "table", "knife", "toy", "clock", "tent"),
        words.title,
        {"price": _PRICE, "colour": _COLOUR, "maker": _MAKER, "weight": _WEIGHT, "material": _MATERIAL, "rating": _RATING},
    ),
    "person": Kind(
        ("person", "guest", "customer", "member", "worker", "teacher"),
        words.person,
        {"age": _AGE, "city": _CITY, "job": _JOB, "phone": _PHONE, "code": _CODE},
    ),
    "shop": Kind(
        ("shop", "bakery", "library", "bookshop", "museum", "gym", "hotel", "market", "garage", "school"),
        words.title,
        {"city": _CITY, "near": _NEAR, "owner": _OWNER, "rating": _RATING, "price": _PRICE, "phone": _PHONE},
    ),
    "event": Kind(
        ("concert", "meeting", "festival", "race", "lecture", "wedding", "match", "exhibition"),
        words.title,
        {"day": _DAY, "city": _CITY, "host": _OWNER, "price": _PRICE, "size": _COUNT, "status": _STATUS},
    ),
    "book": Kind(
        ("book", "novel", "guide", "diary", "story", "song", "film"),
        words.title,
        {
            "author": _field(words.person, "was written by {v}", "is the work of {v}", "is by {v}"),
            "year": _field(lambda rng: str(rng.randint(1800, 2030)), "came out in {v}", "was made in {v}", "dates from {v}"),
            "price": _PRICE,
            "rating": _RATING,
            "code": _CODE,
        },
    ),
    "order": Kind(
        ("order", "parcel", "shipment", "letter", "delivery"),
        words.code,
        {
            "customer": _field(words.person, "was placed by {v}", "is for {v}", "belongs to {v}"),
            "item": _field(words.title, "contains {v}", "holds {v}", "is about {v}"),
            "quantity": _field(words.number, "has {v} pieces", "counts {v} items"),
            "city": _field(words.place, "goes to {v}", "is sent to {v}", "will arrive in {v}"),
            "day": _field(words.day, "is due on {v}", "leaves on {v}", "arrives on {v}"),
            "status": _STATUS,
            "price": _PRICE,
        },
    ),
    "city": Kind(
        ("city", "town", "village", "harbour", "island"),
        words.place,
        {
            "people": _field(words.number, "has {v} inhabitants", "is home to {v} people"),
            "country": _field(_pool("country"), "is part of {v}", "lies in {v}"),
            "river": _field(words.made_up, "stands on the river {v}", "is crossed by the {v}"),
            "mayor": _field(words.person, "is led by {v}", "has {v} as its mayor"),
        },
    ),
    "animal": Kind(
        ("dog", "cat", "horse", "bird", "rabbit", "cow", "fish", "goat"),
        words.made_up,
        {"age": _AGE, "colour": _COLOUR, "owner": _OWNER, "weight": _WEIGHT, "home": _CITY},
    ),
    "trip": Kind(
        ("flight", "train", "bus", "ferry", "tram"),
        words.code,
        {
            "from": _field(words.place, "leaves from {v}", "starts in {v}"),
            "to": _field(words.place, "goes to {v}", "ends in {v}"),
            "day": _field(words.day, "runs on {v}", "leaves on {v}"),
            "price": _PRICE,
            "status": _STATUS,
        },
    ),
    "team": Kind(
        ("team", "band", "club", "company", "office"),
        words.title,
        {"size": _COUNT, "city": _CITY, "leader": _OWNER, "phone": _PHONE, "colour": _COLOUR},
    ),
    "machine": Kind(
        ("machine", "car", "boat", "printer", "bicycle", "engine", "robot"),
        words.code,
        {"maker": _MAKER, "colour": _COLOUR, "weight": _WEIGHT, "price": _PRICE, "owner": _OWNER, "material": _MATERIAL},
    ),
    "note": Kind(
        ("note", "ticket", "task", "message", "report"),
        words.title,
        {
            "sender": _field(words.person, "was sent by {v}", "comes from {v}"),
            "receiver": _field(words.person, "is addressed to {v}", "went to {v}"),
            "day": _DAY,
            "status": _STATUS,
            "code": _CODE,
        },
    ),
}


def draw_record(rng: random.Random, kind: str) -> Record:
    """A record of `kind`: its name, its noun as `type` (two times in three) and one to five of its fields, shuffled."""
    spec = KINDS[kind]
    keys = rng.sample(list(spec.fields), rng.randint(1, min(5, len(spec.fields))))
    record = {"name": spec.name(rng)}
    if rng.random() < 0.67:
        record["type"] = rng.choice(spec.nouns)
    for key in keys:
        record[key] = spec.fields[key].draw(rng)
    if rng.random() < 0.3:
        items = list(record.items())
        rng.shuffle(items)
        record = dict(items)
    return record


def _phrase(rng: random.Random, kind: str, key: str, value: str) -> str:
    return rng.choice(KINDS[kind].fields[key].phrases).format(v=value)


def _join(phrases: list[str]) -> str:
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]


def sentence(rng: random.Random, kind: str, record: Record) -> str:
    """The record in one to three English sentences that say every field, in an order of their own."""
    keys = [k for k in record if k not in ("name", "type")]
    rng.shuffle(keys)
    phrases = [_phrase(rng, kind, k, record[k]) for k in keys]
    name = record["name"]
    if "type" in record:
        noun = record["type"]
        article = "an" if noun[0] in "aeiou" else "a"
        opening = rng.choice(
            (f"{name} is {article} {noun} that ", f"The {noun} {name} ", f"There is {article} {noun} called {name} that ")
        )
    else:
        opening = f"{name} "
    cut = rng.randint(1, len(phrases))
    text = opening + _join(phrases[:cut]) + "."
    while cut < len(phrases):
        step = rng.randint(1, len(phrases) - cut)
        text += rng.choice((" It ", " It also ", f" {name} ")) + _join(phrases[cut : cut + step]) + "."
        cut += step
    return text


_LISTINGS: tuple[tuple[str, str], ...] = (
    ("{k}: {v}", "\n"),
    ("{k} = {v}", "; "),
    ("{k}: {v}", ", "),
    ("{k} : {v}", " | "),
    ("{k}[{v}]", ", "),
    ("- {k}: {v}", "\n"),
    ("{k}={v}", " "),
    ("<{k}>{v}</{k}>", ""),
    ("{v} ({k})", ", "),
)


def listing(rng: random.Random, record: Record) -> str:
    """The record as a list of keys and values in one of nine layouts, or as JSON."""
    if rng.random() < 0.15:
        return json.dumps(record, ensure_ascii=False)
    form, separator = rng.choice(_LISTINGS)
    capital = rng.random() < 0.3
    return separator.join(form.format(k=k.capitalize() if capital else k, v=v) for k, v in record.items())


_AFTER_RECORD = ("\n", "\n", " ->", "\nText:", "\nIn words:", "\n\n", " =>", "")
_AFTER_TEXT = ("\nJSON:", "\n", " ->", "\nRecord:", "\n\n", " =>")


def record_to_sentence(rng: random.Random) -> Document:
    """A record, then the same in words."""
    kind = rng.choice(list(KINDS))
    record = draw_record(rng, kind)
    return read_then_write(listing(rng, record) + rng.choice(_AFTER_RECORD), " " + sentence(rng, kind, record))


def sentence_to_json(rng: random.Random) -> Document:
    """A sentence, then its record as JSON in the order the keys are asked for."""
    kind = rng.choice(list(KINDS))
    record = draw_record(rng, kind)
    asked = f"\nKeys: {', '.join(record)}" if rng.random() < 0.4 else ""
    return read_then_write(
        sentence(rng, kind, record) + asked + rng.choice(_AFTER_TEXT), " " + json.dumps(record, ensure_ascii=False)
    )


def relisting(rng: random.Random) -> Document:
    """A record in one layout, then in another."""
    record = draw_record(rng, rng.choice(list(KINDS)))
    return read_then_write(listing(rng, record) + rng.choice(("\n", " ->", "\nAgain:")), " " + listing(rng, record))


def lookup(rng: random.Random) -> Document:
    """Two or three records or sentences and a few questions about single fields of them."""
    facts, asked = [], []
    for _ in range(rng.randint(1, 3)):
        kind = rng.choice(list(KINDS))
        record = draw_record(rng, kind)
        facts.append(listing(rng, record) if rng.random() < 0.5 else sentence(rng, kind, record))
        asked += [(key, record["name"], value) for key, value in record.items() if key != "name"]
    rng.shuffle(asked)
    document = read_then_write("\n".join(facts), "")
    for key, name, value in asked[:3]:
        question = rng.choice(("What is the {k} of {n}?", "{k} of {n}?", "Tell me the {k} of {n}.", "{n}: {k}?"))
        document += read_then_write(f"\n{question.format(k=key, n=name)}", f" {value}")
    return document
