"""Write tests/store/files/*.onnx with onnx, and one with the exporter of PyTorch if that is there.

It needs onnx and numpy, and torch for `torch.onnx`:

    python -m tools.weight_files.write_onnx [FOLDER]
"""

from __future__ import annotations

import importlib.metadata
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "store"))

from golden_graphs import FILES, batch_norm_arrays, golden_arrays  # noqa: E402

OPSETS = [helper.make_opsetid("", 17)]
IMAGE = ["n", "c", "h", "w"]
NORM = ("scale", "shift", "mean", "variance")


def raw(name: str, array: np.ndarray) -> TensorProto:
    """Return an array whose bytes stand in raw_data."""
    return numpy_helper.from_array(array, name)


def typed(name: str, array: np.ndarray) -> TensorProto:
    """Return an array whose values stand in the field of their type."""
    return helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape, array.ravel())


def bfloat16(name: str, array: np.ndarray) -> TensorProto:
    """Return an array cut to bfloat16, its bits in int32_data."""
    tensor = TensorProto(name=name, data_type=TensorProto.BFLOAT16, dims=array.shape)
    tensor.int32_data.extend((array.ravel().view(np.uint32) >> 16).tolist())
    return tensor


def chain(arrays: dict, dtype: int = TensorProto.FLOAT):
    """Return (nodes, input, output) of a graph that uses the arrays one after the other."""
    nodes, last = [], "data"
    for layer in dict.fromkeys(name.rsplit(".", 1)[0] for name in arrays):
        inputs = [f"{layer}.{part}" for part in ("weight", "bias") if f"{layer}.{part}" in arrays]
        if layer == "fc6":
            nodes.append(helper.make_node("Flatten", [last], ["flat"]))
            last = "flat"
        if layer.startswith("fc"):
            nodes.append(helper.make_node("Gemm", [last, *inputs], [f"{layer}_out"], layer, transB=1))
        else:
            nodes.append(helper.make_node("Conv", [last, *inputs], [f"{layer}_out"], layer))
        nodes.append(helper.make_node("Relu", [f"{layer}_out"], [f"{layer}_relu"]))
        last = f"{layer}_relu"
    return (
        nodes,
        helper.make_tensor_value_info("data", dtype, IMAGE),
        helper.make_tensor_value_info(last, dtype, ["n", "c"]),
    )


def save(path: Path, nodes, given, result, tensors, **options) -> None:
    """Put a model together, let onnx check it, write it."""
    graph = helper.make_graph(nodes, "golden", [given, *options.pop("inputs", [])], [result], tensors)
    model = helper.make_model(graph, producer_name="golden", **({"opset_imports": OPSETS} | options))
    model.ir_version = options.get("ir_version", 8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def write_plain(folder: Path) -> None:
    """The same graph with the arrays kept in four ways."""
    arrays = golden_arrays()
    save(folder / "raw.onnx", *chain(arrays), [raw(*pair) for pair in arrays.items()])
    # As files of before 2019: every array is an input of the graph as well.
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, a.shape) for name, a in arrays.items()]
    save(
        folder / "float_data.onnx",
        *chain(arrays),
        [typed(*pair) for pair in arrays.items()],
        inputs=inputs,
        ir_version=3,
        opset_imports=[helper.make_opsetid("", 9)],
    )
    halves = golden_arrays(dtype="float16")
    tensors = [(raw if i % 2 else typed)(*pair) for i, pair in enumerate(halves.items())]
    save(folder / "float16.onnx", *chain(halves, TensorProto.FLOAT16), tensors)
    others = golden_arrays()
    tensors = [bfloat16("bf", others["conv1_1.weight"]), typed("f64", others["fc6.weight"].astype("float64"))]
    tensors += [typed("i64", np.array([-3, 1 << 40])), typed("i8", np.array([-3, 100], "int8"))]
    tensors += [typed("u64", np.array([1 << 63], "uint64")), raw("flag", np.array([True]))]
    one = helper.make_node("Relu", ["data"], ["out"])
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, IMAGE) for name in ("data", "out")]
    save(folder / "types.onnx", [one], *info, tensors)


def write_ways(folder: Path) -> None:
    """Weights that come to their operation by every way that is followed, and one that is computed."""
    arrays = golden_arrays()
    scale, shift, mean, variance = batch_norm_arrays()
    shape = np.array([0, 4, 1, -1])
    tensors = [raw(name, arrays[name]) for name in ("conv1_1.weight", "conv1_1.bias")]
    tensors += [raw(*pair) for pair in zip(NORM, (scale, shift, mean, variance), strict=True)]
    tensors += [
        raw("half", arrays["conv1/1x1.weight"].astype("float16")),
        raw("flat", arrays["conv1/1x1.weight"].reshape(6, 2, 2)),
        raw("shape", shape),
        raw("added", arrays["conv1/1x1.bias"].reshape(1, 6, 1, 1)),
        raw("fc6.weight", np.ascontiguousarray(arrays["fc6.weight"].T)),
        raw("fc6.bias", arrays["fc6.bias"]),
        raw("square", arrays["fc6.weight"][:, :5].copy()),
        raw("fc7.weight", arrays["fc7.weight"]),
    ]
    node = helper.make_node
    constant = raw("", arrays["conv1/1x1.bias"])
    nodes = [
        node("Conv", ["data", "conv1_1.weight", "conv1_1.bias"], ["a"], "conv"),
        node("BatchNormalization", ["a", *NORM], ["b"], "norm", epsilon=1e-3),
        node("Constant", [], ["const_bias"], value=constant),
        node("Cast", ["half"], ["cast"], to=TensorProto.FLOAT),
        node("Identity", ["cast"], ["same"]),
        node("Conv", ["b", "same", "const_bias"], ["c"], "from cast"),
        node("Reshape", ["flat", "shape"], ["kernel"]),
        node("Conv", ["b", "kernel"], ["d"], "from reshape"),
        node("Add", ["d", "added"], ["e"]),
        node("Mul", ["conv1_1.weight", "conv1_1.weight"], ["squared"]),
        node("Conv", ["data", "squared"], ["f"], "computed"),
        node("GlobalAveragePool", ["e"], ["g0"]),
        node("Flatten", ["g0"], ["g"]),
        node("Gemm", ["g", "fc6.weight", "fc6.bias"], ["h"], "in_out"),
        node("MatMul", ["h", "square"], ["i0"], "matmul"),
        node("Add", ["fc6.bias", "i0"], ["i"]),
        node("Transpose", ["fc7.weight"], ["fc7.t"], perm=[1, 0]),
        node("MatMul", ["i", "fc7.t"], ["j"], "transposed"),
        node("MatMul", ["j", "j"], ["k"], "of two computed"),
    ]
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, IMAGE) for name in ("data", "k")]
    save(folder / "ways.onnx", nodes, *info, tensors)


def write_torch(folder: Path) -> bool:
    """A small network through torch.onnx.export, the exporter of TorchScript."""
    try:
        import torch
    except ImportError:
        return False
    arrays = golden_arrays()
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, bias=False),
        torch.nn.BatchNorm2d(4, eps=1e-3),
        torch.nn.ReLU(),
        torch.nn.Conv2d(4, 6, 1),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(6, 5),
    )
    state = dict(zip(net.state_dict(), torch_arrays(arrays), strict=True))
    net.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(),
            torch.zeros(1, 3, 4, 4),
            folder / "torch.onnx",
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )
    onnx.checker.check_model(folder / "torch.onnx")
    return True


def torch_arrays(arrays: dict) -> list[np.ndarray]:
    """Return the values in the order of the network's state."""
    kernel, norm = arrays["conv1_1.weight"], batch_norm_arrays()
    rest = [
        arrays["conv1/1x1.weight"],
        arrays["conv1/1x1.bias"],
        arrays["fc6.weight"][:, :6],
        arrays["fc6.bias"],
    ]
    return [kernel, *norm, np.int64(1), *rest]


def main() -> None:
    """Write the files and print what wrote them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FILES
    folder.mkdir(parents=True, exist_ok=True)
    write_plain(folder)
    write_ways(folder)
    libraries = ["onnx", "protobuf", "numpy"] + ["torch"] * write_torch(folder)
    for library in libraries:
        print(library, importlib.metadata.version(library))


if __name__ == "__main__":
    main()
