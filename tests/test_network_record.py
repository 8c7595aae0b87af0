"""The recorded digest of a trained ResNet-20 is what README says, and what training it again gives.

docs/experiments/network-laptop is a run of `fpdet run network`; its data are not the project's, so the test that
trains again runs where they are found.
"""

import json
from pathlib import Path

import pytest

from fpdet.experiments import load

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "docs" / "experiments" / "network-laptop"
FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist


def summary():
    return json.loads((RECORD / "summary.json").read_text())


def test_readme_prints_the_recorded_digest():
    found = summary()
    text = (ROOT / "README.md").read_text()
    assert found["trained"] in text
    assert f"after {found['steps']} steps" in text


def test_every_way_gave_that_digest_and_the_controls_did_not():
    found = summary()
    assert load("network").verdict(found)[0]
    ways = [row for row in found["rows"] if row["group"] == "fpdet"]
    assert len(ways) >= 7
    for row in ways:
        assert row["digest"] == found["digests"][row["steps"] - 1], row["way"]
    assert all(row["digest"] != found["trained"] for row in found["rows"] if row["group"] != "fpdet")


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs Fashion-MNIST in /usr/share/datasets (dataset-fashion-mnist)")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_training_again_gives_the_recorded_digests(threads):
    pytest.importorskip("sklearn")
    experiment = load("network")
    settings = experiment.Settings.from_json(json.loads((RECORD / "config.json").read_text())["config"])
    settings = settings.change(["steps=3", f"threads_tried={threads}", "ways=", "controls=", "torch_threads="])
    (unit,) = experiment.units(settings)
    result, _ = experiment.compute(settings, unit, experiment.prepare(settings, str(FASHION)), None, lambda share: None)
    assert result["digests"] == summary()["digests"][:3]
