"""The loop that all trainings share, on a network of five weights: exact steps, resuming, damaged files, patience."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from tests.helpers import noise, refused
from training import loop
from training.crops import SeededCrops
from training.schedule import adam, cosine, hold_then_cosine
from training.settings import Training, plain

pytestmark = pytest.mark.usefixtures("uncompiled")
SHORT = Training(seconds=1.0, steps=12, steps_per_epoch=5, warmup=2, learning_rate=0.1)


@dataclasses.dataclass(frozen=True)
class Config:
    inputs: int = 4
    to_dict = plain


class Noise(SeededCrops):
    def __init__(self, training, wrong=()):
        super().__init__(["a song"], [10], 4, training)
        self.wrong = dict(wrong)

    def batch(self, rng, index):
        x = rng.standard_normal((self.training.batch_size, 4)).astype(np.float32)
        x[0, 2] = self.wrong.get((self.epoch, index), x[0, 2])
        return x, x[:, :1] - 0.5 * x[:, 1:2] + 0.3


def train(run, training=SHORT, schedule=hold_then_cosine, wrong=(), held_out=0.0, **options):
    """A trained network and its log; `wrong` are inputs by (epoch, number in the epoch)."""

    def build():
        model = keras.Sequential([keras.layers.Dense(1)])
        model.build((None, 4))
        built.append(loop.compiled(model, adam(training, schedule), "mse", by_xla=False))
        return model

    built, x = [], noise(4, 4, seed=1)
    loop.train(build, Config(), training, Noise(training, wrong), (x + held_out, x[:, :1]), run, **options)
    return built[0], loop.read_log(run / "log.csv")


@pytest.mark.parametrize("schedule", [cosine, hold_then_cosine])
def test_as_many_steps_as_asked_for_and_the_schedule_reaches_its_end(tmp_path, schedule):
    """12 steps in epochs of 5: the last one has 2."""
    model, log = train(tmp_path, schedule=schedule)
    assert int(model.optimizer.iterations) == 12
    assert [row["step"] for row in log] == ["5", "10", "12"]
    assert float(log[-1]["learning_rate"]) == pytest.approx(0, abs=1e-8) and float(log[0]["learning_rate"]) > 0.05
    assert all(float(row["seconds"]) >= float(row["data_share"]) >= 0 for row in log)


def test_a_stopped_run_resumes_with_the_same_curve_and_may_get_more_steps(tmp_path, monkeypatch):
    _, whole = train(tmp_path / "whole")
    written = keras.callbacks.CSVLogger.on_epoch_end

    def stop(self, epoch, logs=None):
        written(self, epoch, logs)
        if epoch == 1:  # the row is written, the checkpoint is not
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(keras.callbacks.CSVLogger, "on_epoch_end", stop)
        train(tmp_path / "stopped")
    assert len(loop.read_log(tmp_path / "stopped" / "log.csv")) == 2
    model, log = train(tmp_path / "stopped")
    assert int(model.optimizer.iterations) == 12
    for column in ("epoch", "step", "loss", "val_loss", "learning_rate"):
        assert [row[column] for row in log] == [row[column] for row in whole]
    model, _ = train(tmp_path / "stopped")  # nothing is left to do
    assert int(model.optimizer.iterations) == 0
    model, log = train(tmp_path / "stopped", dataclasses.replace(SHORT, steps=19))
    assert int(model.optimizer.iterations) == 19 and [row["step"] for row in log] == ["5", "10", "12", "17", "19"]
    assert float(log[3]["seconds"]) > float(log[2]["seconds"])
    settings = json.loads((tmp_path / "stopped" / "settings.json").read_text())
    assert settings["changes"] == [{"epochs": 3, "steps": 12}]


@pytest.mark.parametrize(
    "wrong, held_out, step",
    [
        ({(1, 2): np.nan}, 0, 8),
        ({(1, 4): np.inf}, 0, 10),
        ({(1, 0): 1e30}, 0, 6),
        ({(0, 0): np.nan}, 0, 1),
        ({}, np.nan, 5),
    ],
)
def test_a_loss_that_is_not_finite_stops_at_its_step_and_the_run_resumes(tmp_path, wrong, held_out, step):
    name = "loss" if wrong else "val_loss"
    words = f"{name}: expected a finite number, got (nan|inf) at step {step}, after {(step - 1) // 5} whole epochs"
    refused(words, train, tmp_path / "run", wrong=wrong, held_out=held_out)
    assert [row["step"] for row in loop.read_log(tmp_path / "run" / "log.csv")] == ["5"] * ((step - 1) // 5)
    assert loop.readable(tmp_path / "run" / "best.keras") == (step > 5)
    _, log = train(tmp_path / "run")
    assert [row["loss"] for row in log] == [row["loss"] for row in train(tmp_path / "whole")[1]]


def test_fewer_steps_than_an_epoch_has_are_trained_and_kept(tmp_path):
    model, log = train(tmp_path, dataclasses.replace(SHORT, steps=3))
    assert int(model.optimizer.iterations) == 3 and [row["step"] for row in log] == ["3"]
    (tmp_path / "log.csv").unlink()  # its checkpoint is of no epoch then
    assert [row["step"] for row in train(tmp_path, dataclasses.replace(SHORT, steps=3))[1]] == ["3"]
    (tmp_path / "best.keras").unlink()
    refused("best.keras: missing, and no epoch is left", train, tmp_path, dataclasses.replace(SHORT, steps=3))


def test_a_run_that_was_killed_before_its_first_row_starts_again(tmp_path):
    (tmp_path / "log.csv").touch()
    assert [row["step"] for row in train(tmp_path)[1]] == ["5", "10", "12"]


def test_a_log_from_before_a_column_existed_keeps_its_columns(tmp_path):
    train(tmp_path, dataclasses.replace(SHORT, steps=10))
    log = tmp_path / "log.csv"
    rows = [{name: row[name] for name in row if name not in ("step", "data_share")} for row in loop.read_log(log)]
    log.write_text("\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]) + "\n")
    model, after = train(tmp_path)
    assert int(model.optimizer.iterations) == 12 and len(after) == 3 and set(after[2]) == set(rows[0])


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_run_whose_files_were_cut_resumes_or_says_what_to_do(tmp_path, capsys):
    _, whole = train(tmp_path)
    backup, best = tmp_path / "backup" / "latest.weights.h5", tmp_path / "best.keras"

    cut(backup)  # the last epoch is repeated, from the checkpoint before
    _, log = train(tmp_path)
    assert [row["loss"] for row in log] == [row["loss"] for row in whole]
    (tmp_path / "backup" / "training_metadata.json").write_text('{"epoch": 2}')
    cut(best)
    train(tmp_path)
    assert "best.keras: damaged; the best of the epochs to come" in capsys.readouterr().err
    changed = bytearray(best.read_bytes())
    changed[len(changed) // 2] ^= 1  # one bit; no epoch is left to replace it
    best.write_bytes(changed)
    refused("best.keras: damaged, and no epoch is left; delete", train, tmp_path)
    cut(backup)
    backup.with_name("latest.weights.h5.bkp").write_bytes(b"")
    refused("latest.weights.h5: damaged; delete", train, tmp_path)


def test_early_stopping_counts_epochs_since_the_best_also_those_before_a_resume(tmp_path):
    rows = [{"val_snr": value} for value in ("-1.0", "-2.0", "-1.5")]
    assert [loop.BestEpoch(None, epochs, rows, "val_snr").exhausted for epochs in (1, 2)] == [True, False]
    still = dataclasses.replace(SHORT, steps=100, learning_rate=1e-9, patience=2)
    _, log = train(tmp_path, still)
    assert 3 <= len(log) < 10 and train(tmp_path, still)[1] == log


def test_settings_of_a_run_must_stay_and_may_lack_newer_fields(tmp_path):
    loop.keep_settings(tmp_path, Config(), SHORT, facts={"training_minutes": 1.5})
    path = tmp_path / "settings.json"
    saved = json.loads(path.read_text())
    assert saved["training_minutes"] == 1.5 and saved["changes"] == []
    del saved["training"]["patience"]
    path.write_text(json.dumps(saved))
    loop.keep_settings(tmp_path, Config(), SHORT)
    for config, training in ((Config(5), SHORT), (Config(), dataclasses.replace(SHORT, seed=1))):
        refused("other settings", loop.keep_settings, tmp_path, config, training)
    for damaged in ("", "{}", "[1]"):
        path.write_text(damaged)
        refused("settings.json: damaged", loop.keep_settings, tmp_path, Config(), SHORT)


def test_crops_are_the_same_for_the_same_seed_and_epoch_and_songs_are_long_enough():
    crops, again = Noise(SHORT), Noise(SHORT)
    again.epoch = 1
    batches = [crops[0][0], crops[1][0], again[0][0]]
    assert np.array_equal(Noise(SHORT)[0][0], batches[0]) and len({batch.tobytes() for batch in batches}) == 3
    refused(r"at least 4 samples each, got 2, too short: \[1\]", SeededCrops, ["a", "b"], [10, 3], 4, SHORT)
