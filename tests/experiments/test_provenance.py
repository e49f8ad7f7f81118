"""What trained files are made of: every row's exist, and trainings that others were initialised from count once."""

import json

import pytest

from experiments import provenance
from experiments.catalogue import SYSTEMS
from separate import System


@pytest.mark.parametrize("system", [row for row in SYSTEMS.values() if row.weights], ids=lambda row: row.name)
def test_no_row_names_weights_that_do_not_exist(system):
    assert provenance.missing(system) == []


def test_only_what_learned_nothing_has_no_weights():
    assert {row.kind for row in SYSTEMS.values() if not row.weights and row.name != "hps"} == {"baseline", "oracle"}


def test_training_time_counts_what_a_network_was_initialised_from_once(tmp_path):
    records = {
        "separator-old": {"weights": 10, "seconds": 100.0, "training": {}},
        "separator-new": {"weights": 10, "seconds": 20.0, "training_minutes": 1.0, "training": {"start_from": "old"}},
        "decoder": {"weights": 5, "seconds": 3.0, "training_minutes": 2.0, "training": {"start": "not shipped"}},
        "newer": {"weights": 5, "seconds": 7.0, "training_minutes": 2.0, "training": {"start": "decoder"}},
    }
    for name, record in records.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    weights = tuple(str(tmp_path / f"{name}.keras") for name in ("separator-new", "decoder", "newer"))
    facts = provenance.facts(System("tiny", "tiny", "mask", weights=weights))
    assert facts == {"parameters": 20, "training_minutes": 2.0, "training_seconds": 130.0}
