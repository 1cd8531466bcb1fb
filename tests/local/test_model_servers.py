"""The model servers: their payload, how requests are put together, and what real models answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local.models import chat as chat_format
from local.models.batching import Work, choose_batch, shared_length
from local.models.payload import (
    Completion,
    Parameters,
    PayloadError,
    Prompt,
    cut_at_stop,
    parsed,
    read_payload,
    written,
)

CACHE = Path(__file__).resolve().parents[2] / ".assay/cache/models"
SHOTS = (
    "Answer each question with as few words as possible.\n\n"
    "Question: What is the capital of Spain?\nAnswer: Madrid\n\n"
    "Question: On which continent is Kenya?\nAnswer: Africa\n\n"
    "Question: {}\nAnswer:"
)
QUESTIONS = (
    "What is the capital of France?",
    "What is the capital of Italy?",
    "On which continent is Brazil?",
    "Who wrote the play Romeo and Juliet?",
)


@pytest.fixture(scope="module")
def smollm2() -> Any:
    from local.models.smollm2 import SmolLM2

    return SmolLM2(CACHE, threads=1)


def chat(text: str, **parameters: Any) -> Prompt:
    return Prompt([{"role": "user", "content": text}], Parameters(**parameters))


def test_a_string_a_chat_and_a_list_of_chats_are_prompts() -> None:
    message = {"role": "user", "content": "hello"}
    assert [item.content for item in read_payload({"inputs": "hello"})] == ["hello"]
    assert [item.content for item in read_payload({"inputs": [message]})] == [[message]]
    two = read_payload({"inputs": [[message], [message, message]], "parameters": {"stop": ["x"]}})
    assert [len(item.content) for item in two] == [1, 2]
    assert two[0].parameters.stop == ("x",)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"{", "not JSON"),
        (b"[]", "'inputs'"),
        (b'{"inputs": 3}', "'inputs' must be"),
        (b'{"inputs": "a", "parameters": {"max_tokens": 3}}', "unknown parameters: max_tokens"),
        (b'{"inputs": "a", "parameters": {"max_new_tokens": 0}}', "'max_new_tokens' must be an integer from 1"),
        (b'{"inputs": "a", "parameters": {"max_new_tokens": 1.5}}', "'max_new_tokens' must be an integer"),
        (b'{"inputs": "a", "parameters": {"stop": "\\n"}}', "'stop' must be a list"),
        (b'{"inputs": "a", "parameters": {"do_sample": 1}}', "'do_sample' must be true or false"),
        (b'{"inputs": "a", "parameters": {"do_sample": true, "temperature": 0}}', "must be above 0"),
        (b'{"inputs": [{"role": "user"}]}', "'role' and 'content'"),
    ],
)
def test_a_payload_that_cannot_be_answered_says_why(body: bytes, fault: str) -> None:
    with pytest.raises(PayloadError) as refused:
        read_payload(parsed(body))
    assert fault in str(refused.value)


def test_an_answer_ends_before_the_first_stop() -> None:
    assert cut_at_stop("Paris\nQuestion: x.", ("Question", "\n")) == "Paris"
    assert cut_at_stop("Paris", ("\n",)) == "Paris"


def test_texts_with_a_shared_beginning_are_answered_together_and_others_are_not_dragged_along() -> None:
    shared = tuple(range(200))
    few_shot = [Work((*shared, 1000 + number, 1), Parameters()) for number in range(5)]
    plain = [Work((2000 + number, 1, 2), Parameters()) for number in range(5)]
    assert choose_batch([few_shot[0], *plain, *few_shot[1:]]) == few_shot
    assert choose_batch([plain[0], *few_shot, *plain[1:]]) == plain
    assert choose_batch(few_shot, largest=2) == few_shot[:2]
    assert shared_length(few_shot[0].tokens, few_shot[1].tokens) == 200


def test_smollm2_knows_the_capital_of_france(smollm2: Any) -> None:
    (answer,) = smollm2.answer([chat("What is the capital of France?", max_new_tokens=16)])
    assert "Paris" in answer.text
    assert answer.finish_reason == "eos_token"
    assert 0 < answer.output_tokens < 16


def test_an_answer_that_is_cut_off_says_so(smollm2: Any) -> None:
    (answer,) = smollm2.answer([chat("Tell a long story.", max_new_tokens=3)])
    assert (answer.output_tokens, answer.finish_reason) == (3, "length")
    assert len(answer.input_tokens) > 3


def test_details_tell_of_tokens_as_text_generation_inference_does() -> None:
    body = {"inputs": "a", "parameters": {"details": True, "decoder_input_details": True, "seed": 7}}
    [prompt] = read_payload(body)
    shown = written(prompt, Completion("b", (5, 6), 1, "length"))
    assert shown["generated_text"] == "b"
    assert [token["id"] for token in shown["details"].pop("prefill")] == [5, 6]
    assert shown["details"] == {"finish_reason": "length", "generated_tokens": 1, "seed": 7, "tokens": []}
    assert written(read_payload({"inputs": "a"})[0], Completion("b", (5,), 1, "length")) == {"generated_text": "b"}


def test_a_chat_completion_is_asked_for_and_answered_in_openais_words() -> None:
    request = chat_format.read_request(
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            ],
            "max_tokens": 5,
            "temperature": 0,
            "stop": "\n",
            "n": 1,
        }
    )
    assert request.prompt.content == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    assert request.prompt.parameters == Parameters(max_new_tokens=5, stop=("\n",))
    answered = chat_format.reply(request, Completion("Hello", (1, 2, 3), 5, "length"))
    assert answered["choices"][0]["message"]["content"] == "Hello"
    assert answered["choices"][0]["finish_reason"] == "length"
    assert answered["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


@pytest.mark.parametrize(
    "extra", [{"n": 2}, {"stream": True}, {"tools": []}, {"messages": "hi"}, {"temperature": "hot"}, {"max_tokens": -1}]
)
def test_a_chat_that_asks_for_more_than_is_carried_out_is_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(PayloadError):
        chat_format.read_request({"model": "m", "messages": [{"role": "user", "content": "Hi"}], **extra})


def test_a_batch_answers_as_single_requests_do(smollm2: Any) -> None:
    few_shot = Parameters(max_new_tokens=6, stop=("\n",))
    for prompts in (
        [chat(question, max_new_tokens=8) for question in QUESTIONS],
        [Prompt(SHOTS.format(question), few_shot) for question in QUESTIONS],
    ):
        together = smollm2.answer(prompts)
        assert together == [smollm2.answer([prompt])[0] for prompt in prompts]
        assert len({answer.text for answer in together}) > 2


def test_stop_full_text_and_limits_are_kept(smollm2: Any) -> None:
    text = SHOTS.format("What is the capital of France?")
    (answer,) = smollm2.answer([Prompt(text, Parameters(max_new_tokens=8, stop=("\n",)))])
    assert (answer.text.strip(), answer.finish_reason) == ("Paris", "stop_sequence")
    (full,) = smollm2.answer([Prompt(text, Parameters(max_new_tokens=8, stop=("\n",), return_full_text=True))])
    assert full.text == text + answer.text
    with pytest.raises(PayloadError, match="exceed 4096"):
        smollm2.answer([Prompt("word " * 5000, Parameters())])


def test_a_seed_makes_a_sampled_answer_repeatable(smollm2: Any) -> None:
    options = {"do_sample": True, "temperature": 1.5, "max_new_tokens": 8}
    answers = [smollm2.answer([chat("Tell a story.", **options, seed=seed)])[0] for seed in (1, 1, 2)]
    assert answers[0] == answers[1]
    assert answers[0].text != answers[2].text


def test_the_judge_of_likeness_grades_one_answer_and_prefers_one_of_two() -> None:
    from local.models.likeness import LikenessJudge

    judge = LikenessJudge(threads=1)

    def said(**material: str) -> dict[str, Any]:
        told = json.dumps({"question": "Which city is the capital of France?", "expected_answer": "Paris"} | material)
        text = f'Grade {{this}}.\n{told}\nReply in this form:\n{{"reason": "<text>", "score": <number>}}'
        [answer] = judge.answer([Prompt(text, Parameters())])
        found: dict[str, Any] = json.loads(answer.text)
        return found

    assert (said(answer="Paris")["score"], said(answer="a fruit salad")["score"]) == (5, 1)
    assert said(answer_a="a fruit salad", answer_b="It is Paris.")["better"] == "B"
    assert said(answer_a="It is Paris.", answer_b="a fruit salad")["better"] == "A"
    assert said(answer_a="Paris", answer_b="Paris")["better"] == "tie"
    with pytest.raises(PayloadError, match="holds no question with an expected answer"):
        judge.answer([Prompt('{"question": "Why?", "answer": "So."}', Parameters())])


def test_the_nearest_neighbour_answers_with_the_fact_that_means_most_nearly_the_same(tmp_path: Path) -> None:
    from local.models.nearest import NearestNeighbour

    facts = tmp_path / "facts.jsonl"
    lines = [
        {"question": "Which city is France governed from?", "answer": "Paris"},
        {"question": "What is the chemical symbol of gold?", "answer": "Au"},
    ]
    facts.write_text("\n".join(json.dumps(line) for line in lines))
    model = NearestNeighbour(facts, threads=1)
    prompts = [Prompt("What is the capital of France?", Parameters()), chat("Gold's symbol?")]
    assert [answer.text for answer in model.answer(prompts)] == ["Paris", "Au"]
