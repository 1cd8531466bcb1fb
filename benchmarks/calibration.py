"""Are the verdicts as sure as they say? Simulated evaluations whose truth is known: `python -m benchmarks.calibration`.

The product's own functions decide about models that are drawn for it. Four promises are put to the test:

- Under the null, where all models are equally good, a false "better" comes up in at most 5 % of the evaluations: of two
  models or of ten (any pair), with independent records and with clusters, from 1 % to 50 % of the answers right.
- A 95 % interval holds the true difference in 93 to 97 % of the evaluations.
- Models as far apart as a margin are called equivalent, or no worse, no more often than their tests allow.
- A difference that is said to be detectable is found as often as the formula says, within 2 points.

Records are hard or easy for all models alike, so that models agree more often than chance would have it. In clusters,
the difficulty is the cluster's, and so is a part of what each model can do.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import special

from assay.decision.multiplicity import holm
from assay.decision.paired import Paired, paired_difference
from assay.decision.power import detectable_difference, power_of_t
from assay.decision.statistics import Codes, Values
from assay.decision.verdicts import equivalence_p, non_inferiority, verdict
from benchmarks.measuring import write_results

ALPHA = 0.05
SEED = 20261124
# Shares of a probit scale: how much of what decides an answer is the record's, the cluster's, a model's in a cluster.
RECORD, CLUSTER, MODEL_IN_CLUSTER = 0.5, 0.3, 0.2


@dataclass(frozen=True)
class Design:
    """A catalog and equally good models.

    Attributes:
        accuracy: share of the records that a model gets right; None for scores from 0 to 1 with many at either end.
        clusters: how many the records are in; None where they are independent.
        skew: how unlike in size the clusters are: 0 for equal ones.
    """

    name: str
    models: int
    records: int
    accuracy: float | None
    clusters: int | None = None
    skew: float = 0.0

    @property
    def binary(self) -> bool:
        return self.accuracy is not None

    def drawn(self, generator: np.random.Generator) -> tuple[Values, Codes | None]:
        """Scores of the models (by rows) on a catalog, and the clusters of its records."""
        codes = self.codes(generator)
        hard = np.sqrt(RECORD) * generator.standard_normal(self.records)
        own = generator.standard_normal((self.models, self.records))
        if codes is None:
            latent = hard + np.sqrt(1 - RECORD) * own
        else:
            shared = np.sqrt(CLUSTER) * generator.standard_normal(self.clusters or 1)[codes]
            theirs = np.sqrt(MODEL_IN_CLUSTER) * generator.standard_normal((self.models, self.clusters or 1))[:, codes]
            latent = shared + theirs + np.sqrt(1 - CLUSTER - MODEL_IN_CLUSTER) * own
        if self.accuracy is None:
            # F1-like: a third of the answers have nothing of the expected one, a fifth all of it.
            return np.clip(special.ndtr(latent) * 1.9 - 0.6, 0.0, 1.0), codes
        return (latent < special.ndtri(self.accuracy)).astype(np.float64), codes

    def codes(self, generator: np.random.Generator) -> Codes | None:
        if self.clusters is None:
            return None
        if not self.skew:
            return np.arange(self.records) % self.clusters
        weights = generator.lognormal(0.0, self.skew, self.clusters)
        codes = generator.choice(self.clusters, self.records, p=weights / weights.sum())
        codes[: self.clusters] = np.arange(self.clusters)
        return codes.astype(np.intp)


DESIGNS = (
    *(
        Design(f"{accuracy:.0%} right", 2, records, accuracy)
        for records in (100, 1000)
        for accuracy in (0.01, 0.1, 0.5)
    ),
    Design("scores from 0 to 1", 2, 50, None),
    Design("scores from 0 to 1", 2, 500, None),
    *(Design(f"{accuracy:.0%} right", 2, 1000, accuracy, clusters=100) for accuracy in (0.01, 0.1, 0.5)),
    *(Design(f"{accuracy:.0%} right", 2, 1000, accuracy, clusters=20) for accuracy in (0.01, 0.1, 0.5)),
    Design("scores from 0 to 1", 2, 400, None, clusters=8),
    Design("50% right, clusters of unlike size", 2, 1000, 0.5, clusters=50, skew=1.0),
    *(Design(f"{accuracy:.0%} right", 10, 500, accuracy) for accuracy in (0.01, 0.1, 0.5)),
    Design("50% right", 10, 500, 0.5, clusters=50),
    Design("1% right", 10, 500, 0.01, clusters=50),
)


def main() -> None:
    """Simulate, print and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=10_000, help="simulated evaluations of two models")
    parser.add_argument("--of-many", type=int, default=4_000, help="simulated evaluations of ten models")
    parser.add_argument("--print-only", action="store_true", help="leave the results file as it is")
    arguments = parser.parse_args()
    found: dict[str, Any] = {
        "alpha": ALPHA,
        "evaluations": arguments.evaluations,
        "of_many": arguments.of_many,
        "null": [],
        "power": [],
        "equivalence": [],
        "inferiority": [],
        "families": [],
    }
    for stream, design in enumerate(DESIGNS):
        row = under_the_null(design, arguments.evaluations if design.models == 2 else arguments.of_many, stream)
        found["null"].append(row)
        print(row, flush=True)
    parts = {"power": power, "equivalence": equivalence, "inferiority": inferiority}
    for kind, simulated in parts.items():
        for row in simulated(arguments.evaluations):
            found[kind].append(row)
            print(row, flush=True)
    for row in families(arguments.of_many):
        found["families"].append(row)
        print(row, flush=True)
    if not arguments.print_only:
        write_results("calibration", found)


def under_the_null(design: Design, evaluations: int, stream: int = 0) -> dict[str, Any]:
    """How often a "better" comes up among equal models, and how often the interval of the first pair holds 0."""
    false, covered, missing, widths = 0, 0, 0, 0.0
    for number in range(evaluations):
        values, codes = design.drawn(np.random.default_rng([SEED, stream, number]))
        pairs = [
            paired_difference(values[first], values[second], binary=design.binary, clusters=codes)
            for first, second in combinations(range(design.models), 2)
        ]
        p_values = holm([paired.p_value() for paired in pairs])
        false += any(_claims(paired, p) for paired, p in zip(pairs, p_values, strict=True))
        bounds = pairs[0].interval(1 - ALPHA)
        if bounds is None:
            missing += 1
        else:
            covered += bounds[0] <= 0 <= bounds[1]
            widths += bounds[1] - bounds[0]
    return {
        "design": design.name,
        "models": design.models,
        "records": design.records,
        "clusters": design.clusters,
        "evaluations": evaluations,
        "false_better": share(false, evaluations),
        "coverage": share(covered, evaluations - missing),
        "mean_width": round(widths / max(1, evaluations - missing), 4),
    }


def families(evaluations: int) -> Iterator[dict[str, Any]]:
    """How often the winner of ten equal models is called better than another, by the family of the p values.

    This is why the family is all pairs: the winner against the nine others is a choice that the data have made.
    """
    design = Design("50% right", 10, 500, 0.5)
    found = {"the winner against the others": 0, "all pairs": 0}
    for number in range(evaluations):
        values, _ = design.drawn(np.random.default_rng([SEED, number]))
        winner = int(values.mean(axis=1).argmax())
        pairs = {
            pair: paired_difference(values[pair[0]], values[pair[1]], binary=True).p_value()
            for pair in combinations(range(design.models), 2)
        }
        adjusted = dict(zip(pairs, holm(list(pairs.values())), strict=True))
        others = [p for pair, p in pairs.items() if winner in pair]
        found["the winner against the others"] += _least(holm(others)) <= ALPHA
        found["all pairs"] += _least([p for pair, p in adjusted.items() if winner in pair]) <= ALPHA
    for name, count in found.items():
        yield {"family": name, "models": design.models, "false_better": share(count, evaluations)}


def _least(p_values: list[float | None]) -> float:
    return min(p for p in p_values if p is not None)


def _claims(paired: Paired, p_value: float | None) -> bool:
    said = verdict(paired, direction="higher", alpha=ALPHA, p_value=p_value)
    return said in ("better", "worse")


def power(evaluations: int) -> Iterator[dict[str, Any]]:
    """How often the difference that a catalog is said to tell is found, against the 80 % that it is said to be."""
    for records, discordance in ((300, 0.2), (1000, 0.1), (2000, 0.02)):
        half = round(records * discordance / 2)
        wanted = detectable_difference(_binary(half, half, records), ALPHA) or 0.0

        def one(generator: np.random.Generator, n: int = records, q: float = discordance, d: float = wanted) -> Paired:
            up, down, _ = generator.multinomial(n, [(q + d) / 2, (q - d) / 2, 1 - q])
            return _binary(int(up), int(down), n)

        yield _power(f"{discordance:.0%} of the answers differ", records, None, wanted, 0.8, one, evaluations)
    for records, standard_errors in ((30, 2.9), (200, 2.0), (200, 2.8)):
        lead = standard_errors * 0.3 / np.sqrt(records)
        expected = power_of_t(lead, 0.3 / np.sqrt(records), records - 1, ALPHA)

        def normal(generator: np.random.Generator, n: int = records, d: float = lead) -> Paired:
            return paired_difference(generator.normal(d, 0.3, n), np.zeros(n))

        yield _power("normal differences", records, None, lead, expected, normal, evaluations)
    clusters, size = 30, 10
    error = np.sqrt((0.2**2 + 0.3**2 / size) / clusters)
    expected = power_of_t(2.9 * error, error, clusters - 1, ALPHA)

    def clustered(generator: np.random.Generator) -> Paired:
        shared = np.repeat(generator.normal(2.9 * error, 0.2, clusters), size)
        values = shared + generator.normal(0, 0.3, clusters * size)
        return paired_difference(values, np.zeros(clusters * size), clusters=np.repeat(np.arange(clusters), size))

    yield _power("normal differences", clusters * size, clusters, 2.9 * error, expected, clustered, evaluations)


def _power(
    name: str,
    records: int,
    clusters: int | None,
    lead: float,
    expected: float,
    one: Callable[[np.random.Generator], Paired],
    evaluations: int,
) -> dict[str, Any]:
    found = sum(
        verdict(paired, direction="higher", alpha=ALPHA, p_value=paired.p_value()) == "better"
        for paired in (one(np.random.default_rng([SEED, number])) for number in range(evaluations))
    )
    return {
        "design": name,
        "records": records,
        "clusters": clusters,
        "lead": round(float(lead), 5),
        "formula": round(float(expected), 4),
        "found": share(found, evaluations),
    }


def equivalence(evaluations: int) -> Iterator[dict[str, Any]]:
    """How often models are called equivalent whose true difference is the margin: at most 5 %."""
    for records, discordance, margin in ((500, 0.1, 0.05), (2000, 0.1, 0.03), (200, 0.05, 0.05)):
        called = 0
        for number in range(evaluations):
            generator = np.random.default_rng([SEED, number])
            up, down, _ = generator.multinomial(
                records, [(discordance + margin) / 2, (discordance - margin) / 2, 1 - discordance]
            )
            p_value = equivalence_p(_binary(int(up), int(down), records), margin)
            called += p_value is not None and p_value <= ALPHA
        yield {
            "design": f"{discordance:.0%} of the answers differ",
            "records": records,
            "margin": margin,
            "false_equivalent": share(called, evaluations),
        }


def inferiority(evaluations: int) -> Iterator[dict[str, Any]]:
    """How often a model passes as no worse whose true loss is the margin: at most 2.5 %, half of 5 %."""
    for name, records, clusters, margin in (
        ("10% of the answers differ", 500, None, 0.05),
        ("normal differences", 100, None, 0.05),
        ("normal differences", 300, 30, 0.05),
    ):
        passed = 0
        for number in range(evaluations):
            generator = np.random.default_rng([SEED, number])
            if name.startswith("normal"):
                shared = generator.normal(-margin, 0.1, clusters or records)
                values = np.repeat(shared, records // (clusters or records)) + generator.normal(0, 0.2, records)
                codes = None if clusters is None else np.repeat(np.arange(clusters), records // clusters)
                paired = paired_difference(values, np.zeros(records), clusters=codes)
            else:
                up, down, _ = generator.multinomial(records, [(0.1 - margin) / 2, (0.1 + margin) / 2, 0.9])
                paired = _binary(int(up), int(down), records)
            passed += non_inferiority(paired, direction="higher", margin=margin, confidence=1 - ALPHA).passed
        yield {
            "design": name,
            "records": records,
            "clusters": clusters,
            "margin": margin,
            "false_pass": share(passed, evaluations),
        }


def _binary(up: int, down: int, records: int) -> Paired:
    first, second = np.zeros(records), np.zeros(records)
    first[:up] = 1.0
    second[up : up + down] = 1.0
    return paired_difference(first, second, binary=True)


def share(count: int, of: int) -> dict[str, float]:
    """A share, with twice its Monte Carlo error."""
    value = count / of
    return {"share": round(value, 4), "error": round(2 * float(np.sqrt(value * (1 - value) / of)), 4)}


if __name__ == "__main__":
    main()
