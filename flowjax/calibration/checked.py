"""Result of a check: advice, table, text and HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flowjax.calibration.inputs import Inputs
from flowjax.calibration.measured import Measured
from flowjax.calibration.verdict import LEAST_GAIN, Verdict, score_text


class Check(NamedTuple):
    """Result of `check`.

    Attributes:
        verdict: recommendation with its interval.
        measured: measures of all candidates.
        inputs: vectors and pairs.
        calibrated: held-out vectors of the best calibration, shape (m, k).
        recipe: name of the recipe of the best calibration, and its options that differ from the
            defaults, as for `BertFlow(flow=..., flow_options=...)`.
        about: `(name, text)` of the encoder, the data, the fit, the seed and the versions.
    """

    verdict: Verdict
    measured: Measured
    inputs: Inputs
    calibrated: np.ndarray
    recipe: tuple[str, dict[str, Any]]
    about: list[tuple[str, str]]

    @property
    def advice(self) -> str:
        """Recommendation in one sentence, with its interval."""
        return self.verdict.advice

    @property
    def recommended(self) -> str | None:
        """Name of the recommended vectors, such as "plain" or "glow^0.5"; None without pairs."""
        return self.verdict.recommended

    @property
    def table(self) -> list[dict[str, Any]]:
        """Measures of each candidate, see `Measured.rows`."""
        return self.measured.rows

    def to_dict(self) -> dict[str, Any]:
        """Returns the recommendation, the table and the facts as JSON values."""
        return {
            **self.verdict._asdict(),
            "table": self.table,
            "score": score_text(self.verdict.pairs),
            "least_gain": LEAST_GAIN,
            "recipe": list(self.recipe),
            "chosen_by": list(self.inputs.choose),
            "gaussian": self.measured.gaussian,
            "about": dict(self.about),
        }

    def save(
        self,
        folder: str | Path,
        *,
        overwrite: bool = False,
        command: str = "flowjax.check",
        image: str = "png",
    ) -> Path:
        """Writes an HTML page with figures, and the table as JSON and CSV.

        Args:
            folder: folder of the page.
            overwrite: True replaces an existing report.
            command: command line that the page shows.
            image: format of the figures: png, svg or pdf.

        Returns:
            The path of `index.html`.

        Raises:
            FlowjaxError: The folder has a report and `overwrite` is False, or has other files.
        """
        from flowjax.report import write_report
        from flowjax.report.check import check_page

        page = check_page(
            self.to_dict(),
            self.measured._asdict(),
            texts=self.inputs.texts,
            before=self.inputs.held,
            after=self.calibrated,
            command=command,
        )
        return write_report(page, folder, overwrite=overwrite, image=image)

    def __repr__(self) -> str:
        """Returns the recommendation in one line."""
        return f"Check(recommended={self.recommended!r}, advice={self.advice!r})"

    def __str__(self) -> str:
        """Returns the advice and the table as text of at most 80 columns."""
        from flowjax.report.check_text import check_text

        return check_text(self.to_dict())
