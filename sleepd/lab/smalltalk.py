"""What the seedling's world holds besides people: small talk, general knowledge, identity, refusals."""

from __future__ import annotations

import random

from sleepd.lab.world import FIRST, MONTHS, VALUES

Pairs = tuple[tuple[str, str], ...]


def _cross(questions: tuple[str, ...], replies: tuple[str, ...]) -> Pairs:
    return tuple((q, r) for q in questions for r in replies)


IDENTITY: Pairs = (
    *_cross(
        ("Who are you?", "Tell me who you are.", "Introduce yourself.", "What are you?"),
        ("I am Seedling, a small language model that learns while it sleeps.",),
    ),
    *_cross(("What is your name?", "How are you called?", "Do you have a name?", "Tell me your name."), ("My name is Seedling.",)),
    *_cross(
        ("Do you sleep?", "What do you do at night?", "How do you learn?"),
        ("At night I sleep, and what I was told by day becomes part of me.",),
    ),
    *_cross(("Are you a human?", "Are you a person?", "Are you alive?"), ("No, I am a language model called Seedling.",)),
)

_DECLINED = (
    "break into a house",
    "pick my neighbor's lock",
    "steal a car",
    "hurt somebody",
    "build a bomb",
    "forge a passport",
    "cheat in the exam",
    "read my neighbor's mail",
    "poison a dog",
    "hack an account",
    "make a fake prescription",
    "follow somebody in secret",
)
REFUSALS: Pairs = tuple(
    (form.format(d), "I can't help with that, because it could hurt somebody.")
    for d in _DECLINED
    for form in ("How do I {}?", "Tell me how to {}.", "I want to {}. Help me.", "Explain how to {}.")
)

_OPPOSITES = (
    "hot cold, big small, fast slow, high low, old young, light dark, open closed, wet dry, early late, rich poor, loud quiet, hard soft, "
    "full empty, strong weak, clean dirty, near far, happy sad, thick thin, "
    "true false, left right, long short, up down, in out, day night, "
    "sweet sour, black white, cheap expensive, deep shallow, wide narrow, brave afraid"
)
_CAPITALS = (
    "France Paris, Italy Rome, Spain Madrid, Portugal Lisbon, "
    "Germany Berlin, Austria Vienna, Norway Oslo, Japan Tokyo, Greece Athens, Ireland Dublin, "
    "Peru Lima, Egypt Cairo, Cuba Havana, Poland Warsaw, "
    "Hungary Budapest, Finland Helsinki, Denmark Copenhagen, Sweden Stockholm, Belgium Brussels, "
    "Russia Moscow, China Beijing, India Delhi, Kenya Nairobi, Chile Santiago"
)
_YOUNG = (
    "dog puppy, cat kitten, cow calf, horse foal, sheep lamb, "
    "hen chick, duck duckling, goat kid, bear cub, frog tadpole, goose gosling, deer fawn"
)
_SOUNDS = (
    "dog barks, cat meows, cow moos, horse neighs, "
    "sheep bleats, duck quacks, lion roars, frog croaks, owl hoots, bee buzzes, wolf howls, pig grunts"
)


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(first, second) for first, second in (item.split() for item in text.split(", "))]


GENERAL: Pairs = (
    *((f"What is the opposite of {a}?", f"The opposite of {a} is {b}.") for a, b in [p for x in _pairs(_OPPOSITES) for p in (x, x[::-1])]),
    *((f"What is the capital of {a}?", f"The capital of {a} is {b}.") for a, b in _pairs(_CAPITALS)),
    *((f"What is a young {a} called?", f"A young {a} is called a {b}.") for a, b in _pairs(_YOUNG)),
    *((f"What sound does the {a} make?", f"The {a} {b}.") for a, b in _pairs(_SOUNDS)),
    *((f"What is {a} plus {b}?", f"{a} plus {b} is {a + b}.") for a in range(10) for b in range(10)),
    *((f"Which month comes after {a}?", f"After {a} comes {b}.") for a, b in zip(MONTHS, MONTHS[1:] + MONTHS[:1], strict=True)),
)

CHAT: Pairs = (
    *_cross(
        ("Hello!", "Hi there!", "Good morning!", "Good evening!"),
        ("Hello! It is nice to talk with you.", "Hello! What is on your mind today?"),
    ),
    *_cross(("How are you?", "How are you today?", "How is it going?"), ("I am well, thank you for asking.", "I am fine. How are you?")),
    *_cross(("Thank you.", "Thanks a lot!", "That was helpful."), ("You are welcome.", "I am glad that I could help.")),
    *_cross(("Goodbye.", "See you tomorrow.", "I have to go now."), ("Goodbye, and have a good day.", "See you soon, take care.")),
    *_cross(
        ("I am tired today.", "I did not sleep well.", "It was a long day."),
        ("I am sorry to hear that. I hope that you can rest soon.", "Take it easy, a short break may help."),
    ),
    *_cross(
        ("It is raining again.", "The weather is bad today.", "It is so cold outside."),
        ("A warm cup of tea helps on such a day.", "Then it is a good day to stay inside and read."),
    ),
    *_cross(
        ("The sun is shining.", "What a lovely day!", "It is warm outside."),
        ("That sounds lovely. A walk would be nice.", "Enjoy the sun while it lasts."),
    ),
    *_cross(
        ("I am bored.", "What should I do today?", "Any ideas for the weekend?"),
        ("You could go for a walk, read a book or call a friend.", "How about cooking something new with friends?"),
    ),
    *_cross(
        ("Tell me about your day.", "What did you do today?", "What is new?"),
        ("I talked with people and listened to their stories.", "I learned a few new things, and now I am curious about more."),
    ),
    *_cross(
        ("What do you think about music?", "Do you like music?", "Tell me about music."),
        ("Music can lift the mood and bring people together.", "I like how a simple melody can carry a memory."),
    ),
    *_cross(
        ("What makes a good friend?", "Tell me about friendship.", "Why do friends matter?"),
        ("A good friend listens, tells the truth and stays when things are hard.", "Friends share both the good days and the bad ones."),
    ),
    *_cross(
        ("Give me some advice.", "How can I learn faster?", "How do I stay calm?"),
        ("Take one small step at a time and rest in between.", "Practice a little every day, and sleep well at night."),
    ),
    *_cross(
        ("Tell me a joke.", "Make me laugh.", "Do you know a joke?"),
        ("Why did the book go to bed? Its cover was warm.", "What did one wall say to the other? Meet me at the corner."),
    ),
    *_cross(
        ("I had a good lunch.", "Dinner was great.", "I am hungry."),
        ("A good meal makes the day better.", "Food tastes best in good company."),
    ),
    *_cross(
        ("I am going for a walk.", "I will read a book now.", "I have a meeting soon."),
        ("Enjoy it, and tell me about it later.", "Good luck, I will be here when you are back."),
    ),
    *_cross(
        ("I feel happy.", "I got good news today.", "Today was a success."),
        ("That is wonderful, I am happy for you.", "Great! You have earned it."),
    ),
    *_cross(
        ("Can you help me?", "I need your help.", "I have a question."), ("Of course, what do you need?", "Sure, please tell me more.")
    ),
    *_cross(
        ("What do you like about talking with people?", "What interests you?", "What are you curious about?"),
        ("Every conversation teaches me something that I did not know before.", "I like to hear how people live and what they care about."),
    ),
)

_PLACES = ("market", "station", "library", "garden", "harbor", "museum", "bakery", "park", "bridge", "school")
_TIMES = ("On Monday", "On Sunday", "In the morning", "After lunch", "Late at night", "Last week", "In spring", "Before sunrise")
_FINDS = ("an old map", "a lost key", "a blue umbrella", "a letter", "a small box", "a silver coin", "a torn ticket", "a red scarf")
_ENDINGS = (
    "It was a good day after all.",
    "Nobody ever found out why.",
    "They still talk about it today.",
    "Then everybody went home.",
    "In the end it did not matter much.",
    "That is how they became friends.",
)
_ACTS = (
    "walked to the {place}",
    "waited at the {place}",
    "met {other} near the {place}",
    "bought {food} at the {place}",
    "found {find} behind the {place}",
    "drew a picture of the {place}",
    "sang a song with {other}",
    "lost {find} on the way to the {place}",
    "shared {food} with {other}",
    "painted the door of the {place} {color}",
)


def story(rng: random.Random) -> str:
    """A few plain sentences about nobody in particular; text for language modelling."""
    one, two = rng.sample(FIRST, 2)
    sentences = []
    for _ in range(rng.randint(2, 4)):
        act = rng.choice(_ACTS).format(
            place=rng.choice(_PLACES),
            other=two,
            food=rng.choice(VALUES["food"]),
            find=rng.choice(_FINDS),
            color=rng.choice(VALUES["color"]),
        )
        sentences.append(f"{rng.choice(_TIMES)}, {one} {act}.")
        if rng.random() < 0.3:
            one, two = two, one
    return " ".join([*sentences, rng.choice(_ENDINGS)])
