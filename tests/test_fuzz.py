"""A slice of the generated cases; `python -m tests.fuzz --cases 100000` runs many."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz.kinds import KINDS, base_files, cases
from tests.fuzz.running import Case, inside, run_case

pytestmark = pytest.mark.slow

SLICE = 10
"""Things of each kind, with one to seven command lines each."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return base_files(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_comes_in_it_is_an_answer_or_an_error_in_one_line(
    kind: str, base: dict[str, bytes], tmp_path: Path
) -> None:
    """Never a traceback, a hang, another exit code than 0, 1 and 2, or something left behind."""

    @settings(
        max_examples=SLICE,
        derandomize=True,  # the same slice for everybody: a new finding is for the long run
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(kind, base))
    def every(some: list[Case]) -> None:
        for case in some:
            run_case(case, tmp_path)

    with inside(tmp_path):
        every()
