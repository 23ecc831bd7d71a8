"""Pictures: from files to pixels, from pixels to the network and back, and to files.

Everywhere in this folder a picture is an array (H, W, 3), RGB, sRGB, on 0..255; only the network sees
(1, H, W, 3).
"""

from nst_manual.images.metadata import read_metadata
from nst_manual.images.naming import ImageWarning
from nst_manual.images.pixels import NotFiniteError, to_network, to_pil, to_uint8
from nst_manual.images.read import LIMIT_VARIABLE, MAX_PIXELS, read_image
from nst_manual.images.resize import fit, longer_side, resize, scale_to
from nst_manual.images.sheet import contact_sheet
from nst_manual.images.srgb import BACKGROUND
from nst_manual.images.start import MEAN_COLOUR, START_KINDS, start_image
from nst_manual.images.write import OUTPUT_FORMATS, check_output, check_target, encode_image, save_image

__all__ = [
    "BACKGROUND",
    "LIMIT_VARIABLE",
    "MAX_PIXELS",
    "MEAN_COLOUR",
    "OUTPUT_FORMATS",
    "START_KINDS",
    "ImageWarning",
    "NotFiniteError",
    "check_output",
    "check_target",
    "contact_sheet",
    "encode_image",
    "fit",
    "longer_side",
    "read_image",
    "read_metadata",
    "resize",
    "save_image",
    "scale_to",
    "start_image",
    "to_network",
    "to_pil",
    "to_uint8",
]
