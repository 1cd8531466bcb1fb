"""Events of S3 repeat, come late and in any order. What is known and what was evaluated in the end is the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.contracts.evaluation import DatedVersion
from assay.contracts.events import Drop
from tests.unit.start_world import CATALOG, CONFIG, World, named

CATALOGS = ("catalogs/k.jsonl", "catalogs/l.jsonl")
CONFIGS = ("configs/a.yaml", "configs/b.yaml")
FAULTY = b"pipeline: ["


@dataclass(frozen=True)
class Change:
    """Something that somebody does to the bucket."""

    kind: str  # put, delete, move
    key: str
    body: bytes = b""


def config(key: str, catalog: str, scheduled: bool) -> bytes:
    text = named(key[8], CONFIG.replace(b"sums.jsonl", catalog.removeprefix("catalogs/").encode()))
    return text + b"schedule: {expression: rate(1 day)}\n" if scheduled else text


def changes() -> st.SearchStrategy[Change]:
    put_config = st.sampled_from(CONFIGS).flatmap(
        lambda key: st.one_of(
            st.builds(config, st.just(key), st.sampled_from(CATALOGS), st.booleans()), st.just(FAULTY)
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

    # ---- what must come of it, told from the bucket alone

    def expected_pairs(self) -> set[tuple[str, str]]:
        """Every version of a config with every version of its catalog that was current at one time."""
        keys = [key for key in self.world.bucket.stored if key.startswith("configs/")]
        return {
            (name(config), name(catalog))
            for key in keys
            for config in self.world.bucket.history(key)
            for catalog in self.world.bucket.history(read_by(self.world.bucket.read(key, config.version.version_id)))
            if config.met(catalog)
        }

    def expected_descriptions(self) -> dict[str, tuple[str, bytes]]:
        """The suite of each config that lies in the bucket: its newest text that is not faulty, if any."""
        found = {}
        for key, stored in self.world.bucket.stored.items():
            for item in reversed(stored if key.startswith("configs/") else []):
                if item.body is None:
                    break
                if item.body != FAULTY:
                    found[key[8]] = (key, item.body)
                    break
        return found

    def check(self) -> None:
        world = self.world
        pairs = world.pairs()
        assert len(pairs) == len(set(pairs)), "an evaluation was started twice"
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
        history.world.drops.handle(event)
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
            history.world.drops.handle(event)
            undelivered = [item for item in undelivered if item != event]
    for event in data.draw(st.permutations(undelivered)):
        history.world.drops.handle(event)
    history.check()
