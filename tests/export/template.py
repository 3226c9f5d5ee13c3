"""What every format must do; a new format is tested by one subclass."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from edgevit.export.exporter import bundle_path, export
from edgevit.export.job import ExportJob
from edgevit.export.precision import PROMISES, Precision
from edgevit.export.registry import LOWERINGS, Selection
from edgevit.runtimes.classifier import open_classifier, predict_all
from tests.export.files import selected, write

# Largest difference of a probability from the graph's.
TOLERANCES: dict[Precision, float] = {
    "fp32": 1e-4,
    "fp16": 0.02,
    "int8": 0.05,
    "int8-dynamic": 0.05,
    "int8-full": 0.12,
}


class FormatTemplate:
    """Subclass with the format's name and the precisions that it can have.

    Tests with an argument ``precision`` run once for each (tests/export/conftest.py).
    """

    format_name: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]]

    def selection(self, job: ExportJob, precision: Precision) -> Selection:
        return selected(job.graph, self.format_name, precision)

    def test_table_is_complete_when_listed(self, job: ExportJob) -> None:
        assert set(LOWERINGS.get(self.format_name).recipes(job.graph)) == set(self.precisions)

    def test_answers_are_the_runs_when_exported(
        self, job: ExportJob, precision: Precision, tmp_path: Path
    ) -> None:
        selection = self.selection(job, precision)
        target = bundle_path(tmp_path, job.run, selection)
        bundle = export(job, selection, target, announce=lambda rung: None)
        assert all(rung.passed for rung in bundle.record.ladder)
        assert job.dataset is not None
        pixels = np.asarray(job.dataset.pixels("test", job.run.record.spec.preprocessing))
        expected = job.graph.evaluate(pixels)
        actual = predict_all(open_classifier(target, threads=1).session, pixels)
        assert np.ptp(expected) > 0.3
        np.testing.assert_allclose(actual, expected, atol=TOLERANCES[precision])

    def test_bytes_are_the_same_when_exported_twice(
        self, job: ExportJob, precision: Precision
    ) -> None:
        recipe = self.selection(job, precision).recipe
        assert recipe.write(job.source(recipe)) == recipe.write(job.source(recipe))

    def test_arithmetic_is_as_promised_when_described(
        self, job: ExportJob, precision: Precision, tmp_path: Path
    ) -> None:
        selection = self.selection(job, precision)
        path = write(tmp_path, selection, job.source(selection.recipe))
        file = selection.lowering.describe(path)
        products = 0 if PROMISES[precision].integer_products else 27
        if precision != "fp16" or self.format_name != "openvino":  # bfloat16 on some CPUs
            assert len(file.float_matrix_ops) == products
        kernels = [name for name in file.weights if name.endswith("/kernel")]
        assert len(kernels) == 27
