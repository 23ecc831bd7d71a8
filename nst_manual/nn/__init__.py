"""Modules: state around kernels. The protocol stands in `nst_manual.nn.module`."""

from nst_manual.nn.avg_pool2d import AvgPool2d
from nst_manual.nn.batch_norm2d import BatchNorm2d
from nst_manual.nn.build import build, configured_weights, load_network, runs_as
from nst_manual.nn.concat import Concat
from nst_manual.nn.conv2d import Conv2d
from nst_manual.nn.dropout import Dropout
from nst_manual.nn.flatten import Flatten
from nst_manual.nn.fuse import Fused, fuse
from nst_manual.nn.global_avg_pool2d import GlobalAvgPool2d
from nst_manual.nn.l2_pool2d import L2Pool2d
from nst_manual.nn.linear import Linear
from nst_manual.nn.local_response_norm import LocalResponseNorm
from nst_manual.nn.max_pool2d import MaxPool2d
from nst_manual.nn.module import Module
from nst_manual.nn.overlay import Overlay
from nst_manual.nn.preprocess import Preprocess
from nst_manual.nn.relu import ReLU
from nst_manual.nn.replication_pad2d import ReplicationPad2d
from nst_manual.nn.sequential import Sequential
from nst_manual.nn.softmax import LogSoftmax, Softmax

__all__ = [
    "AvgPool2d",
    "BatchNorm2d",
    "Concat",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Fused",
    "GlobalAvgPool2d",
    "L2Pool2d",
    "Linear",
    "LocalResponseNorm",
    "LogSoftmax",
    "MaxPool2d",
    "Module",
    "Overlay",
    "Preprocess",
    "ReLU",
    "ReplicationPad2d",
    "Sequential",
    "Softmax",
    "build",
    "configured_weights",
    "fuse",
    "load_network",
    "runs_as",
]
