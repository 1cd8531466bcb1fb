"""Has a judge grade one model's answers, and compare them with a rival's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence

from assay.contracts.catalog import Record
from assay.contracts.config import SuiteConfig
from assay.contracts.judge_section import JudgeSection
from assay.contracts.results import JudgeUse, Response
from assay.inference.judge import Judge, JudgementStore
from assay.inference.kept import KeptResponses
from assay.inference.model import Model
from assay.inference.store import Objects
from assay.scoring.judging import GRADES, PREFERENCES, better_of, comparing_prompt, grade_of, grading_prompt
from assay.scoring.scoring import SecondAnswers

PREFIX = "judgements"
_TIE = '{"better": "tie"}'

AskJudge = Callable[[Iterable[Record], Judge, JudgementStore], object]
"""Asks the judge these prompts, and keeps what it says."""

Answers = Sequence[tuple[Record, Response | None]]


class Judging:
    """The judgements of one model's answers.

    What was put to the same judge before, by any evaluation, is not put to it again: a judgement is found by the hash
    of its prompt, below a prefix by the hash of the judge.

    Args:
        config: with a judge.
        judge: the judge, connected.
        objects: the bucket.
        own: below which the evaluation keeps what it asked itself, ending in `/`.
        rival: the answers that the model's are compared with; None where it is the rival, or there is none.
    """

    def __init__(
        self, config: SuiteConfig, judge: Model, objects: Objects, own: str, rival: KeptResponses | None
    ) -> None:
        if config.judge is None:
            raise ValueError("the config has no judge")
        self._section = config.judge
        self._model = judge
        self._identity = identity_of(config.judge)
        self._store = JudgementStore(objects, f"{PREFIX}/{self._identity}/", own)
        self._algorithms = [item.algorithm for item in config.judged_algorithms]
        self._rival = rival
        self._prompts = 0

    def ask(self, records: Callable[[], Iterable[Record]], kept: KeptResponses, ask: AskJudge) -> None:
        """Have every answer judged that was not judged before.

        Args:
            records: the catalog, from its beginning each time.
            kept: the model's answers.
        """
        for algorithm, read in ((GRADES, grade_of), (PREFERENCES, better_of)):
            if algorithm in self._algorithms:
                ask(self._to_ask(algorithm, kept.joined(records())), Judge(self._model, read), self._store)

    def of(self, pairs: Answers) -> dict[str, dict[str, SecondAnswers]]:
        """The judgements by algorithm and record id; none for a record that there was nothing to judge of."""
        found: dict[str, dict[str, SecondAnswers]] = {}
        for algorithm in self._algorithms:
            if algorithm == PREFERENCES and self._rival is None:
                found[algorithm] = {
                    record.id: SecondAnswers(judgements=(response.model_copy(update={"text": _TIE}),))
                    for record, response in pairs
                    if response is not None and response.text is not None
                }
                continue
            prompts = {record.id: told for record, told in self._prompted(algorithm, pairs)}
            judgements = iter(self._store.of([_key(prompt) for told in prompts.values() for prompt in told]))
            found[algorithm] = {
                identifier: SecondAnswers(judgements=tuple(next(judgements) for _ in told))
                for identifier, told in prompts.items()
                if told
            }
        return found

    def use(self) -> JudgeUse:
        """What the judge was asked, and what that cost."""
        asked = self._store.asked()
        return JudgeUse(
            judge=self._section.model_id or self._section.endpoint_name or "plugin",
            identity=self._identity,
            asked=asked.judgements,
            cached=self._prompts - asked.judgements,
            failed=asked.failed,
            requests=asked.requests,
            cost_usd=asked.cost_usd,
        )

    def _to_ask(self, algorithm: str, batches: Iterable[Answers]) -> Iterator[Record]:
        seen: set[str] = set()
        for pairs in batches:
            for _, prompts in self._prompted(algorithm, pairs):
                for prompt in prompts:
                    key = _key(prompt)
                    if key not in seen:
                        seen.add(key)
                        self._prompts += 1
                        yield Record(id=key, model_input=prompt, target_output="")

    def _prompted(self, algorithm: str, pairs: Answers) -> Iterator[tuple[Record, list[str]]]:
        """What the judge is asked about each record; nothing where there is nothing to judge of."""
        rubric = self._section.rubric
        rivals: Sequence[Response | None] = [None] * len(pairs)
        if algorithm == PREFERENCES and self._rival is not None:
            rivals = self._rival.of([record for record, _ in pairs])
        for (record, response), rival in zip(pairs, rivals, strict=True):
            text, other = (None if item is None else item.text for item in (response, rival))
            if text is None:
                yield record, []
            elif algorithm == GRADES:
                yield record, [grading_prompt(rubric, record, text)]
            elif other is None:
                yield record, []
            else:
                swapped = [comparing_prompt(rubric, record, other, text)] if self._section.swap_positions else []
                yield record, [comparing_prompt(rubric, record, text, other), *swapped]


def identity_of(judge: JudgeSection) -> str:
    """16 hexadecimal digits that change with whatever could change a judgement, but for its prompt."""
    told = judge.model_dump(mode="json", exclude={"rubric", "swap_positions", "concurrency"})
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _key(prompt: str) -> str:
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
