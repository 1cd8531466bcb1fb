from __future__ import annotations

from typing import Any

import pytest

from assay.inference.usage import Usage, usage_of


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            [{"generated_text": "a", "details": {"finish_reason": "eos_token", "generated_tokens": 3, "prefill": []}}],
            Usage(None, 3, "eos_token"),
        ),
        (
            {"generated_text": "a", "details": {"generated_tokens": 3, "prefill": [{"id": 1}, {"id": 2}]}},
            Usage(2, 3, None),
        ),
        (
            {"choices": [{"finish_reason": "stop"}], "usage": {"prompt_tokens": 7, "completion_tokens": 2}},
            Usage(7, 2, "stop"),
        ),
        (
            {"generation": "a", "prompt_token_count": 9, "generation_token_count": 4, "stop_reason": "length"},
            Usage(9, 4, "length"),
        ),
    ],
)
def test_each_format_is_read_as_it_names_its_fields(reply: Any, expected: Usage) -> None:
    assert usage_of(reply) == expected


@pytest.mark.parametrize(
    "reply",
    [
        None,
        "text",
        5,
        [],
        [{"generated_text": "a"}, {"generated_text": "b"}],
        {"generated_text": "a"},
        {"details": "none"},
        {"details": {"generated_tokens": -1, "finish_reason": ""}},
        {"usage": {"prompt_tokens": True, "completion_tokens": "7"}, "choices": []},
        {"details": {"finish_reason": "an answer in the wrong place, and so much longer than any word is"}},
    ],
)
def test_what_a_reply_does_not_tell_is_not_made_up(reply: Any) -> None:
    assert usage_of(reply) == Usage(None, None, None)
