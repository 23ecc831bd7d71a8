"""Is it right: the same computations by other means. The only part of the package that may use autodiff."""
