"""The player of a page: its script and style, the HTML it grows from, and clips as MP3."""
