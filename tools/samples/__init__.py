"""Pictures painted by programs: one file a picture, each with a function ``paint() -> (H, W, 3) floats in 0..1``."""
