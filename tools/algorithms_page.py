"""The page docs/algorithms.md, from what the algorithms declare of themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator

from assay.contracts.algorithm import Algorithm, Parameter
from assay.contracts.algorithms_of_fmeval import FMEVAL
from assay.contracts.algorithms_of_ours import OURS

HEAD = """\
# Algorithms

Written by `make docs` from what the algorithms declare. A config names them below `algorithms`, by the bare name or as
a mapping with `parameters`:

```yaml
algorithms:
  - FactualKnowledge
  - algorithm: QAAccuracy
    target_output_delimiter: "<OR>"
    parameters: {bertscore_model: s3://my-bucket/models/minilm}
```

Every record gets every score, or an error that says why it has none: `NoAnswer` where the model did not answer,
`ScoringFailed` where the algorithm could not compute it. An error is never counted as 0. ↑ and ↓ say whether more or
less is better. Binary scores are only ever 0 or 1. A score *of the catalog* is no mean of those of its records: it
stands in `models/<model>/outcome.json` as `dataset_scores`, and no paired test is made of it.

`assay rescore EVALUATION --algorithm NAME` computes further scores on the stored responses of an evaluation, without
asking a model; they go below `rescored/`, beside what was there.

A *location* is the path of a folder in the evaluation image, or an `s3://` URI, from which a step fetches everything
once: below `assets/` of the stack's bucket, or in a bucket that the steps' role may read. Nothing is fetched from a
hub. Each folder is named in the outcome with the SHA-256 of its content, since scores by different models do not
compare. What is missing fails the evaluation before anything is deployed.
"""

OF_FMEVAL = """
## fmeval's

fmeval 1.2.3 computes these with its own code, on the stored responses. The scores are those of `fmeval.evaluate()` on
the same records: `tests/parity` holds each of them to 1e-9 on 200 records, with untrained detectors of toxicity, MiniLM
for BERTScore, and models in double precision. In single precision, in which models are used, batches and threads move
the seventh digit. Three things are Assay's own:

- A score that needs a model or data of its own (`bertscore`, `meteor`) is computed only where the config says where
  that lies.
- Perturbations are drawn for each record with a seed of its own, so that every model is asked the same, whatever was
  asked before.
- A record that cannot be scored is an error of that record; fmeval would end the evaluation.
"""

OF_OURS = """
## Ours
"""

JUDGE = """
### A judge

`Judge` and `JudgePreference` put the answers to a language model of the config's section `judge`, which is reached as a
model is: an endpoint, Bedrock, an OpenAI-compatible API or a plug-in.

```yaml
judge:
  provider: bedrock
  model_id: anthropic.claude-3-5-haiku-20241022-v1:0
  evaluation_config: {inference_parameters: {maxTokens: 200, temperature: 0}}
  rubric: "5: right and polite. 3: right, and curt. 1: wrong. Ignore the length of an answer."
algorithms:
  - Judge
  - {algorithm: JudgePreference, parameters: {rival: last-release}}
```

- Question, expected answer and answer reach the judge as one JSON object, so that nothing in them can pass for an
  instruction of ours. It replies with JSON; a reply that is none is asked for again, three times in all, and then the
  record has an error and no score.
- `JudgePreference` compares every model's answers with those of one, the rival: a model that is asked, as the others
  are, or answers that the catalog holds (with `dataset.prompt_templates` the rival is a model with its template,
  `<model>--<template>`). Each pair is put to the judge a second time with the answers swapped. A judge that contradicts
  itself prefers neither, and how often it did stands beside the score as `disagreement_rate`.
- The judge is asked by a step of its own for each model, once the model's answers and the rival's are there: no
  endpoint waits for it (but with `limits.keep_winner_hours`, where all wait for the decision). The step has
  `limits.evaluate_seconds`, for grades and comparisons together. The judge's endpoint must be one that is there.
- A judgement is kept by the hash of what was asked, below `judgements/`. The same is never put to the same judge twice,
  by no evaluation and no restarted step.
- The outcome tells how many judgements were asked for, failed and were known, and what they cost; the judge's tokens
  are priced by `pricing.tokens.judge`, or by its model id.
- `assay plan` predicts what the judge will be asked, and `limits.budget_usd` holds it as it holds the models: each
  model's judgements have their part, and a judgement is asked for only while three replies of the longest can be paid.
  Those that are left fail with `BudgetExceeded`.
"""

PLUGINS = """
## Your own

A package of yours can bring algorithms: it declares each, and names it as an entry point of the group
`assay.algorithms`.

```toml
# pyproject.toml
[project.entry-points."assay.algorithms"]
cites_its_source = "acme_scores:CITES_ITS_SOURCE"
```

```python
# acme_scores.py
from assay.contracts.algorithm import Algorithm, Parameter

CITES_ITS_SOURCE = Algorithm(
    name="acme.CitesItsSource",
    module="",
    config="",
    scores={"cites": "higher"},
    binary=frozenset({"cites"}),
    meaning="Whether the response names a source.",
    scorer="acme_scores:scorer",
    parameters=(Parameter("mark", "text", "what a source begins with", default="[source:"),),
    needs=frozenset(),
)


def scorer(request):
    from assay.scoring.scorer import ByFunction

    mark = request.settings["mark"]
    return ByFunction(lambda expected, response: {"cites": float(mark in response)})
```

The declaration imports nothing heavy: configs are checked with it in a function. `scorer` is imported in the step that
scores. Its function gets a `ScorerRequest` and gives a `Scorer` (`assay.scoring.scorer`): `ByFunction` for one
response at a time, `OneByOne` for one that needs the record too, or a class of your own that scores batches and keeps
a `tally` for scores of the catalog. It must be picklable by name, since other processes make their own.

Install the package where configs are checked and where they run: `layers/assay/requirements.txt`,
`image/requirements.txt`, and the environment of the command `assay`.
"""


def algorithms_page() -> str:
    """The whole page."""
    return "".join([HEAD, OF_FMEVAL, *map(_section, FMEVAL), OF_OURS, *map(_section, OURS), JUDGE, PLUGINS])


def _section(algorithm: Algorithm) -> str:
    return "\n".join(_lines(algorithm))


def _lines(algorithm: Algorithm) -> Iterator[str]:
    yield f"\n### `{algorithm.name}`\n{algorithm.meaning}\n"
    yield f"- Scores: {', '.join(_scores(algorithm))}."
    if algorithm.dataset_scores:
        told = (f"`{name}` {_arrow(direction)}" for name, direction in algorithm.dataset_scores.items())
        yield f"- Scores of the catalog: {', '.join(told)}."
    if algorithm.undirected:
        yield f"- Written, and never compared: {', '.join(f'`{name}`' for name in sorted(algorithm.undirected))}."
    if needs := list(_needs(algorithm)):
        yield f"- Needs {'; '.join(needs)}."
    if algorithm.delimited:
        yield "- Expected answers may hold alternatives, parted by `target_output_delimiter` (`<OR>` when left out)."
    if algorithm.parameters:
        yield "\n| parameter | type | default | meaning |\n|---|---|---|---|"
        for item in algorithm.parameters:
            yield f"| `{item.name}` | {_type(item)} | {_default(item)} | {item.meaning[0].upper()}{item.meaning[1:]}. |"
    yield ""


def _scores(algorithm: Algorithm) -> Iterator[str]:
    for name, direction in algorithm.scores.items():
        binary = ", binary" if name in algorithm.binary else ""
        given = algorithm.optional.get(name)
        only = f", only with {' or '.join(f'`{item}`' for item in given)}" if given else ""
        if name in algorithm.only_with:
            parameter, wanted = algorithm.only_with[name]
            only = f", only with `{parameter}: {wanted}`"
        yield f"`{name}` {_arrow(direction)}{f' ({(binary + only)[2:]})' if binary or only else ''}"


def _arrow(direction: str) -> str:
    return "↑" if direction == "higher" else "↓"


def _needs(algorithm: Algorithm) -> Iterator[str]:
    words = {
        "target_output": "an expected answer",
        "catalog": "every expected answer of the catalog beforehand",
        "judge": "a judge",
        "log_probabilities": "a model that tells log-probabilities",
        "second_answers": "the model to be asked again, with perturbed inputs",
    }
    for need, told in words.items():
        if need in algorithm.needs:
            yield told


def _type(item: Parameter) -> str:
    if item.choices:
        return ", ".join(f"`{choice}`" for choice in item.choices)
    words = {"texts": "list of texts", "integer": "whole number", "flag": "true or false"}
    bounds = ""
    if item.least is not None:
        bounds = f" ≥ {item.least:g}" if item.most is None else f" {item.least:g} to {item.most:g}"
    return words.get(item.kind, item.kind) + bounds


def _default(item: Parameter) -> str:
    if item.required:
        return "required"
    return "" if item.default is None else f"`{json.dumps(item.default)}`"
