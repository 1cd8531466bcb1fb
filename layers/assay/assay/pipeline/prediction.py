"""What is known before an evaluation, what is taken for granted, and what is predicted: seconds, tokens and USD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from assay.contracts.config import ModelSection
from assay.contracts.lanes import LaneLimit
from assay.contracts.prices import Prices, TokenPrice
from assay.pipeline.lanes import Lane

# What text generation endpoints and APIs call the longest answer.
MAX_TOKENS_KEYS = (
    "max_new_tokens",
    "max_tokens",
    "max_completion_tokens",
    "maxTokens",
    "max_gen_len",
    "max_length",
)
# A batch inference job: AWS says how long one may take by default, and not how long one takes.
BATCH_HOURS = 24


@dataclass(frozen=True)
class Assumptions:
    """What is taken for granted where nothing is known.

    Attributes:
        job_start_seconds: from a step's start until its job's code runs: instance and image.
        preprocess_seconds, cleanup_seconds: what these steps take once they run.
        finetune_seconds: a training job.
        deploy_seconds: until an endpoint is in service.
        existing_seconds: until an endpoint that exists already is found.
        latency_seconds: one call, where the stack has not evaluated this model of the suite before.
        scoring_seconds: scoring one response.
        output_tokens: longest answer of a model whose config sets no maximum.
        characters_per_token: length of a prompt in characters for each of its tokens.
    """

    job_start_seconds: float = 150.0
    preprocess_seconds: float = 15.0
    cleanup_seconds: float = 15.0
    finetune_seconds: float = 3600.0
    deploy_seconds: float = 480.0
    existing_seconds: float = 5.0
    latency_seconds: float = 2.0
    scoring_seconds: float = 0.02
    output_tokens: int = 256
    characters_per_token: float = 4.0


@dataclass(frozen=True)
class Workload:
    """What a catalog and a config's templates come to.

    Attributes:
        records: records in the catalog.
        characters: length of all rendered prompts together, by model.
        given_characters: length of all answers that the catalog holds together, by model.
        judge_characters: length of what a judge is told besides the answers, all records together: to grade an answer,
            and to compare two.
    """

    records: int
    characters: Mapping[str, int]
    given_characters: Mapping[str, int] = field(default_factory=dict)
    judge_characters: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class PredictedStep:
    """One pipeline step.

    Attributes:
        kind: preprocess, finetune, deploy, ask, evaluate, judge or cleanup.
        after: steps that end before it starts.
        begins: seconds after the pipeline's start.
        seconds: how long it runs, its job's start included.
    """

    name: str
    kind: str
    after: tuple[str, ...]
    begins: float
    seconds: float

    @property
    def ends(self) -> float:
        return self.begins + self.seconds


@dataclass(frozen=True)
class PredictedModel:
    """What asking one model comes to.

    Attributes:
        endpoint: None for a model that needs none: somebody else serves it, or the catalog holds its answers.
        input_tokens: of all prompts, by length.
        output_tokens_at_most: when every answer is as long as it may be.
        output_limit_from: where that longest answer is from, `config`, `assumption` or `catalog`.
        latency_seconds: one call; 0 where a batch job or nobody is asked.
        latency_from: the evaluation id that it was measured in, `assumption`, `batch` or `catalog`.
        ask_steps: the steps that ask it before `step` scores it, where the catalog is split.
    """

    name: str
    endpoint: str | None
    step: str
    calls: int
    input_tokens: int
    output_tokens_at_most: int
    output_limit_from: str
    latency_seconds: float
    latency_from: str
    ask_steps: tuple[str, ...] = ()

    @property
    def by_batch(self) -> bool:
        """Whether batch inference jobs ask it."""
        return self.latency_from == "batch"


@dataclass(frozen=True)
class PredictedJudging:
    """What asking a judge about one model's answers comes to, when nothing of it was judged before.

    Attributes:
        model: whose answers.
        input_tokens: of all prompts, when every answer is as long as it may be.
        output_tokens_at_most: when every judgement is as long as it may be.
        output_limit_from: where that longest judgement is from, `config` or `assumption`.
    """

    model: str
    step: str
    calls: int
    input_tokens: int
    output_tokens_at_most: int
    output_limit_from: str


@dataclass(frozen=True)
class PredictedEndpoint:
    """One endpoint.

    Attributes:
        lane: number of its lane, from 1; None when the endpoint exists already and takes none.
        instance_type: None when the endpoint exists already.
        models: those that share it.
        seconds: from its creation to its deletion; 0 for one that exists already.
        kept: whether it goes on, and costs, afterwards.
    """

    name: str
    lane: int | None
    instance_type: str | None
    instances: int
    models: tuple[str, ...]
    seconds: float
    kept: bool


@dataclass(frozen=True)
class Cost:
    """Instance hours times price. `usd` and `hourly_usd` are None where the price is not known."""

    what: str
    instance_type: str
    instances: int
    hours: float
    hourly_usd: float | None

    @property
    def usd(self) -> float | None:
        return None if self.hourly_usd is None else self.hourly_usd * self.hours * self.instances


@dataclass(frozen=True)
class TokenCost:
    """Tokens of one model times price; `usd` is None where the price is not known."""

    model: str
    input_tokens: int
    output_tokens_at_most: int
    price: TokenPrice | None

    @property
    def usd(self) -> float | None:
        return None if self.price is None else self.price.usd(self.input_tokens, self.output_tokens_at_most)


@dataclass(frozen=True)
class Estimate:
    """The whole prediction.

    Attributes:
        records: records in the catalog; `asked` of them are put to each model.
        lanes: endpoints that exist one after the other, and `limits`, which says why there are so many lanes.
        judgings: what a judge is asked; none without one.
        seconds: from the pipeline's start to its end, by the longest chain of steps.
        budget_usd: what the config allows it to cost; None where it says nothing.
        assumptions: what was taken for granted, in sentences.
    """

    suite: str
    records: int
    asked: int
    steps: tuple[PredictedStep, ...]
    models: tuple[PredictedModel, ...]
    judgings: tuple[PredictedJudging, ...]
    endpoints: tuple[PredictedEndpoint, ...]
    lanes: tuple[Lane, ...]
    limits: tuple[LaneLimit, ...]
    seconds: float
    costs: tuple[Cost, ...]
    token_costs: tuple[TokenCost, ...]
    budget_usd: float | None
    prices: Prices = field(repr=False)
    assumptions: tuple[str, ...] = ()

    @property
    def known_usd(self) -> float:
        """What those parts cost whose price is known."""
        found = [*(cost.usd for cost in self.costs), *(cost.usd for cost in self.token_costs)]
        return sum(usd for usd in found if usd is not None)

    @property
    def usd(self) -> float | None:
        """What everything costs; None where a price is missing, since a part is not the whole."""
        return None if self.unpriced else self.known_usd

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Instance types without a known price, each once, and models whose tokens have none."""
        instances = [cost.instance_type for cost in self.costs if cost.usd is None]
        tokens = [f"the tokens of {cost.model}" for cost in self.token_costs if cost.usd is None]
        return tuple(dict.fromkeys(instances + tokens))


@dataclass(frozen=True)
class Measured:
    """Mean latency of one call, the time of training, and the evaluation that they were measured in.

    Attributes:
        seconds: of one call; None where no latency is known, as of answers that came through a queue.
        place: where that evaluation ran, in words; a local cloud's CPU is not the instance of a config.
        training_seconds: billed for each instance of the training job that made the model there, if one did.
    """

    seconds: float | None
    evaluation_id: str
    place: str
    training_seconds: int | None = None


def longest_output(section: ModelSection) -> int | None:
    """Tokens that an answer has at most by the model's config; None where it says nothing."""
    parameters = section.evaluation_config.inference_parameters
    for key in MAX_TOKENS_KEYS:
        value = parameters.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
