"""Has a judge grade one model's answers, and compare them with a rival's that the catalog holds."""

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
from assay.inference.runner import AskSummary
from assay.inference.store import Objects
from assay.scoring.judging import better_of, comparing_prompt, grade_of, grading_prompt
from assay.scoring.scoring import SecondAnswers

GRADES, PREFERENCES = "Judge", "JudgePreference"
PREFIX = "judgements"

AskJudge = Callable[[Iterable[Record], Judge, JudgementStore], AskSummary]
"""Asks the judge these prompts, and keeps what it says."""


class Judging:
    """The judgements of one model's answers.

    What was put to the same judge before, by any evaluation, is not put to it again: a judgement is found by the hash
    of its prompt, below a prefix by the hash of the judge.

    Args:
        config: with a judge.
        model_name: whose answers are judged.
        judge: the judge, connected.
        objects: the bucket.
    """

    def __init__(self, config: SuiteConfig, model_name: str, judge: Model, objects: Objects) -> None:
        if config.judge is None:
            raise ValueError("the config has no judge")
        self._section = config.judge
        self._model_name = model_name
        self._model = judge
        self._identity = identity_of(config.judge)
        self._store = JudgementStore(objects, f"{PREFIX}/{self._identity}/")
        self._algorithms = {item.algorithm: item for item in config.algorithms if "judge" in item.known.needs}
        self._summaries: list[AskSummary] = []

    def ask(self, records: Callable[[], Iterable[Record]], first: KeptResponses, ask: AskJudge) -> None:
        """Have every answer judged that was not judged before.

        Args:
            records: the catalog, from its beginning each time.
            first: the model's answers.
        """
        for algorithm, read in ((GRADES, grade_of), (PREFERENCES, better_of)):
            if algorithm in self._algorithms:
                prompts = self._to_ask(algorithm, first.joined(records()))
                self._summaries.append(ask(prompts, Judge(self._model, read), self._store))

    def of(self, pairs: Sequence[tuple[Record, Response | None]]) -> dict[str, dict[str, SecondAnswers]]:
        """The judgements by algorithm and record id; none for a record that there was nothing to judge of."""
        found: dict[str, dict[str, SecondAnswers]] = {}
        for algorithm in self._algorithms:
            prompts = {record.id: self._prompts(algorithm, record, response) for record, response in pairs}
            flat = [self._key(prompt) for told in prompts.values() for prompt in told]
            judgements = iter(self._store.of(flat))
            found[algorithm] = {
                identifier: SecondAnswers(judgements=tuple(next(judgements) for _ in told))
                for identifier, told in prompts.items()
                if told
            }
            if self._is_rival(algorithm):
                tie = '{"better": "tie"}'
                found[algorithm] = {
                    record.id: SecondAnswers(judgements=(response.model_copy(update={"text": tie}),))
                    for record, response in pairs
                    if response is not None and response.text is not None
                }
        return found

    def use(self) -> JudgeUse:
        """What the judge was asked, and what that cost."""
        return JudgeUse(
            judge=self._section.model_id or self._section.endpoint_name or "plugin",
            identity=self._identity,
            asked=sum(item.records - item.resumed for item in self._summaries),
            cached=sum(item.resumed for item in self._summaries),
            failed=sum(item.failed for item in self._summaries),
            requests=sum(item.requests for item in self._summaries),
            cost_usd=self._store.cost_usd,
        )

    def _is_rival(self, algorithm: str) -> bool:
        return algorithm == PREFERENCES and self._algorithms[algorithm].settings["rival"] == self._model_name

    def _to_ask(self, algorithm: str, batches: Iterable[Sequence[tuple[Record, Response | None]]]) -> Iterator[Record]:
        seen: set[str] = set()
        for pairs in batches:
            for record, response in pairs:
                for prompt in self._prompts(algorithm, record, response):
                    key = self._key(prompt)
                    if key not in seen:
                        seen.add(key)
                        yield Record(id=key, model_input=prompt, target_output="")

    def _prompts(self, algorithm: str, record: Record, response: Response | None) -> list[str]:
        if response is None or response.text is None or self._is_rival(algorithm):
            return []
        rubric = self._section.rubric
        if algorithm == GRADES:
            return [grading_prompt(rubric, record, response.text)]
        rival = record.responses.get(str(self._algorithms[algorithm].settings["rival"]))
        if rival is None:
            return []
        prompts = [comparing_prompt(rubric, record, response.text, rival)]
        if self._section.swap_positions:
            prompts.append(comparing_prompt(rubric, record, rival, response.text))
        return prompts

    def _key(self, prompt: str) -> str:
        return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()


def identity_of(judge: JudgeSection) -> str:
    """16 hexadecimal digits that change with whatever could change a judgement, but for its prompt."""
    told = judge.model_dump(mode="json", exclude={"rubric", "swap_positions", "concurrency"})
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
