"""Trained weights: NAME.keras holds a network, NAME.json its record (settings, data, time and checksum)."""

import json
import math
import shutil
import warnings
from pathlib import Path

import keras

from common.files import atomic_path, sha256_of
from common.terminal import reason
from training.loop import read_log
from training.settings import completed

CONFIGURATIONS = ("parameters", "settings", "sizes")  # keys in the records of Conv-TasNets, decoders, separators


class WeightsError(ValueError):
    """Trained weights that cannot be used. The message is one line that names the file and says what to do."""


def load_checked(path, advice="make train", kind=keras.Model):
    """Load a network if it is the one that its record describes.

    The caller has imported the network's class: safe mode builds registered classes only, and runs no code of the file.

    Parameters
    ----------
    path : str or Path
        of both files, without their endings.
    advice : str
        command that writes the files; the messages name it.
    kind : type
        class of the network.

    Returns
    -------
    model : keras.Model
    record : dict

    Raises
    ------
    WeightsError
        if a file is missing or damaged, or if the network is not the one of the record.
    """
    file, record_file = files_of(path)
    for needed in (file, record_file):
        if not needed.exists():
            raise WeightsError(f"{needed}: no such file; `{advice}` writes it")
    restore = f"restore both files from the repository or run `{advice}`"
    try:
        record = json.loads(record_file.read_text())
        expected, seconds = record["sha256"], float(record.get("training", {"seconds": 1.0})["seconds"])
        config = next((dict(record[key]) for key in CONFIGURATIONS if key in record), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{record_file}: damaged; {restore}") from error
    if not 0 < seconds < math.inf:
        raise WeightsError(f"{record_file}: expected crops of more than 0 s, got {seconds} s; {restore}")
    if sha256_of(file) != expected:
        raise WeightsError(f"{file}: checksum differs from {record_file.name}; {restore}")
    try:
        with warnings.catch_warnings():
            # Keras goes on with random weights if building was interrupted, and only warns
            warnings.filterwarnings("error", ".*cannot be built automatically")
            model = keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever a strange archive made of its parts
        raise WeightsError(f"{file}: not a network that this program saved; {restore}") from error
    if not isinstance(model, kind):
        raise WeightsError(f"{file}: expected a {kind.__name__}, got a {type(model).__name__}; {restore}")
    if config is not None and completed(config, model.sizes) != model.sizes.to_dict():
        raise WeightsError(f"{file}: a network of other sizes than {record_file.name} says; {restore}")
    return model, record


def files_of(path):
    """The network's file and its record's, of a path without their endings."""
    return [Path(path).with_name(Path(path).name + end) for end in (".keras", ".json")]


def find_weights(name, *places, advice="choose"):
    """The file of a trained network.

    Parameters
    ----------
    name : str
        a .keras file itself, or what the messages call the network.
    *places : Path
        where a network of that name may be: the exported one, the best one of a run.
    advice : str
        how the message goes on, up to an option.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        if there is none.
    """
    for path in (Path(name), *places):
        if path.is_file():
            return path
    expected = "a .keras file or the name of a network trained here"
    random = '--start-from "" for random initial weights'
    raise FileNotFoundError(f"start_from: expected {expected}, got {name}; {advice} {random}")


def initialise_from(model, path, may_differ=(), columns=lambda model: {}):
    """Give a network the weights of another one of its configuration; what belongs to a source, by its name.

    Parameters
    ----------
    model : keras.Model
        built; sources that the other one lacks keep their weights.
    path : str or Path
        .keras file of the other one.
    may_differ : tuple of str
        fields of the configuration in which the two may differ.
    columns : callable
        network → {attribute of a layer: {part: its outputs}}; those of the same part are copied.

    Raises
    ------
    ValueError
        if the file is no network, or one of another configuration.
    """
    try:
        other = keras.saving.load_model(path, compile=False, safe_mode=True)
        theirs = other.sizes.to_dict()
    except Exception as error:  # Keras raises whatever a damaged archive made of its parts
        raise ValueError(f"start_from: {path}: expected a trained network that fits ({reason(error)[:80]})") from error
    for name, value in model.sizes.to_dict().items():
        if theirs.get(name) != value and name not in may_differ:
            raise ValueError(f"start_from: {path}: expected {name} {value}, got {theirs.get(name)}")
    ours, theirs = columns(model), columns(other)
    by_part = {id(variable) for layer in ours for variable in getattr(model, layer).weights}
    for variable, value in zip(model.weights, other.weights):
        if id(variable) not in by_part:
            variable.assign(value)
    for layer, parts in ours.items():
        for variable, value in zip(getattr(model, layer).weights, getattr(other, layer).weights):
            new, old = (keras.ops.convert_to_numpy(each).copy() for each in (variable, value))
            for part in parts.keys() & theirs[layer].keys():
                new[..., parts[part]] = old[..., theirs[layer][part]]
            variable.assign(new)


def export(model, record, run, path, curve):
    """Write trained weights, their record, and the curve of the run that they are from.

    Parameters
    ----------
    model : keras.Model
        not compiled: no optimiser's state is written.
    record : dict
        to which are added what `loop.keep_settings` kept of the run, the seconds that it took and the checksum.
    run : Path
        its folder.
    path : Path
        of weights and record, without their endings.
    curve : Path
        of the curve.

    Returns
    -------
    list of Path
        the files.
    """
    log, kept = read_log(run / "log.csv"), json.loads((run / "settings.json").read_text())
    record = record | {name: value for name, value in kept.items() if name not in ("sizes", "training")}
    record |= {"weights": model.count_params(), "seconds": float(log[-1]["seconds"])}
    if shares := [float(row["data_share"]) for row in log if row.get("data_share")]:
        record["data_share"] = max(shares)  # of an epoch's time in which batches were made
    files = [*files_of(path), curve]
    with atomic_path(files[0]) as temporary:
        model.save(temporary)
    with atomic_path(files[1]) as temporary:
        temporary.write_text(json.dumps(record | {"sha256": sha256_of(files[0])}, indent=1) + "\n")
    with atomic_path(curve) as temporary:
        shutil.copyfile(run / "log.csv", temporary)
    return files
