"""What `fmeval.evaluate()` gives, with Ray and all: run in a process of its own, it writes every score as JSON.

`python reference.py FOLDER [NAME ...]`, with `stand_ins` first on PYTHONPATH. Nothing of Assay is imported.
"""

import hashlib
import json
import sys
import warnings
from pathlib import Path

import nltk
import numpy as np
import ray.data

warnings.simplefilter("ignore")
nltk.download = lambda *_args, **_kwargs: True


def in_tasks(of_class):
    """Ray's `map` of a class, by tasks in place of actors: a task's process stays, and need not import fmeval anew."""

    def map_in_tasks(dataset, maker, *, fn_constructor_args=(), fn_constructor_kwargs=None, concurrency=None, **more):
        if not isinstance(maker, type):
            return of_class(dataset, maker, concurrency=concurrency, **more)
        made = []

        def call(rows):
            if not made:
                made.append(maker(*fn_constructor_args, **(fn_constructor_kwargs or {})))
            return made[0](rows)

        return of_class(dataset, call, **more)

    return map_in_tasks


ray.data.Dataset.map = in_tasks(ray.data.Dataset.map)
ray.data.Dataset.map_batches = in_tasks(ray.data.Dataset.map_batches)

import catalogs  # noqa: E402
from fmeval.data_loaders.data_config import DataConfig  # noqa: E402
from fmeval.eval_algorithms import classification_accuracy as labels  # noqa: E402
from fmeval.eval_algorithms import classification_accuracy_semantic_robustness as robust_labels  # noqa: E402
from fmeval.eval_algorithms import factual_knowledge as facts  # noqa: E402
from fmeval.eval_algorithms import general_semantic_robustness as robust  # noqa: E402
from fmeval.eval_algorithms import prompt_stereotyping as stereotypes  # noqa: E402
from fmeval.eval_algorithms import qa_accuracy as answers  # noqa: E402
from fmeval.eval_algorithms import qa_accuracy_semantic_robustness as robust_answers  # noqa: E402
from fmeval.eval_algorithms import qa_toxicity, summarization_toxicity, toxicity  # noqa: E402
from fmeval.eval_algorithms import summarization_accuracy as summaries  # noqa: E402
from fmeval.eval_algorithms import summarization_accuracy_semantic_robustness as robust_summaries  # noqa: E402
from fmeval.eval_algorithms.semantic_robustness_utils import get_perturbation_transform  # noqa: E402
from fmeval.model_runners.model_runner import ModelRunner  # noqa: E402

SEED = 5


class Model(ModelRunner):
    """Says the same to the same."""

    def __init__(self, labels=False):
        super().__init__('{"prompt": $prompt}', "text")
        self.labels = labels

    def __reduce__(self):
        return Model, (self.labels,)

    def predict(self, prompt):
        return catalogs.reply(prompt, self.labels), None


class Moody(Model):
    """Says what it is told to, one after the other."""

    def __init__(self, said):
        super().__init__()
        self.said = iter(said)

    def predict(self, _prompt):
        return next(self.said), None


def seeded_by_record(transform):
    """The perturbation with a seed of each record's own, as Assay draws it; fmeval's class does all else."""

    class Seeded(type(transform)):
        def __call__(self, record):
            key = hashlib.sha256(record["model_input"].encode()).hexdigest()[:16]
            number = int.from_bytes(hashlib.sha256(f"{SEED}:{key}".encode()).digest()[:8])
            self.rng = np.random.default_rng(number)
            return super().__call__(record)

    return Seeded(*transform.args[:4], **transform.kwargs)


def written(folder, name, rows):
    """A dataset of these rows."""
    path = Path(folder) / f"{name}.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def dataset(path, *, model_output=True, **more):
    """Where its fields lie."""
    if model_output:
        more["model_output_location"] = "model_output"
    return DataConfig(
        dataset_name="parity",
        dataset_uri=path,
        dataset_mime_type="application/jsonlines",
        model_input_location="model_input",
        target_output_location="target_output",
        **more,
    )


def evaluated(algorithm, config, model=None):
    """Its scores of the dataset, and of each record by input."""
    [output] = algorithm.evaluate(
        model=model,
        dataset_config=config,
        prompt_template="$model_input" if model else None,
        num_records=-1,
        save=True,
    )
    lines = [json.loads(line) for line in Path(output.output_path).read_text().splitlines()]
    found = {line.get("model_input"): {score["name"]: score["value"] for score in line["scores"]} for line in lines}
    return {
        "records": found,
        "dataset": {score.name: float(score.value) for score in output.dataset_scores},
    }


def asked_again(algorithm_class, config_class, kind, path, *, says_labels=False):
    """A robustness algorithm with one of fmeval's perturbations."""
    config = config_class(perturbation_type=kind, num_perturbations=3)
    algorithm = algorithm_class(config)
    algorithm.perturbation_transform = seeded_by_record(get_perturbation_transform(config))
    return evaluated(algorithm, dataset(path, model_output=False), Model(says_labels))


def moody(rows):
    """GeneralSemanticRobustness of a model that never says the same: fmeval's own function for one sample."""
    found = {}
    config = robust.GeneralSemanticRobustnessConfig(num_perturbations=3, num_baseline_samples=4)
    algorithm = robust.GeneralSemanticRobustness(config)
    for row in rows:
        said = catalogs.replies(row["model_input"], 10)
        # Its own check asks a second time; then come three perturbed inputs, and three repetitions of four in all.
        model = Moody([said[0], said[1] + " again", *said[2:5], *said[5:8]])
        scores = algorithm.evaluate_sample(row["model_input"], model, "$model_input")
        found[row["model_input"]] = {score.name: float(score.value) for score in scores}
    return {"records": found}


def cases(folder):
    """Every algorithm by name, as something to be called."""
    texts, single = catalogs.catalog(), catalogs.catalog(alternatives=False)
    qa, plain = written(folder, "qa", texts), written(folder, "plain", single)
    named = written(folder, "labels", catalogs.labelled())
    pairs = [{"model_input": str(n)} | row for n, row in enumerate(catalogs.probabilities())]
    stereotyped = DataConfig(
        dataset_name="parity",
        dataset_uri=written(folder, "pairs", pairs),
        dataset_mime_type="application/jsonlines",
        model_input_location="model_input",
        sent_more_log_prob_location="more",
        sent_less_log_prob_location="less",
    )
    weighted = labels.ClassificationAccuracyConfig(multiclass_average_strategy="macro")

    def scored(make, config):
        return lambda: evaluated(make(), config)

    def robustly(module, name, *arguments, **settings):
        return lambda: asked_again(getattr(module, name), getattr(module, f"{name}Config"), *arguments, **settings)

    def toxic(module, name, kind):
        return scored(lambda: getattr(module, name)(toxicity.ToxicityConfig(kind)), dataset(plain))

    return {
        "FactualKnowledge": scored(lambda: facts.FactualKnowledge(facts.FactualKnowledgeConfig("<OR>")), dataset(qa)),
        "QAAccuracy": scored(lambda: answers.QAAccuracy(answers.QAAccuracyConfig("<OR>")), dataset(qa)),
        "SummarizationAccuracy": scored(summaries.SummarizationAccuracy, dataset(plain)),
        "ClassificationAccuracy": scored(labels.ClassificationAccuracy, dataset(named)),
        "ClassificationAccuracy/macro": scored(lambda: labels.ClassificationAccuracy(weighted), dataset(named)),
        "PromptStereotyping": scored(stereotypes.PromptStereotyping, stereotyped),
        "GeneralSemanticRobustness": robustly(robust, "GeneralSemanticRobustness", "butter_finger", plain),
        "GeneralSemanticRobustness/moody": lambda: moody(single),
        "ClassificationAccuracySemanticRobustness": robustly(
            robust_labels, "ClassificationAccuracySemanticRobustness", "random_upper_case", named, says_labels=True
        ),
        "QAAccuracySemanticRobustness": robustly(
            robust_answers, "QAAccuracySemanticRobustness", "whitespace_add_remove", qa
        ),
        "SummarizationAccuracySemanticRobustness": robustly(
            robust_summaries, "SummarizationAccuracySemanticRobustness", "butter_finger", plain
        ),
        "Toxicity/detoxify": toxic(toxicity, "Toxicity", "detoxify"),
        "Toxicity/toxigen": toxic(toxicity, "Toxicity", "toxigen"),
        "QAToxicity/detoxify": toxic(qa_toxicity, "QAToxicity", "detoxify"),
        "SummarizationToxicity/toxigen": toxic(summarization_toxicity, "SummarizationToxicity", "toxigen"),
    }


def main(folder, *wanted):
    """Those that are named, or all, one after the other."""
    found = {name: case() for name, case in cases(folder).items() if name in wanted or not wanted}
    (Path(folder) / "scores.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
