"""How a mistake is planted in a copy of a kernel."""

from types import SimpleNamespace


def planted(module, **functions):
    """Return the kernel's functions with some of them replaced."""
    names = [name for name in vars(module) if not name.startswith("_")]
    own = {"__name__": module.__name__} | {name: getattr(module, name) for name in names}
    return SimpleNamespace(**own | functions)


def changed(array, index, factor):
    """Return a copy with some elements multiplied by a factor."""
    array = array.copy()
    array[index] *= factor
    return array
