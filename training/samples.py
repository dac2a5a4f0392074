"""The demo's three tasks, generated: a shop's service desk that routes, extracts and describes.

- `route`: a customer's message -> the queue it belongs to (accuracy)
- `extract`: an order in words -> its JSON (exact match, field F1)
- `describe`: a product's record -> a sentence (BLEU, three references)

Names, products and towns are drawn so that no value of a test row that has to be copied stands in a
training row: a score says what was learnt, not what was remembered.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluation.output import check_folder
from training.pretrain import words

Row = dict[str, Any]
Make = Callable[[random.Random], tuple[Row, frozenset[str]]]

SIZES = {"train": 1600, "valid": 120, "test": 200}

_QUEUES: dict[str, tuple[str, ...]] = {
    "billing": (
        "I was charged twice for {item}",
        "the invoice for order {code} shows the wrong amount",
        "my card was declined when I paid {price} for {item}",
        "please explain the fee of {price} on my bill",
        "I paid {price} but the receipt never came",
        "can I pay for {item} in three parts",
        "the discount was not taken off order {code}",
        "there is a payment of {price} I do not recognise",
    ),
    "delivery": (
        "where is my parcel {code}",
        "{item} should have arrived on {day}",
        "the driver left {item} at the wrong address in {town}",
        "can you ship order {code} to {town} instead",
        "tracking for {code} has not moved since {day}",
        "how long does shipping to {town} take",
        "nobody was home when the courier came on {day}",
        "half of order {code} has not reached me",
    ),
    "returns": (
        "I want to send {item} back",
        "{item} does not fit, how do I return it",
        "when will I get my money back for order {code}",
        "I changed my mind about {item} and would like a refund",
        "the return label for {code} does not print",
        "can I swap {item} for another colour",
        "I sent {item} back on {day} and heard nothing",
        "is {day} too late to return {item}",
    ),
    "repairs": (
        "{item} stopped working after two days",
        "the screen of {item} is cracked, can you fix it",
        "{item} makes a strange noise",
        "a part of {item} is broken",
        "can someone in {town} repair {item}",
        "{item} is still under warranty and will not turn on",
        "I need a spare part for {item}",
        "the battery of {item} no longer charges",
    ),
    "account": (
        "I forgot my password",
        "please change my address to {town}",
        "I cannot log in since {day}",
        "how do I delete my profile",
        "my email address has changed, update it please",
        "someone else is using my login",
        "the site says my user name {customer} is taken",
        "stop sending me the newsletter",
    ),
    "stock": (
        "when will {item} be available again",
        "do you have {item} in your shop in {town}",
        "is {item} sold out",
        "do you also sell {item} in a larger size",
        "how many of {item} are left",
        "tell me when {item} is back",
        "will you carry {item} before {day}",
        "does the shop in {town} keep {item} on the shelf",
    ),
    "praise": (
        "thank you for the quick help with {item}",
        "{item} is wonderful, I am very happy",
        "your colleague {agent} was so kind",
        "great service in {town}, well done",
        "I love {item}, best thing I bought this year",
        "just wanted to say that {agent} did an excellent job",
        "everything about order {code} was perfect",
        "my family enjoys {item} every day",
    ),
}
_GREETINGS = ("Hello, ", "Hi, ", "Good morning, ", "Dear team, ", "Hey, ", "", "", "")
_FAREWELLS = (". Thanks, {customer}.", ". Regards, {customer}", ". {customer}", "!", ".", "?", " please.")


def write_samples(out: Path, seed: int = 7) -> dict[str, dict[str, int]]:
    """Writes `out`/<task>/{train,valid,test}.jsonl for the three tasks; returns the rows written per task and split.

    Raises BadInput when `out` cannot be a folder.
    """
    check_folder(out)
    counts: dict[str, dict[str, int]] = {}
    for task, make in TASKS.items():
        folder = out / task
        folder.mkdir(parents=True, exist_ok=True)
        for split, rows in _splits(make, random.Random(f"{seed}/{task}")).items():
            lines = (json.dumps(_shape(row, split), ensure_ascii=False) for row in rows)
            (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            counts.setdefault(task, {})[split] = len(rows)
    return counts


def _splits(make: Make, rng: random.Random) -> dict[str, list[Row]]:
    """The splits in the order test, valid, train; a row that shares a copied value with an earlier split is drawn again."""
    taken: set[str] = set()
    splits: dict[str, list[Row]] = {}
    for split in ("test", "valid", "train"):
        rows: dict[str, Row] = {}
        mine: set[str] = set()
        while len(rows) < SIZES[split]:
            row, values = make(rng)
            if taken.isdisjoint(values | {row["prompt"]}) and row["prompt"] not in rows:
                rows[row["prompt"]] = row
                mine |= values | {row["prompt"]}
        taken |= mine
        splits[split] = list(rows.values())
    return splits


def _shape(row: Row, split: str) -> Row:
    """Training rows carry one completion; the others all references, where a task has several."""
    if "references" not in row:
        return row
    if split == "train":
        return {"prompt": row["prompt"], "completion": " " + row["references"][0]}
    return {"prompt": row["prompt"], "references": row["references"]}


def _values(rng: random.Random) -> dict[str, str]:
    return {
        "customer": words.person(rng),
        "agent": words.person(rng),
        "item": f"the {_product_name(rng)} {rng.choice(_PRODUCTS)}",
        "code": words.code(rng),
        "price": f"{rng.choice(words.CURRENCIES)}{rng.randint(2, 900)}",
        "day": words.day(rng),
        "town": f"{words.made_up(rng)}{rng.choice(('', ' Bay', ' Hill', 'ton', 'ville'))}",
    }


def _route(rng: random.Random) -> tuple[Row, frozenset[str]]:
    queue = rng.choice(list(_QUEUES))
    values = _values(rng)
    text = (rng.choice(_GREETINGS) + rng.choice(_QUEUES[queue]) + rng.choice(_FAREWELLS)).format(**values)
    copied = frozenset(v for key, v in values.items() if key in ("customer", "item", "town") and v in text)
    return {"prompt": text[0].upper() + text[1:] + "\nQueue:", "completion": f" {queue}"}, copied


_PRODUCTS = ("lamp", "kettle", "backpack", "desk", "clock", "rug", "mug", "jacket", "headset", "bicycle", "tent", "printer")
_ORDERS = (
    "{customer} from {town} would like {quantity} of {item}, to arrive on {day}.",
    "Please send {quantity} pieces of {item} to {customer} in {town}. They are needed on {day}.",
    "On {day} we ship {item} to {town}: {quantity} of them, for {customer}.",
    "New order by {customer}: {item}, quantity {quantity}, delivery to {town}, due {day}.",
    "{customer} called. We deliver {quantity} times {item} in {town} on {day}.",
    "For {day}: {town}, {customer}, {item}, {quantity} pieces.",
)


def _extract(rng: random.Random) -> tuple[Row, frozenset[str]]:
    values = _values(rng)
    order = {
        "customer": values["customer"],
        "item": values["item"],
        "quantity": rng.randint(2, 400),
        "town": values["town"],
        "day": values["day"],
    }
    text = rng.choice(_ORDERS).format(**order)
    copied = frozenset((values["customer"], values["item"], values["town"]))
    return {"prompt": f"{text[0].upper()}{text[1:]}\nOrder:", "completion": " " + json.dumps(order, ensure_ascii=False)}, copied


def _product_name(rng: random.Random) -> str:
    return (
        f"{words.made_up(rng)} {rng.choice(words.common_words()).capitalize()}" if rng.random() < 0.5 else words.made_up(rng, 2)
    )


_DESCRIPTIONS = (
    "The {name} is {a} {colour} {type} made of {material}. It costs {price} and comes from {maker}.",
    "{maker} makes the {name}, one {type} of {material} in {colour}, for {price}.",
    "For {price} you get the {name}, {a} {colour} {material} {type} by {maker}.",
)


def _describe(rng: random.Random) -> tuple[Row, frozenset[str]]:
    record = {
        "name": _product_name(rng),
        "type": rng.choice(_PRODUCTS),
        "colour": rng.choice(words.COLOURS),
        "material": rng.choice(words.MATERIALS),
        "price": f"{rng.choice(words.CURRENCIES)}{rng.randint(2, 900)}",
        "maker": f"{words.made_up(rng, 2)} {rng.choice(('Works', 'and Sons', 'Design', 'Ltd', 'House'))}",
    }
    prompt = " | ".join(f"{key}: {value}" for key, value in record.items())
    article = "an" if record["colour"][0] in "aeiou" else "a"
    references = [text.format(a=article, **record) for text in rng.sample(_DESCRIPTIONS, len(_DESCRIPTIONS))]
    return {"prompt": f"{prompt}\nText:", "references": references}, frozenset((record["name"], record["maker"]))


TASKS: dict[str, Make] = {"route": _route, "extract": _extract, "describe": _describe}
