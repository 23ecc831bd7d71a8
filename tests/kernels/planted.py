"""How a mistake is planted in a copy of a kernel."""

from types import SimpleNamespace


def planted(module, **functions):
    """Return the kernel's functions with some of them replaced."""
    names = [name for name in dir(module) if name == "__name__" or not name.startswith("_")]
    return SimpleNamespace(**{name: getattr(module, name) for name in names} | functions)


def changed(array, index, factor):
    """Return a copy with some elements multiplied by a factor."""
    array = array.copy()
    array[index] *= factor
    return array
