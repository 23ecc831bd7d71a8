"""What the objectives of other frameworks restate: Gram matrices, and total variation of two forms."""

from __future__ import annotations

from nst_manual.config import ObjectiveConfig
from nst_manual.errors import UsageError
from nst_manual.options import flag

_RESTATED = {
    "style_representation": ("gram",),
    "tv_form": ("absolute", "squared"),
    "pooling": ("max", "max-ceil", "average"),
    "padding": ("zeros",),
    "style_combine": ("average",),
    "style_scales": ((1.0,),),
    "laplacian_weight": (0,),
    "style_masks": (),
    "painting_masks": (),
    "content_mask": (),
    "untouched": (),
    "sketch": (False,),
    "normalize_gradients": (False,),
    "size_rule": ("longer",),
    "match_colours": (),
}


def expect_restated(config: ObjectiveConfig) -> None:
    """Raise `UsageError` for options that only our own objective has."""
    for name, values in _RESTATED.items():
        value = config.chosen(name) if hasattr(config.settings, name) else getattr(config, name)
        if value is not None and value not in values:
            raise UsageError(
                flag(name),
                f"{value!r} is not restated in other frameworks",
                f"what is: {', '.join(map(str, values))}" if values else "leave it out",
            )
