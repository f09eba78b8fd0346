"""The needle heat map: accuracy by length and depth, a panel for each model. Runs no trial.

matplotlib draws it, and is loaded only when a picture is asked for.
"""

from __future__ import annotations

import html
import io
import math
import textwrap
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlm.cli.bench_report import how
from rlm.cli.bench_trial import Entrant, Trial
from rlm.errors import ConfigurationError, RLMError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".html")
DPI = 150
ACROSS = 3
# panels side by side


@dataclass(frozen=True)
class Panel:
    """The accuracy of one entrant in one task."""

    title: str
    lengths: tuple[int, ...]
    # characters, a column each
    depths: tuple[float, ...]
    # from 0 to 1, a row each
    cells: tuple[tuple[float, ...], ...]
    # cells[row][column]: mean score, nan where nothing was measured


def check(path: Path) -> None:
    """Raises ConfigurationError before hours of work if the picture could not be drawn after them."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigurationError(f"--plot {path}: the name must end in {', '.join(SUFFIXES)}.")
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f"--plot {path}: there is no such folder.")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "--plot needs matplotlib, which is not installed: pip install 'rlm-ollama[bench]'"
        ) from error


def draw(trials: Sequence[Trial], path: Path, caption: str) -> None:
    """Writes the picture, in the format that the name's ending says."""
    picture = figure(panels(trials), caption)
    try:
        if path.suffix.lower() == ".html":
            path.write_text(_page(picture, caption), encoding="utf-8")
        else:
            picture.savefig(path, dpi=DPI)
    except OSError as error:
        raise RLMError(f"Cannot write {path}: {error.strerror}.") from error


def panels(trials: Sequence[Trial]) -> list[Panel]:
    """A panel for each entrant and task, all of the same lengths and depths."""
    placed = [trial for trial in trials if trial.case.depth is not None]
    lengths = tuple(sorted({trial.case.size for trial in placed}))
    depths = tuple(sorted({trial.case.depth for trial in placed if trial.case.depth is not None}))
    tasks = {trial.case.task for trial in placed}
    scores: dict[tuple[Entrant, str], dict[tuple[float | None, int], list[float]]] = {}
    for trial in placed:
        case = trial.case
        cells = scores.setdefault((trial.entrant, case.task), defaultdict(list))
        if trial.outcome != "too long":
            cells[case.depth, case.size].append(trial.score)
    return [
        Panel(
            f"{entrant.model}\n{how(entrant)}" + f" · {task}" * (len(tasks) > 1),
            lengths,
            depths,
            tuple(tuple(_mean(cells.get((depth, length), [])) for length in lengths) for depth in depths),
        )
        for (entrant, task), cells in scores.items()
    ]


def figure(panels: Sequence[Panel], caption: str = "") -> Figure:
    """The picture: green is right, red is wrong, grey was not measured."""
    from matplotlib.figure import Figure

    across = min(ACROSS, max(1, len(panels)))
    down = math.ceil(len(panels) / across) or 1
    columns, rows = (len(panels[0].lengths), len(panels[0].depths)) if panels else (1, 1)
    width, height = across * max(3.0, 1.2 + 0.8 * columns) + 0.8, down * (1.4 + 0.45 * rows) + 0.6
    picture = Figure(figsize=(width, height), layout="constrained")
    axes = picture.subplots(down, across, squeeze=False, sharey=True).ravel()
    for place, panel in zip(axes, panels, strict=False):
        image = place.imshow(panel.cells, vmin=0, vmax=1, cmap="RdYlGn", aspect="auto")
        place.set_facecolor("lightgrey")
        place.set_title(panel.title, fontsize=10)
        place.set_xticks(range(columns), [short(length) for length in panel.lengths])
        place.set_yticks(range(rows), [f"{depth:.0%}" for depth in panel.depths])
        place.set_xlabel("characters")
        for edge in range(1, columns):
            place.axvline(edge - 0.5, color="white", linewidth=1)
        for edge in range(1, rows):
            place.axhline(edge - 0.5, color="white", linewidth=1)
        for row, line in enumerate(panel.cells):
            for column, score in enumerate(line):
                text = "" if math.isnan(score) else f"{score:.0%}"
                colour = "black" if 0.2 < score < 0.8 else "white"
                place.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    for place in axes[len(panels) :]:
        place.set_axis_off()
    if panels:
        axes[0].set_ylabel("depth of the needle")
        picture.colorbar(image, ax=list(axes), label="accuracy")
    wrapped = [part for line in caption.splitlines() for part in textwrap.wrap(line, int(width * 14))]
    picture.suptitle("\n".join(wrapped), fontsize=8)
    return picture


def short(length: int) -> str:
    """10000 as 10k, 1000000 as 1m."""
    for unit, name in ((1_000_000, "m"), (1_000, "k")):
        if length >= unit:
            return f"{length / unit:g}{name}"
    return str(length)


def _mean(scores: Sequence[float]) -> float:
    return math.fsum(scores) / len(scores) if scores else math.nan


def _page(picture: Figure, caption: str) -> str:
    drawn = io.StringIO()
    picture.savefig(drawn, format="svg")
    svg = drawn.getvalue()
    title = html.escape(caption)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"{svg[svg.index('<svg') :]}\n</html>\n"
    )
