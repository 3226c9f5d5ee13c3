"""What every format must do; a new format is tested by one subclass."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from edgevit.export.exporter import ExportJob, bundle_path, export
from edgevit.export.precision import Precision
from edgevit.export.registry import LOWERINGS
from edgevit.run import Run
from edgevit.runtimes.classifier import open_classifier, predict_all


class FormatTemplate:
    """Subclass with the format's name."""

    format_name: ClassVar[str]

    @pytest.fixture(params=["fp32", "int8"])
    def precision(self, request: pytest.FixtureRequest) -> Precision:
        chosen: Precision = request.param
        return chosen

    def test_answers_are_the_runs_when_exported(
        self, job: ExportJob, precision: Precision, tmp_path: Path
    ) -> None:
        lowering = LOWERINGS.get(self.format_name)
        target = bundle_path(tmp_path, job.run, lowering, precision)
        bundle = export(job, lowering, precision, target, announce=lambda rung: None)
        assert all(rung.passed for rung in bundle.record.ladder)
        pixels = np.asarray(job.dataset.pixels("test", job.run.record.spec.preprocessing))
        expected = job.graph.evaluate(pixels)
        actual = predict_all(open_classifier(target, threads=1).session, pixels)
        assert np.ptp(expected) > 0.3
        tolerance = {"fp32": 1e-4, "int8": 0.05}[precision]
        np.testing.assert_allclose(actual, expected, atol=tolerance)

    def test_bytes_are_the_same_when_exported_twice(
        self, run: Run, precision: Precision, tmp_path: Path, job: ExportJob
    ) -> None:
        lowering = LOWERINGS.get(self.format_name)
        images = job.calibration.images
        first, second = (lowering.lower(job.graph, precision, images) for _ in range(2))
        assert first.data == second.data

    def test_every_matrix_op_is_int8_when_quantised(self, job: ExportJob, tmp_path: Path) -> None:
        lowering = LOWERINGS.get(self.format_name)
        path = tmp_path / lowering.model_file
        path.write_bytes(lowering.lower(job.graph, "int8", job.calibration.images).data)
        assert lowering.describe(path).float_matrix_ops == ()
        path.write_bytes(lowering.lower(job.graph, "fp32", None).data)
        assert len(lowering.describe(path).float_matrix_ops) == 27
