"""Chapter 5: neural networks in NumPy, from one neuron to a small separator."""

from common import terminal

terminal.interrupt_quietly()
