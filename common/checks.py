"""One order of words for what is refused: the argument's name, what is expected, and what came."""


def expect(condition, name, expected, got):
    """Raise a ValueError "NAME: expected EXPECTED, got GOT" unless the condition holds.

    Parameters
    ----------
    condition : bool
    name : str
        of the argument.
    expected, got : str or number
    """
    if not condition:
        raise ValueError(f"{name}: expected {expected}, got {got}")
