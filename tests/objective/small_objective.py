"""An objective that answers in milliseconds: small pictures, smallest network, random weights, float64."""

import numpy as np
from smooth_pictures import random_start, smooth_picture

from nst_manual import Objective

SIZES = {"size": 32, "style_size": 30}
CONTENT, STYLE, OTHER_STYLE = smooth_picture(0, 24, 32), smooth_picture(1, 30, 22), smooth_picture(2, 19, 30)
START = random_start(3, (1, 24, 32, 3))
FEW = {"content_layers": "relu2_1", "style_layers": "relu1_1,relu2_1"}


def objective(styles=STYLE, **options):
    """Return the objective of `CONTENT` and the styles; options replace those above."""
    small = {"network": "vgg11", "weights": "random", "dtype": "float64"} | SIZES | FEW
    return Objective(CONTENT, styles, **(small | options))


def assert_same_answer(one, other, image=START):
    """Two objectives give the same bits."""
    (loss, dx), (other_loss, other_dx) = one(image), other(image)
    assert loss == other_loss
    np.testing.assert_array_equal(dx, other_dx)
