"""How the long run counts what it found: a score that is missing, there twice, unknown or wrong is not right."""

from stress.long_run import count_right, key

SCORES = [{"track": track, "source": "drums", "metric": "snr", "value": 3.0} for track in ("a", "b", "c")]
EXPECTED = [key(row) for row in SCORES]


def test_scores_are_right_that_are_there_once_with_the_value_that_the_song_has_alone():
    assert count_right(SCORES, EXPECTED, SCORES[:1]) == 3
    assert count_right(SCORES[1:], EXPECTED, []) == 2
    assert count_right([*SCORES, SCORES[0]], EXPECTED, []) == 2
    assert count_right(SCORES, EXPECTED[1:], []) == 1
    assert count_right(SCORES, EXPECTED, [{**SCORES[0], "value": 3.1}]) == 2
    assert count_right(SCORES[1:], EXPECTED, SCORES[:1]) == 1
