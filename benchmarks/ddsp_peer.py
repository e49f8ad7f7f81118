"""ddsp 3.7.0 as a peer: it installs beside no current TensorFlow, so it answers from a process of its own.

`Peer` starts that process and asks it to compute one thing once; so ours and theirs can run in turn, as
`timing.in_turn` wants. Its Python is the one that `DDSP_PYTHON` names, or that of the environment that `make parity`
builds. Run with that Python, this module is the process: `python -m benchmarks.ddsp_peer INPUTS.npz`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.timing import peak_mb, record

ROOT = Path(__file__).resolve().parent.parent
BATCH, SECONDS, RATE, HOP, HARMONICS, BANDS = 4, 4, 16000, 64, 60, 65
ROOM = 48000
"""Taps of the room in ddsp's solo instrument, whose other sizes are `autoencoder.PRESETS["solo"]`."""
NOT_NEEDED = ("google.cloud", "hypertune", "matplotlib", "mir_eval", "note_seq", "tensorflow_datasets")
NOT_NEEDED += ("matplotlib.gridspec", "matplotlib.patches", "matplotlib.pyplot", "matplotlib.ticker")
"""Packages that the peer's environment lacks, and that no training step calls."""


def problem():
    """What a decoder may say for a batch of 4 s: arrays by name, and the gradient of a loss with respect to sound."""
    rng = np.random.default_rng(0)
    frames, samples = SECONDS * RATE // HOP, SECONDS * RATE
    vibrato = 2 ** (0.5 / 12 * np.sin(2 * np.pi * 5.5 * np.arange(frames) / 250))
    f0 = np.array([82.0, 110.0, 220.0, 440.0])[:, None] * vibrato
    arrays = {
        "amplitude": rng.normal(size=(BATCH, frames, 1)),
        "distribution": rng.normal(size=(BATCH, frames, HARMONICS)),
        "f0": f0[..., None],
        "magnitudes": rng.normal(size=(BATCH, frames, BANDS)),
        "noise": rng.uniform(-1, 1, (BATCH, samples)),
        "target": 0.1 * rng.normal(size=(BATCH, samples)),
        "audio": 0.1 * rng.normal(size=(BATCH, samples)),
        "upstream": rng.normal(size=(BATCH, samples)),
        "decibels": rng.uniform(-60, -20, (BATCH, frames, 1)),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def python():
    """The interpreter of an environment with ddsp 3.7.0, or None where there is none."""
    found = Path(os.environ.get("DDSP_PYTHON", ROOT / ".venv-parity" / "bin" / "python")).expanduser()
    return found if found.exists() else None


class Peer:
    """ddsp in a process of its own; a context manager. Names of functions are the keys of `functions`.

    Parameters
    ----------
    python : Path
    """

    def __init__(self, python):
        self.folder = tempfile.TemporaryDirectory()
        np.savez(Path(self.folder.name) / "inputs.npz", **problem())
        quiet = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        quiet.pop("PYTHONPATH", None)
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.ddsp_peer", Path(self.folder.name) / "inputs.npz"],
            cwd=ROOT,
            env=quiet,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.folder.cleanup()

    def ask(self, *words):
        """Send one line, wait for the answer.

        Raises
        ------
        RuntimeError
            where the process cannot answer.
        """
        print(*words, file=self.process.stdin, flush=True)
        kind, _, text = self.process.stdout.readline().strip().partition(" ")
        if kind != "done":
            raise RuntimeError(f"ddsp: {text or 'no answer'}; DDSP_PYTHON must name a Python that has ddsp 3.7.0")
        return text

    def run(self, name):
        """A function without arguments that computes `name` once."""
        return lambda: self.ask("run", name)

    def peak_mb(self, name):
        """Memory in MB that `name` takes; see `timing.peak_mb`."""
        return float(self.ask("peak", name))

    def results(self, name):
        """What `name` gives, as a list of arrays."""
        path = Path(self.folder.name) / "results.npz"
        self.ask("save", name, path)
        with np.load(path) as file:
            return [file[key] for key in file.files]


def compiled(arrays, signal, arguments, *, given=(), upstream=None, xla=False):
    """A TensorFlow graph of `signal`, or of it and its gradient, as a function without arguments that gives arrays.

    Parameters
    ----------
    arrays : dict of np.ndarray
        of `problem`.
    signal : callable
    arguments : tuple of str
        names of the arrays that it takes.
    given : tuple of str
        names of the arrays that it takes behind them, and that need no gradient. No constants: a compiler would compute
        what follows from those once and for all.
    upstream : str, optional
        name of the gradient of a loss with respect to the signal; "" for a signal that is a loss itself. With it, the
        gradients of all arguments are computed as well.
    xla : bool
    """
    import tensorflow as tf

    inputs, others = ([tf.constant(arrays[name]) for name in names] for names in (arguments, given))
    above = tf.constant(arrays[upstream]) if upstream else None

    @tf.function(jit_compile=xla)
    def graph(inputs, others, above):
        if upstream is None:
            return (signal(*inputs, *others),)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            out = signal(*inputs, *others)
        return (out, *tape.gradient(out, inputs, output_gradients=above))

    return lambda: [np.asarray(x) for x in graph(inputs, others, above)]


def error(ours, theirs):
    """Largest difference of two lists of arrays, each relative to the largest value of theirs."""
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-12)) for a, b in zip(ours, theirs, strict=True))


def records(name, ours, peer_name, truth=None):
    """Compare ours with a graph of ddsp (the plain name) and with the same compiled by XLA (@xla).

    Parameters
    ----------
    name : str
        of the benchmark; "_grad" behind it is forward and backward.
    ours : callable
        (arrays, upstream or None) to a function as `compiled` returns it.
    peer_name : str
    truth : str, optional
        the variant of the peer that `max_error` is measured from; by default the one that is timed.

    Returns
    -------
    list of dict
        of `timing.record`; empty, with a line on stderr, where ddsp is not installed.
    """
    if python() is None:
        print(f"{name}: no environment with ddsp 3.7.0 (`make parity` builds one); left out", file=sys.stderr)
        return []
    upstream = "" if name.startswith("spectral_loss") else "upstream"
    found = []
    with Peer(python()) as peer:
        for asked, given in ((name, None), (f"{name}_grad", upstream)):
            mine = ours(problem(), given)
            for suffix in ("", "@xla"):
                found.append(
                    record(
                        asked + suffix,
                        mine,
                        peer.run(asked + suffix),
                        peer_name=peer_name + (", XLA" if suffix else ""),
                        max_error=error(mine(), peer.results(asked + (truth or suffix))),
                        peer_peak=lambda theirs=asked + suffix: peer.peak_mb(theirs),
                    )
                )
    return found


# --- in the process of the peer --------------------------------------------------------------------------------------


def functions(arrays):
    """What can be asked for: name to a function without arguments; @xla behind a name has XLA compile it."""
    import types

    sys.modules["crepe"] = types.ModuleType("crepe")  # ddsp imports it at the top, and uses it only to track pitch
    from ddsp import core, losses, synths

    harmonic = synths.Harmonic(n_samples=SECONDS * RATE, sample_rate=RATE)
    loss = losses.SpectralLoss(mag_weight=1.0, logmag_weight=1.0)

    def filtered(magnitudes, noise):
        return core.frequency_filter(noise, core.exp_sigmoid(magnitudes - 5.0), window_size=257)

    def distance(audio, target):
        return loss(target, audio)

    def exact(amplitude, distribution, f0):
        """Their harmonic synthesis with frequencies and phases in float64: in float32 they drift by a radian in 4 s."""
        import tensorflow as tf

        controls = harmonic.get_controls(amplitude, distribution, f0)
        amplitudes = controls["amplitudes"] * controls["harmonic_distribution"]
        amplitudes = core.resample(amplitudes, SECONDS * RATE, method="window")
        multiples = tf.cast(core.resample(f0, SECONDS * RATE), tf.float64) * np.arange(1, HARMONICS + 1)
        single, core.tf_float32 = core.tf_float32, lambda x: tf.cast(x, tf.float64)
        sound = core.oscillator_bank(multiples, amplitudes)
        core.tf_float32 = single
        return tf.cast(sound, tf.float32)

    named = {
        "harmonic_synthesis@exact": (exact, ("amplitude", "distribution", "f0"), (), "upstream"),
        "harmonic_synthesis": (harmonic, ("amplitude", "distribution", "f0"), (), "upstream"),
        "filtered_noise": (filtered, ("magnitudes",), ("noise",), "upstream"),
        "spectral_loss": (distance, ("audio",), ("target",), ""),
    }
    found = {}
    for name, (signal, arguments, given, upstream) in named.items():
        plain, at, variant = name.partition("@")
        for suffix in ("", "@xla") if not variant else (at + variant,):
            xla = suffix == "@xla"
            options = {"given": given, "xla": xla}
            found[plain + suffix] = compiled(arrays, signal, arguments, **options)
            found[f"{plain}_grad{suffix}"] = compiled(arrays, signal, arguments, upstream=upstream, **options)
    return found


def solo(arrays):
    """A training step of ddsp's solo instrument, as its configuration file and its trainer have it.

    Parameters
    ----------
    arrays : dict of np.ndarray
        of `problem`.

    Returns
    -------
    callable
        without arguments; it gives the loss and the number of trained weights.
    """
    from unittest import mock

    import tensorflow as tf

    for name in NOT_NEEDED:  # ddsp.training imports them at the top, for data sets, scores and plots
        sys.modules.setdefault(name, mock.MagicMock())
    from ddsp import effects, losses, processors, synths
    from ddsp.training import decoders, models, preprocessing

    samples = SECONDS * RATE
    splits = (("amps", 1), ("harmonic_distribution", HARMONICS), ("noise_magnitudes", BANDS))
    harmonic = synths.Harmonic(n_samples=samples, sample_rate=RATE, name="harmonic")
    noise = synths.FilteredNoise(n_samples=samples, window_size=0, initial_bias=-5.0, name="filtered_noise")
    room = effects.Reverb(reverb_length=ROOM, trainable=True, name="reverb")
    dag = [
        (harmonic, ["amps", "harmonic_distribution", "f0_hz"]),
        (noise, ["noise_magnitudes"]),
        (processors.Add(name="add"), ["filtered_noise/signal", "harmonic/signal"]),
        (room, ["add/signal"]),
    ]
    model = models.Autoencoder(
        preprocessor=preprocessing.F0LoudnessPreprocessor(time_steps=SECONDS * RATE // HOP, compute_loudness=False),
        decoder=decoders.RnnFcDecoder(512, "gru", 512, 3, input_keys=("ld_scaled", "f0_scaled"), output_splits=splits),
        processor_group=processors.ProcessorGroup(dag=dag),
        losses=[losses.SpectralLoss(loss_type="L1", mag_weight=1.0, logmag_weight=1.0)],
    )
    optimizer = tf.keras.optimizers.Adam(1e-4)
    names = {"f0_hz": "f0", "loudness_db": "decibels", "audio": "target"}
    given = {key: tf.constant(arrays[name]) for key, name in names.items()}

    @tf.function
    def graph(batch):
        with tf.GradientTape() as tape:
            _, found = model(batch, return_losses=True, training=True)
        gradients = tape.gradient(found["total_loss"], model.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, 3.0)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return found["total_loss"]

    def step():
        loss = np.asarray(graph(given))
        return [loss, np.asarray(sum(int(np.prod(w.shape)) for w in model.trainable_variables))]

    return step


def main():
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    with np.load(sys.argv[1]) as file:
        arrays = {name: file[name] for name in file.files}
    known, made = functions(arrays), {"autoencoder_train": solo}
    for line in sys.stdin:
        command, name, *rest = line.split()
        try:
            text = ""
            if name in made:  # only when it is asked for
                known[name] = made.pop(name)(arrays)
            if command == "run":
                known[name]()
            elif command == "peak":
                text = f"{peak_mb(known[name])}"
            elif command == "save":
                np.savez(rest[0], *known[name]())
            print("done", text, file=answers, flush=True)
        except Exception as reason:  # whatever it is, the one who asked must hear of it
            print("failed", " ".join(str(reason).split())[:200], file=answers, flush=True)


if __name__ == "__main__":
    main()
