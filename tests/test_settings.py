"""Settings: where they come from, which wins, and what is said of those that make no sense."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lossval_cli.errors import SettingsError, UsageError
from lossval_cli.settings import Settings


def test_the_default_preset_is_the_built_in_default() -> None:
    assert Settings.resolve() == Settings()


def test_later_wins_preset_then_file_then_assignment(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('epochs = 7\nmembers = 6\nhidden = "auto"\n')
    found = Settings.resolve("fast", file, ["members=5"])
    assert (found.preset, found.folds, found.epochs, found.members, found.hidden) == ("fast", None, 7, 5, None)


def test_each_setting_says_where_it_is_from() -> None:
    found = Settings.origins("fast", {"epochs": 7, "hidden": 9, "check": {}}, ["hidden=8"])
    assert (found["preset"], found["effort"], found["members"], found["epochs"], found["hidden"], found["blur"]) == (
        "given",
        "preset",
        "effort",
        "file",
        "given",
        "built in",
    )
    assert Settings.origins(config={"preset": "fast"})["preset"] == "file"
    assert Settings.origins()["preset"] == "preset"
    assert set(found) == set(Settings.knobs())


def test_python_and_command_line_read_alike() -> None:
    values = {"epochs": 3, "learning_rate": 0.5, "ot_absolute": True, "layers": None, "loss": "focal(1)"}
    written = ["epochs=3", "learning_rate=0.5", "ot_absolute=true", "layers=auto", "loss=focal(1)"]
    assert Settings.resolve(overrides=values) == Settings.resolve(overrides=written)


def test_a_share_may_be_given_in_percent() -> None:
    assert Settings.resolve(overrides=["expect_noise=20%"]).expect_noise == 0.2
    assert Settings.resolve(overrides={"expect_noise": "20%", "val_fraction": 0.3}).val_fraction == 0.3
    with pytest.raises(SettingsError, match="expect_noise must be"):
        Settings.resolve(overrides=["expect_noise=200%"])


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        Settings.resolve(overrides=["epoch=3", "epochs=0", "blur=x", "objective=produkt", "members"])
    assert error.value.problems == (
        "--set 'members' is not of the form key=value",
        "setting 'epoch' is unknown: did you mean epochs?",
        "setting epochs must be from 1 to 100,000, not 0",
        "setting blur must be a number, not 'x'",
        "setting objective must be one of product, loss, transport, additive, not 'produkt'; did you mean product?",
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["objective=transport", "ot_power=0"], "setting ot_power 0 leaves objective transport nothing"),
        (["members=2", "folds=4"], "setting folds (4) is more than members (2)"),
        (["learning_rate=nan"], "setting learning_rate must be from 1e-06 to 10, not nan"),
        ({"epochs": True}, "setting epochs must be a whole number, not True"),
        ({"epochs": 2.5}, "setting epochs must be a whole number, not 2.5"),
        ({"seed": None}, "setting seed needs a value"),
    ],
)
def test_contradictions_and_wrong_kinds_are_refused(overrides: object, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        Settings.resolve(overrides=overrides)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"epochs = = 3\n", "is not valid TOML: Invalid value (at line 1, column 10)"),
        (b"epochs = 3 # \xff\n", "is not UTF-8 text (byte 13)"),
    ],
)
def test_a_broken_file_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(message)):
        Settings.resolve(config=file)
    with pytest.raises(UsageError, match=r"no such file or directory$"):
        Settings.resolve(config=tmp_path / "missing.toml")


def test_an_unknown_preset_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="preset 'papr' is unknown: did you mean paper"):
        Settings.resolve("papr")


@pytest.mark.slow
@hypothesis_settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.one_of(st.sampled_from(sorted(Settings.knobs())), st.text(max_size=8)),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just([])),
        max_size=4,
    )
)
def test_whatever_is_given_ends_in_settings_or_in_one_line(overrides: dict[str, object]) -> None:
    """Never a traceback, and never a value outside its range."""
    try:
        found = Settings.resolve(overrides=overrides)
    except UsageError as error:
        assert "\n" not in str(error).replace("\\n", "")
        return
    for name, knob in Settings.knobs().items():
        value = getattr(found, name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert knob.low <= value <= knob.high


@pytest.mark.parametrize(
    ("overrides", "rows", "expected"),
    [
        ((), 1_000, (16, 8)),
        ((), 8_000, (8, 4)),
        ((), 100_000, (6, 3)),
        (("members=1",), 1_000, (1, 1)),
        (("members=2",), 1_000, (2, 2)),
        (("members=5",), 1_000, (5, 2)),
        (("folds=20",), 100_000, (20, 20)),
        (("members=8", "folds=1"), 1_000, (8, 1)),
    ],
)
def test_members_and_folds_left_to_the_method_fit_each_other(
    overrides: tuple[str, ...], rows: int, expected: tuple[int, int]
) -> None:
    assert Settings.resolve(overrides=overrides).ensemble_size(rows) == expected


@pytest.mark.parametrize(
    ("effort", "rows", "epochs", "batch_size"),
    [
        ("default", 100, 25, 32),
        ("default", 5_000, 25, 512),
        ("default", 10_000, 20, 256),
        ("default", 40_000, 6, 256),
        ("default", 1_000_000, 3, 1024),
        ("low", 1_000, 12, 128),
        ("low", 40_000, 3, 256),
        ("high", 40_000, 25, 256),
    ],
)
def test_large_tables_get_fewer_passes_and_larger_steps(effort: str, rows: int, epochs: int, batch_size: int) -> None:
    settings = Settings.resolve(overrides={"effort": effort})
    schedule = settings.schedule(rows)
    assert schedule[:2] == (epochs, batch_size)
    usual = settings.schedule(100)
    assert schedule.epochs * schedule.weight_learning_rate == pytest.approx(usual.epochs * usual.weight_learning_rate)
    assert schedule.epochs * schedule.learning_rate**2 == pytest.approx(usual.epochs * usual.learning_rate**2)


def test_epochs_that_are_given_hold_for_every_size() -> None:
    schedule = Settings.resolve(overrides={"epochs": 30, "batch_size": 64}).schedule(1_000_000)
    assert schedule == (30, 64, 0.003, 0.01)
