"""A bound on what asking one model may cost, kept while requests are under way. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from assay.inference.model import Answer

PER_MILLION = 1e6


@dataclass(frozen=True)
class Tariff:
    """What asking a model costs.

    Attributes:
        input_usd, output_usd: a million tokens.
        longest_output: tokens that an answer has at most.
        wrapping: bytes that a request has besides the prompt.
        hourly_usd: what an hour of the model costs, asked or not.
        requests: how many it may take to get one answer, each about as long as the first.
    """

    input_usd: float = 0.0
    output_usd: float = 0.0
    longest_output: int = 0
    wrapping: int = 0
    hourly_usd: float = 0.0
    requests: int = 1

    def worst_usd(self, prompt: str) -> float:
        """The most that one answer can cost in tokens. No tokenizer makes more tokens of a text than it has bytes."""
        size = self.wrapping + len(prompt.encode("utf-8", "surrogatepass"))
        return self.requests * (size * self.input_usd + self.longest_output * self.output_usd) / PER_MILLION

    def usd(self, answer: Answer) -> float | None:
        """What an answer cost in tokens; None where its tokens are not known."""
        if answer.cost_usd is not None:
            return answer.cost_usd
        if answer.input_tokens is None or answer.output_tokens is None:
            return None
        return (answer.input_tokens * self.input_usd + answer.output_tokens * self.output_usd) / PER_MILLION


@dataclass
class Budget:
    """Money for asking one model. A request is sent only when it can be paid in the worst case, with all under way.

    Not safe to share between threads; the runner holds its lock.

    Attributes:
        usd: what may be spent in all.
        hourly_usd: what an hour of the model costs, asked or not.
        spent_usd: what is spent in tokens; a request whose cost is not known counts as its worst case.
        reserved_usd: the worst case of the requests under way.
    """

    usd: float
    hourly_usd: float = 0.0
    spent_usd: float = 0.0
    reserved_usd: float = 0.0
    _under_way: int = 0
    _began: float | None = None

    def begin(self, now: float) -> None:
        """Asking begins, by the runner's clock; hours count from the first time."""
        if self._began is None:
            self._began = now

    @property
    def idle(self) -> bool:
        """Whether no request is under way whose end could free money."""
        return self._under_way == 0

    def reserve(self, worst_usd: float, until: float) -> bool:
        """Set the cost of one request aside; False when the budget could be passed.

        Args:
            worst_usd: the most that the request can cost in tokens.
            until: when the request must have ended, by the runner's clock.
        """
        seconds = until - (until if self._began is None else self._began)
        if self.spent_usd + self.reserved_usd + worst_usd + self.hourly_usd * seconds / 3600 > self.usd:
            return False
        self.reserved_usd += worst_usd
        self._under_way += 1
        return True

    def settle(self, worst_usd: float, usd: float | None) -> None:
        """A request for which `worst_usd` was set aside has ended, and cost `usd`; None where that is not known."""
        self._under_way -= 1
        self.reserved_usd = self.reserved_usd - worst_usd if self._under_way else 0.0
        self.spent_usd += worst_usd if usd is None else usd
