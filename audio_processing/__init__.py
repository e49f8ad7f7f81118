"""Chapter 2: sound files, spectrograms, masks. Every other chapter builds on this one."""

from common import terminal

terminal.interrupt_quietly()
