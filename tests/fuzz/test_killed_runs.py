"""No record is lost, and none whose answer was kept is asked again, wherever a process is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import assay
from assay.inference.asking import PART_RESPONSES
from assay.inference.runner import UNWRITTEN_RESPONSES
from tests.fuzz import killed_runs
from tests.fuzz.killed_runs import Limits, Run, outcomes

KILLS = int(os.environ.get("ASSAY_KILLS", "8"))
RECORDS = 400 * KILLS


def run(folder: Path, records: int, kills: int, seed: int) -> list[Run]:
    """In an interpreter without threads, since it forks."""
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(assay.__file__).parents[1]), str(root)])}
    command = [sys.executable, killed_runs.__file__, str(folder), str(records), str(kills), str(seed)]
    found = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return [Run(**item) for item in json.loads(found.stdout)]


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_runs_and_their_restart_leave_what_one_run_leaves_and_ask_no_kept_record_again(
    tmp_path: Path, seed: int
) -> None:
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    runs = run(tmp_path / "killed", RECORDS, KILLS, seed)
    [whole] = run(tmp_path / "whole", RECORDS, 0, seed)
    assert sum(item.killed for item in runs) >= KILLS // 2
    assert any(item.kept_before > 0 for item in runs if item.killed)
    assert [item.asked_again for item in runs] == [0] * len(runs)
    for item in runs:
        assert item.asked - item.kept <= Limits().concurrency + UNWRITTEN_RESPONSES + PART_RESPONSES
    last = outcomes(tmp_path / "killed" / "responses")
    assert len(last) == RECORDS
    assert last == outcomes(tmp_path / "whole" / "responses")
    assert not whole.killed
    assert whole.asked == whole.kept == RECORDS
