"""What the figures take where nothing is said: smaller pictures, fewer iterations, and one scale.

A figure is many runs. Sizes are in pixels. No numerical library is imported here: `--help` reads this.
"""

from __future__ import annotations

LAYERS = {"size": 192, "iterations": 60, "scales": 1, "init": "noise", "noise_std": 30.0}
WEIGHTS = {"size": 192, "iterations": 60, "scales": 1, "preset": "paper"}
GRID = {"size": 128, "iterations": 40, "scales": 1}
NETWORKS = {"size": 192, "iterations": 60, "scales": 1}

# Content weight over style weight. The paper's third figure has 1e-5 to 1e-2, of a network rescaled to a mean
# activation of 1. Of VGG-16 as it is (features are larger, and style is of fourth order in them), the sample
# photograph is not to be seen up to 1e-3 with five layers of style, and there at 1e-1.
RATIOS = (1e-3, 1e-2, 1e-1, 1.0)
# Of `networks`; VGG's other configurations look like these two.
NETWORK_NAMES = ("vgg16", "vgg19", "squeezenet", "alexnet", "googlenet", "googlenet-caffe")
