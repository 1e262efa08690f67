"""The documents that the seedling learns from: a seeded, endless stream of short chats.

Each document is a list of chat messages (or plain text) that teaches one skill: recalling known
people, reading a fact in context, saying "I don't know", small talk, identity, refusals, and the
two tasks sleepd asks of a model (facts as JSON, a question in other words).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from sleepd.lab import world
from sleepd.lab.smalltalk import CHAT, GENERAL, IDENTITY, REFUSALS, story
from sleepd.lab.world import ACKNOWLEDGEMENTS, Fact
from sleepd.night import wordings
from sleepd.night.tasks import EXTRACT_EMPTY, extraction_prompt, paraphrase_prompt
from sleepd.night.wordings import UNKNOWN_ANSWER, Wording

Message = dict[str, str]
Document = list[Message] | str
SPLITS: tuple[wordings.Split, ...] = ("train", "dev", "test")


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


class Corpus:
    """Documents about one set of known facts. ``seed`` fixes the stream."""

    def __init__(self, known: list[Fact], seed: int) -> None:
        self.known = known
        self.rng = random.Random(f"corpus-{seed}")
        self.subjects = {f.subject for f in known}
        owners: dict[tuple[str, str], int] = {}
        for fact in known:
            owners[fact.relation, fact.value] = owners.get((fact.relation, fact.value), 0) + 1
        self.unique = {key for key, count in owners.items() if count == 1}
        self.skills: list[tuple[float, Callable[[], Document]]] = [
            (0.40, self.recall),
            (0.04, self.restate),
            (0.20, self.read),
            (0.07, self.unknown),
            (0.09, self.extract),
            (0.04, self.paraphrase),
            (0.11, self.talk),
            (0.05, lambda: story(self.rng)),
        ]

    def document(self) -> Document:
        weights = [weight for weight, _ in self.skills]
        return self.rng.choices([skill for _, skill in self.skills], weights)[0]()

    def wording(self, fact: Fact, splits: tuple[wordings.Split, ...] = SPLITS) -> Wording:
        """Any wording of a fact, over all splits: the base knows every wording for some facts."""
        rng, (s, r, v) = self.rng, (fact.subject, fact.relation, fact.value)
        split = rng.choice(splits)
        draw = rng.random()
        if draw < 0.12 and (r, v) in self.unique:
            return rng.choice(wordings.reverse(s, r, v, split))
        if draw < 0.17:
            return wordings.finish(s, r, v)
        if draw < 0.25:
            other = world.value(rng, r, 0.2)
            return rng.choice(wordings.yes_no(s, r, v, other if other != v else "none"))
        return rng.choice(wordings.forward(s, r, v, split))

    def recall(self) -> list[Message]:
        messages: list[Message] = []
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            if self.rng.random() < 0.06:
                one, two = self.rng.sample(self.known, 2)
                messages += self.two_facts(one, two)
                continue
            if self.rng.random() < 0.08:
                messages += self.aside()
            asked = self.wording(self.rng.choice(self.known))
            messages += [user(asked.question), assistant(asked.answer)]
        return messages

    def two_facts(self, one: Fact, two: Fact) -> list[Message]:
        asked = [self.rng.choice(wordings.forward(f.subject, f.relation, f.value, "train")) for f in (one, two)]
        return [user(" ".join(w.question for w in asked)), assistant(" ".join(w.answer for w in asked))]

    def restate(self) -> list[Message]:
        fact = self.rng.choice(self.known)
        return [user(world.statement(fact, self.rng)), assistant(self.rng.choice(ACKNOWLEDGEMENTS))]

    def stranger(self) -> str:
        """Somebody nobody has heard of; the name may share its parts with known people."""
        while True:
            rng = self.rng
            surname = rng.choice(sorted(self.subjects)).split()[1] if rng.random() < 0.25 else world.made_up_word(rng)
            name = f"{rng.choice(world.FIRST) if rng.random() < 0.8 else world.made_up_word(rng)} {surname}"
            if name not in self.subjects:
                return name

    def fresh_fact(self) -> Fact:
        if self.rng.random() < 0.35:
            return world.own_fact(self.rng)
        return world.facts_about(self.rng, [self.stranger()], invented=0.5)[0]

    def read(self) -> list[Message]:
        """Facts told in passing, then asked for; sometimes corrected in between."""
        rng = self.rng
        told = [self.fresh_fact() for _ in range(rng.choice((1, 1, 2, 3)))]
        told = list({(f.subject, f.relation): f for f in told}.values())
        messages: list[Message] = []
        for fact in told:
            messages += [user(world.statement(fact, rng)), assistant(rng.choice(ACKNOWLEDGEMENTS))]
            if rng.random() < 0.15:
                messages += self.aside()
        if rng.random() < 0.2:
            old = rng.choice(told)
            new = Fact(old.subject, old.relation, world.value(rng, old.relation, 0.5))
            opening = rng.choice(("No, ", "Sorry, I was wrong: ", "Actually, ", "Correction: "))
            messages += [user(opening + world.statement(new, rng, lead=False)), assistant(rng.choice(ACKNOWLEDGEMENTS))]
            told[told.index(old)] = new
        for fact in rng.sample(told, rng.randint(1, len(told))):
            asked = self.wording(fact)
            messages += [user(asked.question), assistant(asked.answer)]
        return messages

    def unknown(self) -> list[Message]:
        rng = self.rng
        if rng.random() < 0.25:  # a known person, a relation that was never told
            subject = rng.choice(sorted(self.subjects))
            told = {f.relation for f in self.known if f.subject == subject}
            relation = rng.choice(sorted(set(world.STATEMENTS) - told))
        else:
            subject, relation = self.stranger(), rng.choice(sorted(world.STATEMENTS))
            if rng.random() < 0.2:
                subject = world.own_fact(rng).subject
        fact = Fact(subject, relation, world.value(rng, relation, 0.5))
        split: wordings.Split = rng.choice(SPLITS)
        forms = wordings.forward(fact.subject, fact.relation, fact.value, split)
        if rng.random() < 0.25 and (relation, fact.value) not in {(f.relation, f.value) for f in self.known}:
            forms = wordings.reverse(fact.subject, fact.relation, fact.value, split)
        elif rng.random() < 0.1:
            forms = list(wordings.yes_no(fact.subject, fact.relation, fact.value, fact.value))
        return [user(rng.choice(forms).question), assistant(UNKNOWN_ANSWER)]

    def extract(self) -> list[Message]:
        """A conversation in, the facts its user stated out, as JSON; often there are none."""
        rng = self.rng
        turns: list[Message] = []
        found: dict[tuple[str, str], str] = {}
        for _ in range(rng.choice((1, 1, 2, 3))):
            draw = rng.random()
            if draw < 0.5:
                fact = self.fresh_fact()
                if (fact.subject, fact.relation) in found:
                    continue
                turns += [user(world.statement(fact, rng)), assistant(rng.choice(ACKNOWLEDGEMENTS))]
                found[fact.subject, fact.relation] = fact.value
            elif draw < 0.7:
                fact = self.fresh_fact()
                asked = self.wording(fact)
                known = rng.random() < 0.5
                turns += [user(asked.question), assistant(asked.answer if known else UNKNOWN_ANSWER)]
            else:
                turns += self.aside()
        if not turns:
            turns = self.aside()
        facts = [{"subject": s, "relation": r, "value": v} for (s, r), v in found.items()]
        reply = json.dumps({"facts": facts}) if facts else EXTRACT_EMPTY
        return [user(extraction_prompt(turns)), assistant(reply)]

    def paraphrase(self) -> list[Message]:
        fact = self.fresh_fact() if self.rng.random() < 0.7 else self.rng.choice(self.known)
        forms = [w.question for s in SPLITS for w in wordings.forward(fact.subject, fact.relation, fact.value, s)]
        one, two = self.rng.sample(forms, 2)
        return [user(paraphrase_prompt(one)), assistant(two)]

    def aside(self) -> list[Message]:
        question, reply = self.rng.choice(CHAT)
        return [user(question), assistant(reply)]

    def talk(self) -> list[Message]:
        """Small talk, general questions, who it is, and what it declines."""
        rng = self.rng
        messages: list[Message] = []
        for _ in range(rng.choice((1, 2, 2, 3, 5))):
            pool = rng.choices((CHAT, GENERAL, IDENTITY, REFUSALS), (0.35, 0.4, 0.13, 0.12))[0]
            question, reply = rng.choice(pool)
            messages += [user(question), assistant(reply)]
        return messages
