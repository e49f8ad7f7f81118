"""ddsp 3.7.0 as a peer: it installs beside no current TensorFlow, so it answers from a process of its own.

`Peer` starts that process and asks it to compute one thing once; so ours and theirs can run in turn, as
`timing.in_turn` wants. Its Python is the one that `DDSP_PYTHON` names, or that of the environment that `make parity`
builds. Run with that Python, this module is the process: `python -m benchmarks.ddsp_peer INPUTS.npz`.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.timing import peak_mb

ROOT = Path(__file__).resolve().parent.parent
BATCH, SECONDS, RATE, HOP, HARMONICS, BANDS = 4, 4, 16000, 64, 60, 65
SAMPLES, FRAMES = SECONDS * RATE, SECONDS * RATE // HOP
ROOM = 48000
"""Taps of the room in ddsp's solo instrument, whose other sizes are `autoencoder.PRESETS["solo"]`."""
NOT_NEEDED = (
    "google.cloud", "hypertune", "matplotlib", "mir_eval", "note_seq", "tensorflow_datasets",
    "matplotlib.gridspec", "matplotlib.patches", "matplotlib.pyplot", "matplotlib.ticker",
)  # fmt: skip
"""Packages that the peer's environment lacks, and that no training step calls."""
SIGNALS = {
    # name: arrays that its gradient is taken of, others that it takes, gradient of a loss with respect to it
    "filtered_noise": (("magnitudes",), ("noise",), "upstream"),
    "harmonic_synthesis": (("amplitude", "distribution", "f0"), (), "upstream"),
    "spectral_loss": (("audio",), ("target",), ""),
}
"""What both sides compute, with names of the arrays of `problem`; "" for a signal that is a loss itself."""


def problem():
    """Possible outputs of a decoder for a batch of 4 s, by name, and the gradient of a loss with respect to sound."""
    rng = np.random.default_rng(0)
    vibrato = 2 ** (0.5 / 12 * np.sin(2 * np.pi * 5.5 * np.arange(FRAMES) / 250))
    arrays = {
        "amplitude": rng.normal(size=(BATCH, FRAMES, 1)),
        "distribution": rng.normal(size=(BATCH, FRAMES, HARMONICS)),
        "f0": (np.array([82.0, 110.0, 220.0, 440.0])[:, None] * vibrato)[..., None],
        "magnitudes": rng.normal(size=(BATCH, FRAMES, BANDS)),
        "noise": rng.uniform(-1, 1, (BATCH, SAMPLES)),
        "target": 0.1 * rng.normal(size=(BATCH, SAMPLES)),
        "audio": 0.1 * rng.normal(size=(BATCH, SAMPLES)),
        "upstream": rng.normal(size=(BATCH, SAMPLES)),
        "decibels": rng.uniform(-60, -20, (BATCH, FRAMES, 1)),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


class Peer(contextlib.ExitStack):
    """ddsp in a process of its own; a context manager. What it can compute has the names of `functions`.

    Raises
    ------
    ModuleNotFoundError
        where no environment with ddsp 3.7.0 is found.
    """

    def __init__(self):
        python = Path(os.environ.get("DDSP_PYTHON", ROOT / ".venv-parity" / "bin" / "python")).expanduser()
        if not python.exists():
            raise ModuleNotFoundError("no environment with ddsp 3.7.0 (`make parity` builds one)")
        super().__init__()
        self.folder = Path(self.enter_context(tempfile.TemporaryDirectory()))
        np.savez(self.folder / "inputs.npz", **problem())
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        process = subprocess.Popen(
            [python, "-m", "benchmarks.ddsp_peer", self.folder / "inputs.npz"],
            cwd=ROOT,
            env=kept | {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.process = self.enter_context(process)

    def ask(self, *words):
        """Send one line, wait for the answer; "run NAME" computes something once.

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

    def peak_mb(self, name):
        """Memory in MB that `name` takes; see `timing.peak_mb`."""
        return float(self.ask("peak", name))

    def results(self, name):
        """What `name` gives, as a list of arrays."""
        self.ask("save", name, self.folder / "results.npz")
        with np.load(self.folder / "results.npz") as file:
            return list(dict(file).values())


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


# --- in the process of the peer --------------------------------------------------------------------------------------


def functions(arrays):
    """What can be asked for: name to a function without arguments; @xla behind a name has XLA compile it."""
    import types

    sys.modules["crepe"] = types.ModuleType("crepe")  # ddsp imports it at the top, and uses it only to track pitch
    from ddsp import core, losses, synths

    harmonic = synths.Harmonic(n_samples=SAMPLES, sample_rate=RATE)
    loss = losses.SpectralLoss(mag_weight=1.0, logmag_weight=1.0)

    def exact(amplitude, distribution, f0):
        """Their harmonic synthesis with frequencies and phases in float64: in float32 they drift by a radian in 4 s."""
        import tensorflow as tf

        controls = harmonic.get_controls(amplitude, distribution, f0)
        amplitudes = controls["amplitudes"] * controls["harmonic_distribution"]
        amplitudes = core.resample(amplitudes, SAMPLES, method="window")
        multiples = tf.cast(core.resample(f0, SAMPLES), tf.float64) * np.arange(1, HARMONICS + 1)
        single, core.tf_float32 = core.tf_float32, lambda x: tf.cast(x, tf.float64)
        sound = core.oscillator_bank(multiples, amplitudes)
        core.tf_float32 = single
        return tf.cast(sound, tf.float32)

    signals = {
        "harmonic_synthesis@exact": exact,
        "harmonic_synthesis": harmonic,
        "filtered_noise": lambda magnitudes, noise: core.frequency_filter(
            noise, core.exp_sigmoid(magnitudes - 5.0), window_size=257
        ),
        "spectral_loss": lambda audio, target: loss(target, audio),
    }
    graphs = {}
    for name, signal in signals.items():
        plain, at, variant = name.partition("@")
        arguments, given, upstream = SIGNALS[plain]
        for suffix in (at + variant,) if variant else ("", "@xla"):
            options = {"given": given, "xla": suffix == "@xla"}
            graphs[plain + suffix] = compiled(arrays, signal, arguments, **options)
            graphs[f"{plain}_grad{suffix}"] = compiled(arrays, signal, arguments, upstream=upstream, **options)
    return graphs


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

    splits = (("amps", 1), ("harmonic_distribution", HARMONICS), ("noise_magnitudes", BANDS))
    harmonic = synths.Harmonic(n_samples=SAMPLES, sample_rate=RATE, name="harmonic")
    dag = [
        (harmonic, ["amps", "harmonic_distribution", "f0_hz"]),
        (
            synths.FilteredNoise(n_samples=SAMPLES, window_size=0, initial_bias=-5.0, name="filtered_noise"),
            ["noise_magnitudes"],
        ),
        (processors.Add(name="add"), ["filtered_noise/signal", "harmonic/signal"]),
        (effects.Reverb(reverb_length=ROOM, trainable=True, name="reverb"), ["add/signal"]),
    ]
    model = models.Autoencoder(
        preprocessor=preprocessing.F0LoudnessPreprocessor(time_steps=FRAMES, compute_loudness=False),
        decoder=decoders.RnnFcDecoder(512, "gru", 512, 3, input_keys=("ld_scaled", "f0_scaled"), output_splits=splits),
        processor_group=processors.ProcessorGroup(dag=dag),
        losses=[losses.SpectralLoss(loss_type="L1", mag_weight=1.0, logmag_weight=1.0)],
    )
    optimizer = tf.keras.optimizers.Adam(1e-4)
    given = {
        "f0_hz": tf.constant(arrays["f0"]),
        "loudness_db": tf.constant(arrays["decibels"]),
        "audio": tf.constant(arrays["target"]),
    }

    @tf.function
    def graph(batch):
        with tf.GradientTape() as tape:
            _, losses = model(batch, return_losses=True, training=True)
        gradients = tape.gradient(losses["total_loss"], model.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, 3.0)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return losses["total_loss"]

    def step():
        loss = np.asarray(graph(given))  # builds the network, the first time
        return [loss, np.asarray(sum(int(np.prod(w.shape)) for w in model.trainable_variables))]

    return step


def main():
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    with np.load(sys.argv[1]) as file:
        arrays = dict(file)
    graphs, later = functions(arrays), {"autoencoder_train": solo}
    for line in sys.stdin:
        command, name, *rest = line.split()
        try:
            if name in later:  # only when it is asked for
                graphs[name] = later.pop(name)(arrays)
            text = peak_mb(graphs[name]) if command == "peak" else ""
            if command == "run":
                graphs[name]()
            elif command == "save":
                np.savez(rest[0], *graphs[name]())
            print("done", text, file=answers, flush=True)
        except Exception as reason:  # whatever it is, the one who asked must hear of it
            print("failed", " ".join(str(reason).split())[:200], file=answers, flush=True)


if __name__ == "__main__":
    main()
