"""Pitch: trackers, CREPE on Keras 3, and how they are evaluated (chapter 7)."""
