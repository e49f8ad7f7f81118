"""One recorded note, taken apart: a synthesiser whose controls are themselves what is trained."""

import keras

from ddsp_models.synthesisers import FilteredNoise, Harmonic


@keras.saving.register_keras_serializable("mss")
class OneNote(keras.Model):
    """Harmonics and noise with a free value per frame for every control, to be fitted to one recording by `fit`.

    Parameters
    ----------
    n_frames : int
        of the recording, 250 per second.
    n_harmonics, n_bands : int
        controls of the harmonic oscillator and of the filtered noise.

    Notes
    -----
    Called with f0 (1, n_frames, 1) in Hz, it returns the sound, (1, n_frames · 64) at 16 kHz.
    """

    def __init__(self, n_frames, n_harmonics=40, n_bands=33, **kwargs):
        super().__init__(**kwargs)
        self.sizes = {"n_frames": n_frames, "n_harmonics": n_harmonics, "n_bands": n_bands}
        self.harmonic, self.noise = Harmonic(), FilteredNoise()

    def build(self, shape):
        frames, harmonics, bands = self.sizes.values()
        quiet = keras.initializers.Constant(-1.0)
        self.amplitude = self.add_weight(shape=(1, frames, 1), initializer=quiet, name="amplitude")
        self.distribution = self.add_weight(shape=(1, frames, harmonics), initializer="zeros", name="distribution")
        self.magnitudes = self.add_weight(shape=(1, frames, bands), initializer="zeros", name="magnitudes")

    def controls(self, f0):
        """What is played, as a dict: "amplitude", "distribution", "f0" and "magnitudes" (of the noise)."""
        played = self.harmonic.controls(self.amplitude.value, self.distribution.value, f0)
        return {**played, **self.noise.controls(self.magnitudes.value)}

    def call(self, f0):
        controls = self.controls(f0)
        noise = self.noise.signal(controls.pop("magnitudes"))
        return self.harmonic.signal(**controls) + noise

    def compute_output_shape(self, shape):
        return (shape[0], self.sizes["n_frames"] * self.harmonic.hop_length)

    def get_config(self):
        return {**super().get_config(), **self.sizes}
