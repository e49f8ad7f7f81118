"""Clips show the median song at one gain, and are up to date as long as they are those that were written."""

from dataclasses import replace

from common import results
from common.places import HERE
from experiments import clips, run
from experiments.catalogue import SYSTEMS


def test_clips_show_the_median_song_at_one_gain(tiny):
    systems = [replace(SYSTEMS["mixture"], label="mixture again")]
    run.run(tiny, systems)
    index = results.read(clips.write_clips(tiny, systems))
    assert index["config"]["song"] == clips.typical_song("tiny", "mixture")
    assert list(index["rows"]) == ["mixture", *tiny.sources] and list(index["rows"]["bass"]) == [
        "true",
        "mixture again",
    ]
    folder = HERE.results / "audio" / "tiny"
    assert clips.write_clips(tiny, systems) is None  # up to date
    (folder / "mixture-true.mp3").write_bytes(b"damaged")
    assert clips.write_clips(tiny, systems)
    assert sorted(p.name for p in folder.glob("*.mp3")) == sorted(
        file for row in index["rows"].values() for file in row.values()
    )
