"""Lets fmeval be imported without the libraries that the imported algorithm never calls.

fmeval 1.2.3 imports Ray, pandas, the SageMaker SDK, torch and transformers wherever it computes an F1 over words, makes
an S3 client on the way, and asks the Hugging Face hub for a metric: eight seconds and 660 MB, and no import at all
without a network. Inside of `imports_deferred` such a library is a stand-in, and whatever is named in it likewise. Both
become the real thing when they are called: fmeval's toxicity loads transformers with its model, and QAAccuracy never.

A library that the process has loaded already is left as it is, but for two: the metrics of `evaluate` come from
`metrics`, and `boto3` makes no client of which nobody has need, since that may ask a machine's metadata service.
"""

from __future__ import annotations

import importlib
import sys
import threading
import warnings
from collections.abc import Iterator, MutableSequence, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_DEFERRED = ("boto3", "botocore", "pandas", "pyarrow", "ray", "sagemaker", "sklearn", "torch", "transformers")
# NLTK imports it.
SCIPY = ("scipy.stats",)
_LOCK = threading.RLock()
_REPLACED = ("boto3", "evaluate")
_originals: dict[str, ModuleType] = {}
_importing: list[int] = []


class Deferred(ModuleType):
    """A library, or something in it, that is not loaded before it is called."""

    __path__: MutableSequence[str] = []  # noqa: RUF012 - as of a package, which is looked into for submodules

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Deferred(f"{self.__name__}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() in _importing:
            # Called by fmeval as it is imported: the S3 client of its data loader.
            return Deferred(f"{self.__name__}()")
        return self._real()(*args, **kwargs)

    def __mro_entries__(self, _bases: Any) -> tuple[type, ...]:
        # A class of fmeval's driver inherits from one of Ray's; nothing makes an object of it.
        return ()

    def _real(self) -> Any:
        parts = self.__name__.split(".")
        found: Any = _originals.get(parts[0]) or importlib.import_module(parts[0])
        for number, part in enumerate(parts[1:], start=1):
            if not hasattr(found, part):
                importlib.import_module(".".join(parts[: number + 1]))
            found = getattr(found, part)
        return found


class _Finder(MetaPathFinder, Loader):
    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = roots

    def find_spec(self, fullname: str, _path: Any, _target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname.partition(".")[0] in self._roots else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Deferred(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


@contextmanager
def imports_deferred(*, first: Sequence[str] = ()) -> Iterator[None]:
    """While the block runs, importing fmeval loads none of its heavy libraries, and fetches nothing.

    Args:
        first: modules to load before, which look into others that are loaded and would take a stand-in for the thing.
    """
    from assay.scoring.fmeval import metrics

    for name in first:
        importlib.import_module(name)

    with _LOCK:
        originals = {name: sys.modules[name] for name in _REPLACED if name in sys.modules}
        finder = _Finder([name for name in _DEFERRED if name not in sys.modules])
        _originals.update(originals)
        sys.modules["evaluate"] = metrics
        if "boto3" in originals:
            sys.modules["boto3"] = Deferred("boto3")
        sys.meta_path.insert(0, finder)
        _importing.append(threading.get_ident())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            _importing.pop()
            sys.meta_path.remove(finder)
            for name in [name for name, module in sys.modules.items() if isinstance(module, Deferred)]:
                del sys.modules[name]
            if not _importing:
                del sys.modules["evaluate"]
                _originals.clear()
            sys.modules.update(originals)
