"""Events of S3 repeat, come late and in any order. What is known and what was evaluated in the end is the same."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.contracts.evaluation import DatedVersion
from assay.contracts.events import Drop
from tests.unit.start_world import CATALOG, CONFIG, Stored, World, named

CATALOGS = ("catalogs/k.jsonl", "catalogs/l.jsonl")
CONFIGS = ("configs/a.yaml", "configs/b.yaml")
SUITES = ("a", "b")
FAULTY = b"pipeline: ["


@dataclass(frozen=True)
class Change:
    """Something that somebody does to the bucket."""

    kind: str  # put, delete, move
    key: str
    body: bytes = b""


@dataclass(frozen=True)
class Tenure:
    """A time in which a config named a suite."""

    suite: str
    key: str
    since: datetime
    until: datetime | None


def config(suite: str, catalog: str, scheduled: bool) -> bytes:
    text = named(suite, CONFIG.replace(b"sums.jsonl", catalog.removeprefix("catalogs/").encode()))
    return text + b"schedule: {expression: rate(1 day)}\n" if scheduled else text


def changes() -> st.SearchStrategy[Change]:
    put_config = st.sampled_from(CONFIGS).flatmap(
        lambda key: st.one_of(
            st.builds(config, st.sampled_from(SUITES), st.sampled_from(CATALOGS), st.booleans()), st.just(FAULTY)
        ).map(lambda body: Change("put", key, body))
    )
    put_catalog = st.sampled_from(CATALOGS).map(lambda key: Change("put", key, CATALOG))
    delete = st.sampled_from(CATALOGS + CONFIGS).map(lambda key: Change("delete", key))
    move = st.sampled_from(CONFIGS).map(lambda key: Change("move", key))
    return st.one_of(put_config, put_config, put_catalog, put_catalog, delete, move)


@dataclass
class History:
    """A stack to whose bucket things happen; a config that was moved is not written to any more."""

    world: World = field(default_factory=World)
    events: list[Drop] = field(default_factory=list)
    moved: set[str] = field(default_factory=set)

    def happen(self, change: Change) -> None:
        world, key = self.world, change.key
        if key in self.moved:
            return
        if change.kind == "put":
            self.events.append(world.put(key, change.body))
            return
        current = world.suites.current(key)
        if current is None:
            return
        if change.kind == "move":
            body = world.bucket.read(key)
            self.events.append(world.put(key.replace(".yaml", "-moved.yaml"), body))
            self.moved.add(key)
        self.events.append(world.remove(key))

    def handle(self, event: Drop) -> None:
        """Deliver an event. What it starts is allowed by what was known of configs before it or is since."""
        before, already = set(self.world.book.claimed), set(self.world.pairs())
        self.world.drops.handle(event)
        allowed = self.expected_pairs(before) | self.expected_pairs(self.world.book.claimed)
        assert set(self.world.pairs()) - already <= allowed

    # ---- what must come of it, told from the bucket alone

    def texts(self) -> dict[str, list[Stored]]:
        return {key: items for key, items in self.world.bucket.stored.items() if key.startswith("configs/")}

    def tenures(self) -> list[Tenure]:
        """The times in which a config named a suite: from a version that names it to one that does not, or to none."""
        found = []
        for key, items in self.texts().items():
            suite, since = "", items[0].at
            for item in items:
                now = suite if item.body == FAULTY else "" if item.body is None else suite_of(item.body)
                if now != suite:
                    found += [Tenure(suite, key, since, item.at)] if suite else []
                    suite, since = now, item.at
            found += [Tenure(suite, key, since, None)] if suite else []
        return found

    def expected_pairs(self, known: set[tuple[str, str]] | None = None) -> set[tuple[str, str]]:
        """Every version of a config with every version of its catalog that met while the suite was its own.

        Args:
            known: which configs are known to have named which suite; all that did when left out.
        """
        bucket, found = self.world.bucket, set()
        tenures = [item for item in self.tenures() if known is None or (item.suite, item.key) in known]
        for key in self.texts():
            for config in bucket.history(key):
                body = bucket.read(key, config.version.version_id)
                if body == FAULTY:
                    continue
                own = [item for item in tenures if (item.suite, item.key) == (suite_of(body), key)]
                began = max(((item.since, key) for item in own if item.since <= config.since), default=None)
                ends = [
                    item.until
                    for item in tenures
                    if item.suite == suite_of(body) and item.key != key and began and (item.since, item.key) < began
                ]
                if None in ends:
                    continue
                free = max([config.since, *(end for end in ends if end is not None)])
                if free > config.since and config.until is not None and free >= config.until:
                    continue
                mine = replace(config, since=free)
                found |= {(name(config), name(item)) for item in bucket.history(read_by(body)) if mine.met(item)}
        return found

    def expected_descriptions(self) -> dict[str, tuple[str, bytes]]:
        """Of each suite the config that has named it the longest by now: its newest text that is not faulty."""
        found: dict[str, tuple[str, bytes]] = {}
        for _, key, suite in sorted((item.since, item.key, item.suite) for item in self.tenures() if not item.until):
            bodies = [item.body for item in self.texts()[key] if item.body not in (None, FAULTY)]
            found.setdefault(suite, (key, bodies[-1] or b""))
        return found

    def check(self) -> None:
        world = self.world
        pairs = world.pairs()
        assert len(pairs) == len(set(pairs)), "an evaluation was started twice"
        assert set(pairs) >= self.expected_pairs()
        if all(len({item.key for item in self.tenures() if item.suite == suite}) < 2 for suite in SUITES):
            assert set(pairs) == self.expected_pairs()
        known = {
            suite: (item.config_key, world.bucket.read(item.config_key, item.version_id))
            for suite, item in world.book.described.items()
        }
        expected = self.expected_descriptions()
        assert known == expected
        assert world.book.owned == {(key, suite) for suite, (key, _) in expected.items()}
        assert world.timetable.schedules.keys() == {suite for suite, (_, body) in expected.items() if b"rate" in body}
        assert world.log.held == []


def suite_of(body: bytes) -> str:
    return next(suite for suite in SUITES if f"{{name: {suite}}}".encode() in body)


def name(item: DatedVersion) -> str:
    return f"{item.version.key}@{item.version.version_id}"


def read_by(body: bytes) -> str:
    return next((key for key in CATALOGS if key.removeprefix("catalogs/").encode() in body), "catalogs/none")


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_events_that_come_after_everything_happened_come_in_any_order_and_any_number(data: st.DataObject) -> None:
    history = History()
    if data.draw(st.booleans(), label="all within a second"):
        history.world.bucket.step = timedelta(0)
    for change in data.draw(st.lists(changes(), min_size=3, max_size=10)):
        history.happen(change)
    repeated = data.draw(st.lists(st.sampled_from(history.events), max_size=4)) if history.events else []
    for event in data.draw(st.permutations(history.events + repeated)):
        history.handle(event)
    history.check()


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_events_that_come_while_more_happens_come_as_late_as_they_like(data: st.DataObject) -> None:
    history = History()
    undelivered: list[Drop] = []
    for change in data.draw(st.lists(changes(), min_size=3, max_size=10)):
        before = len(history.events)
        history.happen(change)
        undelivered += history.events[before:]
        for event in data.draw(st.lists(st.sampled_from(history.events), max_size=3)) if history.events else []:
            history.handle(event)
            undelivered = [item for item in undelivered if item != event]
    for event in data.draw(st.permutations(undelivered)):
        history.handle(event)
    history.check()
