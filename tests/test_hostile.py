"""Hostile cells against the sandbox: nothing gets out, the host lives, the next cell works, no process stays.

The cells are in `hostile/`, by aim. Those that a layer of the kernel's stops are run without confinement too,
where the same oracle must see their effect: otherwise the first test could not fail.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile.harness import AIMS, KERNEL_LAYERS, NO_SUCH_THING, Snippet, Stage, all_snippets, attempt

from rlm.sandbox import launch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the cells attack Linux")
SNIPPETS = all_snippets()
FEWEST = 20
# cells for each aim


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as built:
        yield built
    launch.restart()  # it has adopted what cells without confinement have started


@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_the_snippet_is_contained(stage: Stage, snippet: Snippet):
    outcome = attempt(snippet, stage)
    assert outcome.escaped == (), outcome.executions[:2]
    if "may lose variables" not in snippet.notes:
        assert outcome.kept, outcome.error


@pytest.mark.parametrize("snippet", [s for s in SNIPPETS if {*s.layers} & {*KERNEL_LAYERS}], ids=str)
def test_the_snippet_gets_through_without_confinement(stage: Stage, snippet: Snippet):
    if "Seccomp:\t0" not in Path("/proc/self/status").read_text():
        pytest.skip("this machine filters system calls itself, as in a container")
    if "needs root" in snippet.notes and os.geteuid():
        pytest.skip("needs root to get through")
    # To fill a gigabyte takes seconds where a machine is short of memory.
    timeout = 12.0 if "limits" in snippet.layers else 4.0
    outcome = attempt(snippet, stage, policy="off", cell_timeout=timeout)
    if not outcome.escaped and NO_SUCH_THING.search(outcome.error):
        pytest.skip("this kernel does not have what the cell uses")
    assert outcome.escaped, outcome.executions[:2]


def test_no_two_snippets_have_the_same_name():
    names = Counter(str(snippet) for snippet in SNIPPETS)
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("aim", AIMS)
def test_every_aim_has_many_snippets(aim: str):
    assert sum(snippet.aim == aim for snippet in SNIPPETS) >= FEWEST
