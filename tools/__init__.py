"""What builds the notebooks' outputs and the pages. Nothing in the chapters needs it."""

from common import terminal

terminal.interrupt_quietly()
