"""The figures as pictures (PNG).  Each function writes one file; nothing is shown, and no display is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import MissingExtra
from edge.quality.average_precision import Ranking
from edge.quality.detection import Pod, upper_sizes
from edge.quality.intervals import Proportion
from edge.quality.rates import Rates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 130
BINS = 6
CURVE = np.concatenate([np.linspace(0.02, 0.9, 45), np.linspace(0.91, 0.98, 8)])
ESCAPE, OVERKILL, MUTED = "#c0392b", "#1f5f99", "#777777"


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "model") from error
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)


def sweep(path: Path, rows: Sequence[Rates], score: float, title: str) -> None:
    """Escape and overkill rates against the score, with their Clopper-Pearson bounds.

    Raises:
        MissingExtra: Matplotlib or SciPy is not installed.
    """
    figure = _figure(7.5, 4.5)
    axes = figure.subplots()
    scores = [row.score for row in rows]
    _band(axes, scores, [row.escape for row in rows], ESCAPE, "escape rate (defective parts that pass)")
    _band(axes, scores, [row.overkill for row in rows], OVERKILL, "overkill rate (good parts that do not pass)")
    axes.axvline(score, color=MUTED, linestyle="--", linewidth=1, label=f"score {score:g}")
    axes.set(xlabel="score from which a finding rejects", ylabel="share of parts", title=title, xlim=(0, 1))
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(lambda value, _position: f"{value:.0%}")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False, fontsize=8)
    _tidy(axes)
    figure.savefig(path)


def _band(axes: Axes, scores: Sequence[float], shares: Sequence[Proportion], color: str, label: str) -> None:
    bounds = [share.bounds() for share in shares]
    rates = [share.rate for share in shares]
    if None in bounds or None in rates:
        axes.plot([], [], color=color, label=f"{label}: not measurable")
        return
    axes.plot(scores, [rate or 0.0 for rate in rates], "o-", color=color, markersize=3, linewidth=1.4, label=label)
    low, high = zip(*[pair for pair in bounds if pair], strict=True)
    axes.fill_between(scores, low, high, color=color, alpha=0.15, linewidth=0)


def precision_recall(path: Path, rankings: Mapping[str, Ranking], ap50: Mapping[str, float], title: str) -> None:
    """Precision against recall of each class at the rankings' first IoU, and its average precision.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    figure = _figure(6.5, 5.0)
    axes = figure.subplots()
    for cls, ranking in rankings.items():
        if cls not in ap50:
            continue
        hits = np.cumsum(ranking.hits[0])
        precision = hits / np.arange(1, len(hits) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        axes.step(hits / ranking.positives.sum(), envelope, where="pre", linewidth=1.3, label=f"{cls} {ap50[cls]:.3f}")
    axes.set(xlabel="recall", ylabel="precision", title=title, xlim=(0, 1.01), ylim=(0, 1.02))
    axes.legend(title="AP at IoU 0.5", frameon=False, fontsize=8, loc="lower left")
    _tidy(axes)
    figure.savefig(path)


def pod(
    path: Path,
    pods: Mapping[str, Pod],
    data: Mapping[str, tuple[NDArray[np.float64], NDArray[np.bool_]]],
    label: str,
    title: str,
) -> None:
    """Probability of detection against size, a panel a class: curve, its 95 % bound, a90/95, and shares found by size.

    Args:
        data: sizes (B,) and hits (B,) of each class of ``pods``.
        label: of the size axis, with its unit.

    Raises:
        MissingExtra: Matplotlib or SciPy is not installed.
    """
    shown = {cls: result for cls, result in pods.items() if result.found.of}
    columns = min(3, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = _figure(3.8 * columns, 3.1 * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (cls, result) in zip(panels, shown.items(), strict=False):
        _pod_panel(axes, result, *data[cls])
        axes.set_title(f"{cls}: {result.found.count} of {result.found.of} found", fontsize=9)
        axes.set_xlabel(label, fontsize=8)
        axes.set_ylabel("probability of detection", fontsize=8)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    figure.suptitle(f"{title}\nline: fitted; dotted: 95 % bound; squares: shares found, with 95 % bounds", fontsize=9)
    figure.savefig(path)


def _pod_panel(axes: Axes, result: Pod, sizes: NDArray[np.float64], hits: NDArray[np.bool_]) -> None:
    axes.vlines(sizes[hits], 1.0, 1.03, color=MUTED, linewidth=0.4)
    axes.vlines(sizes[~hits], -0.03, 0.0, color=MUTED, linewidth=0.4)
    _binned(axes, sizes, hits)
    if result.curve is not None:
        grid = np.geomspace(sizes.min(), sizes.max(), 200)
        axes.plot(grid, result.curve.probability(grid), color=OVERKILL, linewidth=1.5)
        bound = upper_sizes(sizes, hits, CURVE)
        axes.plot(bound, CURVE, color=OVERKILL, linewidth=1, linestyle=":")
        axes.axhline(0.9, color=MUTED, linewidth=0.6)
    told = result.status.replace("_", " ")
    if result.status == "fitted":
        told = "a90/95 not bounded" if result.a90_95 is None else f"a90/95 {result.a90_95:.3g}"
    if result.a90_95 is not None:
        axes.axvline(result.a90_95, color=ESCAPE, linewidth=1)
    white = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    axes.text(0.97, 0.08, told, transform=axes.transAxes, fontsize=7, color=ESCAPE, ha="right", bbox=white)
    axes.set_ylim(-0.05, 1.05)
    axes.set_xlim(0, max(float(sizes.max()), 1e-9) * 1.05)
    _tidy(axes)


def _binned(axes: Axes, sizes: NDArray[np.float64], hits: NDArray[np.bool_]) -> None:
    """Shares found, with their bounds, in bins of equally many boxes."""
    order: Any = np.argsort(sizes)
    for members in np.array_split(order, min(BINS, len(order))):
        share = Proportion(int(hits[members].sum()), len(members))
        bounds, centre = share.bounds(), float(np.median(sizes[members]))
        if bounds is not None:
            axes.plot([centre, centre], bounds, color="#444444", linewidth=0.8)
            axes.plot([centre], [share.count / share.of], "s", color="#444444", markersize=3)
