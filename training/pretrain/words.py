"""Names, numbers and codes drawn at random: the values that a model has to copy, not to know."""

import random
from functools import cache

from faker import Faker
from faker.providers.lorem.en_US import Provider as _EnglishWords

_POOL = 3000
_ONSETS = ["", "b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "pr"]
_ONSETS += ["qu", "r", "s", "sh", "st", "t", "th", "tr", "v", "w", "y", "z"]
_VOWELS = ["a", "e", "i", "o", "u", "a", "e", "i", "o", "ai", "ee", "ia", "oo", "ou", "é", "ö"]
_CODAS = ["", "", "", "l", "m", "n", "nd", "r", "rk", "s", "st", "t", "x", "ck", "ld", "ng", "th"]
_VENUE_HEADS = ["The", "Old", "New", "Little", "Golden", "Blue", "Red", "Green", "Royal", "Grand", "Corner", "Café", "Hotel"]
CURRENCIES = ["$", "£", "€", "$", "£", "¥"]
COLOURS = ["red", "blue", "green", "black", "white", "grey", "yellow", "orange", "purple", "brown", "pink", "silver"]
MATERIALS = ["wood", "steel", "cotton", "glass", "leather", "plastic", "wool", "stone", "paper", "copper", "clay", "silk"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October"]
MONTHS += ["November", "December"]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
RATINGS = ["low", "average", "high", "excellent", "poor", "good", "1 out of 5", "3 out of 5", "5 out of 5", "4 stars"]


@cache
def pool(kind: str) -> tuple[str, ...]:
    """Up to 3,000 distinct values of a Faker provider's `kind` (name, city, company, job, country...), always the same."""
    faker = Faker("en_US")
    faker.seed_instance(f"patchbay {kind}")
    return tuple(dict.fromkeys(str(getattr(faker, kind)()) for _ in range(_POOL)))


@cache
def common_words() -> tuple[str, ...]:
    """About a thousand common English words, in Faker's fixed order."""
    return tuple(dict.fromkeys(_EnglishWords.word_list))


def made_up(rng: random.Random, syllables: int = 0) -> str:
    """A pronounceable word nobody has seen, such as `Drelmo`: it can only be copied."""
    count = syllables or rng.choice((1, 2, 2, 2, 3))
    parts = (rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(count))
    return "".join(parts).capitalize()


def person(rng: random.Random) -> str:
    """A person's name, half of them made up."""
    if rng.random() < 0.5:
        return rng.choice(pool("name"))
    first = rng.choice(pool("first_name")) if rng.random() < 0.5 else made_up(rng)
    return first if rng.random() < 0.3 else f"{first} {made_up(rng)}"


def place(rng: random.Random) -> str:
    """A town, a country or a made-up place."""
    return rng.choice((rng.choice(pool("city")), rng.choice(pool("country")), made_up(rng), f"{made_up(rng)} {made_up(rng)}"))


def title(rng: random.Random) -> str:
    """The name of a thing: a venue, a book, a product; one to three words."""
    word = rng.choice(common_words()).capitalize()
    return rng.choice(
        (
            f"{rng.choice(_VENUE_HEADS)} {word}",
            f"{rng.choice(_VENUE_HEADS)} {made_up(rng)}",
            f"{made_up(rng)} {word}",
            f"{word} {rng.choice(common_words())}",
            made_up(rng),
            rng.choice(pool("company")),
        )
    )


def price(rng: random.Random) -> str:
    """A price, a price range or a price class."""
    low, sign = rng.randint(1, 400), rng.choice(CURRENCIES)
    return rng.choice(
        (
            f"{sign}{low}",
            f"{sign} {low}",
            f"{sign}{low}.{rng.randint(0, 99):02d}",
            f"{low} euros",
            f"{sign} {low} - {low + rng.randint(2, 30)}",
            f"less than {sign} {low}",
            f"more than {sign} {low}",
            rng.choice(("cheap", "moderate", "high", "low")),
        )
    )


def number(rng: random.Random) -> str:
    """A whole number of one to five digits, small ones more often."""
    return str(rng.randrange(10 ** rng.randint(1, 5)))


def code(rng: random.Random) -> str:
    """An order number or part number such as `KX-4821`."""
    letters = "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=rng.randint(1, 3)))
    return f"{letters}{rng.choice(('', '-', '#'))}{rng.randrange(10 ** rng.randint(2, 5))}"


def day(rng: random.Random) -> str:
    """A day: a weekday, a date in words or in digits."""
    number_, month = rng.randint(1, 28), rng.randint(1, 12)
    return rng.choice(
        (
            rng.choice(WEEKDAYS),
            f"{number_} {MONTHS[month - 1]}",
            f"{MONTHS[month - 1]} {number_}",
            f"{rng.randint(1990, 2030)}-{month:02d}-{number_:02d}",
        )
    )
