"""Our DDSP and CREPE compared with the originals, number by number."""
