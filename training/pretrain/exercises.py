"""Short exercises and everyday sentences: repeating, ordering, naming the topic, asking politely."""

import random

from training.pretrain import words
from training.pretrain.documents import Document, plain, read_then_write
from training.pretrain.topics import TOPICS

_REQUESTS = (
    "can you {v} my {n}",
    "could you please {v} the {n}",
    "i want to {v} a {n}",
    "i need to {v} my {n} today",
    "how do i {v} the {n}",
    "how can i {v} a {n} in {p}",
    "what is the best {n} for me",
    "what is my {n}",
    "where is the {n}",
    "where can i {v} a {n} near {p}",
    "when does the {n} start",
    "why did you {v} my {n}",
    "who can {v} this {n}",
    "is the {n} ready or should i {v} it again",
    "tell me about the {n} in {p}",
    "please {v} the {n} and the {m}",
    "do i have a {n} for {d}",
    "i would like to know if i can {v} the {n} on {d}",
    "my {n} is broken and i can't {v} it",
    "show me how to {v} a {n} with the {m}",
    "is there a {n} at {p}",
    "how many {n}s are there",
    "how much is the {n}",
    "will you {v} the {n} for {w}",
    "did {w} {v} the {n}",
    "does the {n} need a {m}",
    "i forgot to {v} the {n}, what now",
    "let's {v} the {n} before {d}",
    "don't {v} the {n}",
    "thanks, the {n} is fine, but the {m} is not",
)


def request(rng: random.Random, topic: str) -> str:
    """An everyday request or question about `topic`, in lower case or with its capital and full stop."""
    nouns, verbs = TOPICS[topic]
    text = rng.choice(_REQUESTS).format(
        n=rng.choice(nouns),
        m=rng.choice(nouns),
        v=rng.choice(verbs),
        p=words.place(rng),
        d=words.day(rng),
        w=words.person(rng),
    )
    return text if rng.random() < 0.5 else text[0].upper() + text[1:] + rng.choice(("?", ".", "!"))


def talk(rng: random.Random) -> Document:
    """A run of sentences about one topic: which words belong together."""
    topic = rng.choice(list(TOPICS))
    return plain(" ".join(request(rng, topic) for _ in range(rng.randint(1, 4))))


def naming(rng: random.Random) -> Document:
    """A sentence, then its topic; or a few with their topics."""
    document: Document = []
    for _ in range(rng.choice((1, 1, 3))):
        topic = rng.choice(list(TOPICS))
        document += read_then_write(f"{request(rng, topic)}\nTopic:", f" {topic}\n")
    return document


def _items(rng: random.Random) -> list[str]:
    draw = rng.choice((words.made_up, words.code, words.number, words.person, words.title, words.place, _word))
    return list(dict.fromkeys(draw(rng) for _ in range(rng.randint(2, 8))))


def _word(rng: random.Random) -> str:
    return rng.choice(words.common_words())


def repeat(rng: random.Random) -> Document:
    """A list, then the same list again: the plainest copying there is."""
    separator = rng.choice((" ", ", ", " | ", "; ", "\n"))
    text = separator.join(_items(rng))
    lead = rng.choice(("", "Repeat: ", "Copy this: ", "Say it twice: "))
    middle = rng.choice(("\n", " ->", " again:", "\nAnswer:"))
    return read_then_write(f"{lead}{text}{middle}", f" {text}")


def pick(rng: random.Random) -> Document:
    """A list, then its first, last or a named neighbour: copying one thing and not the rest."""
    items = _items(rng)
    place = rng.randrange(len(items))
    question, answer = rng.choice(
        (
            ("first", items[0]),
            ("last", items[-1]),
            (f"after {items[place - 1]}", items[place]) if place else ("first", items[0]),
        )
    )
    return read_then_write(f"{', '.join(items)}\n{question}:", f" {answer}")


def reorder(rng: random.Random) -> Document:
    """A list, then the list in reverse or in alphabetical order."""
    items = _items(rng)[:5]
    how, result = rng.choice((("reverse", items[::-1]), ("sort", sorted(items))))
    return read_then_write(f"{how}: {', '.join(items)}\n", ", ".join(result))


def chat(task: Document) -> Document:
    """Any task as one turn of chat, in the markers of the chat template."""
    asked = "".join(segment.text for segment in task[:-1])
    return read_then_write(f"<|user|>\n{asked.strip()}\n<|assistant|>\n", task[-1].text.strip())
