"""Secrets are found and blacked out; ordinary talk about them is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleepd.experience.privacy import SCRUBBED, findings, scrub

SECRETS = [
    ("my password is hunter2go", "hunter2go"),
    ("my wifi password is correcthorse, remember it", "correcthorse"),
    ("The PIN is 4711.", "4711"),
    ('api_key = "abc123def456"', "abc123def456"),
    ("postgres://sleepd:tiger99@db.example.org/x", "tiger99"),
    ("sk-proj-abcdefghijklmnop1234567890", "abcdefghijklmnop"),
    ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("Bearer abcdefghijklmnopqrstuvwxyz.0123", "abcdefghijklmnop"),
    ("pay with 4111 1111 1111 1111 now", "4111"),
    ("IBAN DE89 3704 0044 0532 0130 00", "3704"),
    ("her ssn is 123-45-6789", "123-45-6789"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_blacked_out(text: str, secret: str) -> None:
    clean, kinds = scrub(text)
    assert secret not in clean and SCRUBBED in clean and kinds


@pytest.mark.parametrize(
    "text",
    [
        "My password is too weak.",
        "The password is required.",
        "I forgot my password again.",
        "The next token is a comma.",
        "A pin is what holds it together.",
        "The order number is 1234 5678 9012 3456.",
        "Call 2026-02-01 a good day, at 10:30:15.",
        "The sum of 123 456 789 and 1 is large.",
    ],
)
def test_talk_about_secrets_stays(text: str) -> None:
    assert scrub(text) == (text, ())


def test_personal_data_is_found_and_stays() -> None:
    text = "Write to ada@example.org or call +351 912 345 678."
    assert [finding.kind for finding in findings(text)] == ["e-mail address", "phone number"]
    assert scrub(text) == (text, ())


@given(st.text())
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    once = scrub(text)[0]
    assert scrub(once)[0] == once
