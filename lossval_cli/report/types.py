"""What `Result.report` and report.json hold, as types. Made from schemas/report.schema.json by `python -m
docs.generate`: change that instead."""

from typing import Literal, NotRequired, TypedDict


class VerdictFinding(TypedDict):
    """A part of the report: section, text."""

    section: Literal["duplicates", "slices", "leakage", "coverage", "health", "suspects"]
    text: str


class Verdict(TypedDict):
    """The one sentence, and what else deserves a look."""

    level: Literal["ok", "look", "bad"]
    text: str
    findings: list[VerdictFinding]


SummaryByKind = TypedDict("SummaryByKind", {"label": int, "features": int, "label+features": int})


class Interval(TypedDict):
    """A number and the ends of the interval it is likely in."""

    value: float | None
    low: float | None
    high: float | None


class Summary(TypedDict):
    """A part of the report: stopped_in_epoch, rows, suspects, suspect_share, by_kind, estimated_noise_share,
    skill."""

    stopped_in_epoch: NotRequired[int]
    rows: int
    suspects: int
    suspect_share: float
    by_kind: SummaryByKind
    estimated_noise_share: Interval | None
    skill: NotRequired[float | None]


class RemovalSpreads(TypedDict):
    """A part of the report: lowest_first, highest_first, random."""

    lowest_first: list[float | None]
    highest_first: list[float | None]
    random: list[float | None]


class RemovalBaseline(TypedDict):
    """A part of the report: mean, spread."""

    mean: float | None
    spread: float | None


class RemovalSuspects(TypedDict):
    """Dropping the suspects alone; null where there are none."""

    share: float
    mean: float | None
    spread: float | None


class RemovalTrial(TypedDict):
    """A part of the report: model, strategy, share, error_gain, error_before, metric_gain, helps."""

    model: Literal["network", "boosting", "linear", "forest", "own"]
    strategy: Literal["suspects", "lowest", "relabel", "weights"]
    share: float
    error_gain: Interval
    error_before: float | None
    metric_gain: Interval
    helps: bool


class Removal(TypedDict):
    """The effect of dropping rows; null where it was not studied."""

    metric: str
    greater_is_better: bool
    evaluated_on: Literal["test", "validation"]
    fractions: list[float]
    lowest_first: list[float | None]
    highest_first: list[float | None]
    random: list[float | None]
    spreads: RemovalSpreads
    baseline: RemovalBaseline
    suspects: RemovalSuspects | None
    recommended: Literal["nothing", "suspects", "lowest", "relabel", "weights"]
    recommended_fraction: float
    expected_gain: Interval | None
    verdict: str
    failed: list[str]
    notice: str | None
    seeds: int
    epochs: NotRequired[int]
    curves_of: NotRequired[Literal["linear"]]
    recommended_for: NotRequired[list[Literal["network", "boosting", "linear", "forest", "own"]]]
    evaluation_rows: NotRequired[list[int]]
    training_rows: NotRequired[list[int]]
    full_epochs: NotRequired[int]
    trials: NotRequired[list[RemovalTrial]]
    leaked_rows: NotRequired[int]
    own_model: NotRequired[str]


class SuspectProbability(TypedDict):
    """A part of the report: label, probability."""

    label: str
    probability: float | None


class SuspectNeighboursLabel(TypedDict):
    """A part of the report: label, rows."""

    label: str
    rows: int


class SuspectNeighboursNearestItem(TypedDict):
    """A part of the report: table, row, line, trusted, label."""

    table: Literal["train", "val"]
    row: int
    line: int | None
    trusted: bool
    label: str | float | bool | None


class SuspectNeighbours(TypedDict):
    """The nearest other rows (encoded features, copies aside): how many, how many of them trusted, how they are
    labelled (counts, or quartiles of numbers), how many as this row, and the nearest of them."""

    rows: int
    trusted: int
    same: NotRequired[int]
    labels: NotRequired[list[SuspectNeighboursLabel]]
    low: NotRequired[float | None]
    median: NotRequired[float | None]
    high: NotRequired[float | None]
    nearest: list[SuspectNeighboursNearestItem]


class SuspectDecidingItem(TypedDict):
    """A part of the report: column, value, contribution."""

    column: str
    value: str | float | bool | None
    contribution: float | None


class SuspectUnusualItem(TypedDict):
    """A part of the report: column, value, contribution, usual, text."""

    column: str
    value: str | float | bool | None
    contribution: float
    usual: dict[str, str | float | bool | None]
    text: str


class SuspectFeature(TypedDict):
    """A part of the report: column, value."""

    column: str
    value: str | float | bool | None


class Suspect(TypedDict):
    """One suspect. Of a redacted run: without `ids`, `reason`, `unusual` and `features`."""

    rank: int
    row: int
    line: int | None
    ids: NotRequired[dict[str, str | float | bool | None]]
    given: str | float | bool | None
    suggested: str | float | bool | None
    predicted: NotRequired[str | float | bool | None]
    predicted_probability: NotRequired[float | None]
    given_probability: NotRequired[float | None]
    probabilities: NotRequired[list[SuspectProbability] | None]
    neighbours: NotRequired[SuspectNeighbours | None]
    deciding: NotRequired[list[SuspectDecidingItem]]
    importance: float | None
    importance_std: NotRequired[float | None]
    label_evidence: NotRequired[float | None]
    feature_evidence: NotRequired[float | None]
    noise_probability: NotRequired[float | None]
    label_probability: NotRequired[float | None]
    feature_probability: NotRequired[float | None]
    suspect: Literal["label", "features", "label+features"]
    reason: NotRequired[str]
    unusual: NotRequired[list[SuspectUnusualItem]]
    features: NotRequired[list[SuspectFeature]]
    features_left_out: NotRequired[int]
    key: NotRequired[str]


class ModelHistoryItem(TypedDict):
    """A part of the report: epoch, loss, transport."""

    epoch: int
    loss: float | None
    transport: float | None


class ModelTransportAnchors(TypedDict):
    """Only where validation is represented by a part of its rows: how many, of how many, and by how much a
    potential is off for it, as a share of what potentials differ by."""

    used: int
    of: int
    error: float


class ModelTransport(TypedDict):
    """null for the published algorithm."""

    cost: float
    anchors: NotRequired[ModelTransportAnchors]
    marginal_error: float
    converged: bool


class Model(TypedDict):
    """A part of the report: device, epochs, history, transport."""

    device: str
    epochs: int
    history: list[ModelHistoryItem]
    transport: ModelTransport | None


class DataTablesTrain(TypedDict):
    """A table that was read."""

    name: str
    format: NotRequired[Literal["csv", "parquet", "frame"]]
    rows: int
    sha256: str | None


class DataTables(TypedDict):
    """A part of the report: train, val, test."""

    train: DataTablesTrain
    val: DataTablesTrain
    test: NotRequired[DataTablesTrain]


class DataRoles(TypedDict):
    """A part of the report: label, ids, excluded, task, ordered, classes, weight, group, time, separator."""

    label: str
    ids: list[str]
    excluded: list[str]
    task: Literal["classification", "regression", "multilabel"]
    ordered: NotRequired[bool]
    classes: list[str] | None
    weight: NotRequired[str | None]
    group: NotRequired[str | None]
    time: NotRequired[str | None]
    separator: NotRequired[str | None]


class DataColumn(TypedDict):
    """A part of the report: column, type, dims."""

    column: str
    type: Literal["number", "category", "date", "text", "boolean", "dropped"]
    dims: int


class DataInvalidCellsColumnExample(TypedDict):
    """A part of the report: row, line, value."""

    row: int
    line: int | None
    value: str


class DataInvalidCellsColumn(TypedDict):
    """A part of the report: column, expected, count, examples."""

    column: str
    expected: str
    count: int
    examples: list[DataInvalidCellsColumnExample]


class DataInvalidCells(TypedDict):
    """Cells of the training table that are not of the type of their column; they were read as missing."""

    count: int
    cells: int
    rows: int
    columns: list[DataInvalidCellsColumn]


class DataTargetLeakage(TypedDict):
    """The column, or the two, that tell the label best; null for small tables."""

    strength: float
    columns: list[str]


class DataUnlabelledExample(TypedDict):
    """A part of the report: row, line."""

    row: int
    line: int | None


class DataUnlabelled(TypedDict):
    """Rows without a label: left out of everything, last in the scores."""

    rows: int
    examples: list[DataUnlabelledExample]


class Data(TypedDict):
    """A part of the report: tables, roles, columns, column_count, invalid_cells, held_out, target_leakage,
    unlabelled."""

    tables: DataTables
    roles: DataRoles
    columns: list[DataColumn]
    column_count: int
    invalid_cells: NotRequired[DataInvalidCells]
    held_out: bool
    target_leakage: NotRequired[DataTargetLeakage | None]
    unlabelled: NotRequired[DataUnlabelled | None]


class Thresholds(TypedDict):
    """The thresholds of a file (--thresholds) that decided which rows are suspect; null where the method
    decided."""

    label: float
    features: float
    goal: str
    file: str
    sha256: str


class Class(TypedDict):
    """A part of the report: label, rows, suspects, label_suspects, share, low, high."""

    label: str
    rows: int
    suspects: int
    label_suspects: int
    share: float
    low: float
    high: float


class ConfusionPair(TypedDict):
    """A part of the report: given, suggested, rows, share_of_given."""

    given: str
    suggested: str
    rows: int
    share_of_given: float


class Confusion(TypedDict):
    """Given against suggested label of the label suspects; null for numbers."""

    classes: list[str] | None
    matrix: list[list[int]] | None
    pairs: list[ConfusionPair]


class SlicesFoundItemAlikeItem(TypedDict):
    """A part of the report: column, value."""

    column: str
    value: str


class SlicesFoundItem(TypedDict):
    """A part of the report: column, value, alike, kind, rows, suspects, share, low, high, elsewhere, lift,
    p_adjusted."""

    column: str
    value: str
    alike: list[SlicesFoundItemAlikeItem]
    kind: Literal["label", "features"]
    rows: int
    suspects: int
    share: float
    low: float
    high: float
    elsewhere: float
    lift: float
    p_adjusted: float


class Slices(TypedDict):
    """Parts of the table in which suspects are concentrated; null in a redacted report."""

    looks: int
    found: list[SlicesFoundItem]


class ConflictingDuplicatesExample(TypedDict):
    """A part of the report: count, rows, lines, labels."""

    count: int
    rows: list[int]
    lines: list[int] | None
    labels: list[str | float | bool | None]


class ConflictingDuplicates(TypedDict):
    """Identical features, different labels."""

    groups: int
    rows: int
    duplicate_rows: int
    examples: list[ConflictingDuplicatesExample]


class LeakageValExample(TypedDict):
    """A part of the report: row, line, other_row, other_line."""

    row: int
    line: int | None
    other_row: int
    other_line: int | None


class LeakageVal(TypedDict):
    """Rows of the training table that are also in another table; null where there is none."""

    rows: int
    other_rows: int
    other_share: float
    expected_share: float
    suspicious: bool
    compared: Literal["features and label", "features"]
    examples: list[LeakageValExample]
    relabelled_rows: NotRequired[int]
    near_rows: NotRequired[int]


class Leakage(TypedDict):
    """A part of the report: val, test."""

    val: LeakageVal | None
    test: LeakageVal | None


class Coverage(TypedDict):
    """Validation rows that are far from every training row; null where validation was held out from training or
    rows are few."""

    rows: int
    uncovered: int
    share: float
    low: float
    high: float
    expected_share: float
    suspicious: bool
    examples: list[DataUnlabelledExample]


DistributionsImportanceSuspects = TypedDict(
    "DistributionsImportanceSuspects", {"label": list[int], "features": list[int], "label+features": list[int]}
)


class DistributionsImportanceMark(TypedDict):
    """A part of the report: name, importance, share."""

    name: str
    importance: float | None
    share: float


class DistributionsImportance(TypedDict):
    """A part of the report: edges, rows, suspects, marks."""

    edges: list[float | None]
    rows: list[int]
    suspects: DistributionsImportanceSuspects
    marks: list[DistributionsImportanceMark]


class DistributionsEvidencePoints(TypedDict):
    """A part of the report: label, features, suspect."""

    label: list[float | None]
    features: list[float | None]
    suspect: list[Literal["", "label", "features", "label+features"]]


class DistributionsEvidence(TypedDict):
    """null where the method has none."""

    points: DistributionsEvidencePoints


class DistributionsThresholds(TypedDict):
    """Probability from which a row is a suspect; null: none is."""

    label_probability: float | None
    feature_probability: float | None


class Distributions(TypedDict):
    """A part of the report: importance, evidence, thresholds."""

    importance: DistributionsImportance
    evidence: DistributionsEvidence | None
    thresholds: DistributionsThresholds | None


class HealthItem(TypedDict):
    """A part of the report: check, level, text."""

    check: str
    level: Literal["ok", "look", "bad"]
    text: str


class Report(TypedDict):
    """The result of a run. New fields may appear within a schema_version; it is raised when a field is removed or
    changes its meaning."""

    schema_version: Literal[2]
    directory: NotRequired[str]
    verdict: Verdict
    summary: Summary
    removal: Removal | None
    suspects: list[Suspect]
    model: Model
    data: Data
    settings: dict[str, str | float | bool | None]
    thresholds: NotRequired[Thresholds | None]
    timing: dict[str, float]
    notices: list[str]
    classes: list[Class] | None
    confusion: Confusion | None
    slices: Slices | None
    conflicting_duplicates: ConflictingDuplicates
    leakage: Leakage
    coverage: Coverage | None
    distributions: Distributions
    health: list[HealthItem]
