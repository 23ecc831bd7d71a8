"""Scripts that write the golden files of `tests/store/files` with the formats' own writers."""
