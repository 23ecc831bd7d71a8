"""Pictures painted by programs: one file a picture, each with ``paint()``, which returns the canvas."""
