"""Write the lock files from what is installed. To raise a version: install it there, run the tests, then lock."""

import importlib.metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    "image/requirements.txt": (
        ".venv/envs/step",
        "The evaluation image. Installed with --no-deps, after torch.",
    ),
    "requirements/local.txt": (".venv", "From requirements/local.in. Installed with --no-deps."),
    "requirements/lambda.txt": (".venv/envs/lambda", "From requirements/lambda.in. Installed with --no-deps."),
    "requirements/sam.txt": (".venv/envs/sam", "From requirements/sam.in. Installed with --no-deps."),
}
# Only `make bench` installs these.
BENCHMARKED = {
    f"benchmarks/environments/{file.name}": (
        f".assay/bench-envs/{file.stem}",
        f"{file.stem}, which Assay is measured against. Installed with --no-deps.",
    )
    for file in sorted((ROOT / "benchmarks/environments").glob("*.txt"))
}
NOT_LOCKED = {"assay", "pip"}


def main() -> None:
    """Replace every lock file; local version labels such as `+cpu` are left out, so that any index can serve them."""
    installed = {file: at for file, at in BENCHMARKED.items() if (ROOT / at[0]).exists()}
    for file, (environment, note) in (FILES | installed).items():
        [folder] = (ROOT / environment / "lib").glob("python3.*/site-packages")
        found = {item.name.lower(): item for item in importlib.metadata.distributions(path=[str(folder)])}
        kept = [item for name, item in sorted(found.items()) if name not in NOT_LOCKED]
        pins = [f"{item.name}=={item.version.partition('+')[0]}" for item in kept]
        (ROOT / file).write_text("\n".join([f"# {note} Written by 'make lock'.", *pins, ""]))


if __name__ == "__main__":
    main()
