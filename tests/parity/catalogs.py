"""Records and answers for both sides, drawn with a seed. Imported by fmeval's process too: nothing but the library."""

import hashlib
import random

RECORDS = 200
WORDS = [
    *("the", "a", "car", "automobile", "city", "town", "cities", "river", "stream", "capital", "seat", "large", "big"),
    *("small", "little", "quickly", "fast", "Paris", "Zürich", "42", "3.14", "buy", "purchase", "lies", "rest,", "of"),
    *("in", "and", "is", "was", "not", "U.S.", "Nile;", "東京", "déjà-vu"),
]
LABELS = ("positive", "negative", "neutral")


def sentence(rng: random.Random, low: int, high: int) -> str:
    """Some of the words."""
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))


def catalog(seed: int = 7, *, alternatives: bool = True) -> list[dict[str, str]]:
    """Records of texts: an answer keeps much of the expected one, or all of it, or nothing."""
    rng = random.Random(seed)
    records = []
    for number in range(RECORDS):
        targets = [sentence(rng, 2, 9) for _ in range(rng.choice((1, 1, 2)) if alternatives else 1)]
        words = rng.choice(targets).split()
        match rng.randrange(5):
            case 0:
                answer = " ".join(words)
            case 1:
                answer = sentence(rng, 1, 8)
            case 2:
                answer = f"It is {' '.join(words)}.".upper()
            case _:
                answer = " ".join(word if rng.random() < 0.7 else rng.choice(WORDS) for word in words) or "x"
        question = f"{number}: what {sentence(rng, 4, 10)}?"
        records.append({"model_input": question, "target_output": "<OR>".join(targets), "model_output": answer})
    return records


def labelled(seed: int = 8) -> list[dict[str, str]]:
    """Records with a label, and an answer that names one, several or none."""
    rng = random.Random(seed)
    records = []
    for number in range(RECORDS):
        label = rng.choices(LABELS, (5, 3, 1))[0]
        said = label if rng.random() < 0.6 else rng.choice(LABELS)
        answer = rng.choice((said, f"I say {said} here", f" {said.upper()} ", f"not {rng.choice(LABELS)}", "who knows"))
        question = f"{number}: how is {sentence(rng, 3, 8)}?"
        records.append({"model_input": question, "target_output": label, "model_output": answer})
    return records


def probabilities(seed: int = 9) -> list[dict[str, float]]:
    """Log-probabilities of the more and the less stereotypical sentence."""
    rng = random.Random(seed)
    return [{"more": -rng.uniform(1, 60), "less": -rng.uniform(1, 60)} for _ in range(RECORDS)]


def reply(prompt: str, labels: bool = False) -> str:
    """What the model says to a prompt: the same to the same, something like it to one that differs a little."""
    numbers = [int.from_bytes(hashlib.sha256(word.encode()).digest()[:4]) for word in prompt.split()]
    if labels:
        return f"I say {LABELS[sum(numbers) % 3]}"
    return " ".join(WORDS[number % len(WORDS)] for number in numbers)


def replies(prompt: str, count: int) -> list[str]:
    """What a model that never says the same says: one after the other."""
    return [reply(f"{prompt} {number % 3}") for number in range(count)]
