"""Write tests/store/files/*.caffemodel, with the code that protoc makes of tests/store/caffe.proto.

pip install grpcio-tools numpy
python -m tools.weight_files.write_caffemodel [FOLDER]
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import tempfile
from pathlib import Path
from types import ModuleType

TESTS = Path(__file__).resolve().parents[2] / "tests" / "store"
sys.path.insert(0, str(TESTS))

from golden_graphs import FILES, batch_norm_arrays, golden_arrays  # noqa: E402

V1_TYPES = {"conv": 4, "fc": 14}


def compile_schema() -> ModuleType:
    """Return the module that protoc makes of the schema."""
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        if protoc.main(["protoc", f"-I{TESTS}", f"--python_out={folder}", str(TESTS / "caffe.proto")]):
            raise SystemExit("protoc failed")
        sys.path.insert(0, folder)
        return importlib.import_module("caffe_pb2")


def layers_of(arrays: dict) -> dict[str, list]:
    """Return layer -> its arrays, in the order of the blobs."""
    layers: dict[str, list] = {}
    for name, array in arrays.items():
        layers.setdefault(name.rsplit(".", 1)[0], []).append(array)
    return layers


def old_blob(blob, array) -> None:
    """Fill a blob as it was until 2014: four axes, the front ones filled up with ones."""
    blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - array.ndim) + array.shape
    blob.data.extend(array.ravel().tolist())


def new_blob(blob, array) -> None:
    """Fill a blob as it has been since."""
    blob.shape.dim.extend(array.shape)
    blob.data.extend(array.ravel().tolist())


def write_new(pb: ModuleType, path: Path) -> None:
    """Layers in field 100, an in-place ReLU behind each, a pair of BatchNorm and Scale at the end."""
    net = pb.NetParameter(name="golden")
    net.layer.add(name="data", type="Input", top=["data"])
    last = "data"
    for layer, arrays in layers_of(golden_arrays()).items():
        op = "InnerProduct" if layer.startswith("fc") else "Convolution"
        added = net.layer.add(name=layer, type=op, bottom=[last], top=[layer])
        for array in arrays:
            new_blob(added.blobs.add(), array)
        param = added.inner_product_param if op == "InnerProduct" else added.convolution_param
        param.num_output = arrays[0].shape[0]
        if len(arrays) == 1:
            param.bias_term = False
        net.layer.add(name=f"relu_{layer}", type="ReLU", bottom=[layer], top=[layer])
        last = layer
    norm = net.layer.add(name="norm", type="BatchNorm", bottom=[last], top=[last])
    scale, shift, mean, variance = batch_norm_arrays()
    for array in (mean, variance, scale[:1]):
        new_blob(norm.blobs.add(), array)
    scaling = net.layer.add(name="scale", type="Scale", bottom=[last], top=[last])
    for array in (scale, shift):
        new_blob(scaling.blobs.add(), array)
    path.write_bytes(net.SerializeToString(deterministic=True))


def write_v1(pb: ModuleType, path: Path) -> None:
    """Layers in field 2, old blobs; layers without weights whose name comes more than once."""
    net = pb.NetParameter(name="golden", input=["data"], input_dim=[1, 3, 8, 8])
    last = "data"
    for layer, arrays in layers_of(golden_arrays()).items():
        number = V1_TYPES["fc" if layer.startswith("fc") else "conv"]
        added = net.layers.add(name=layer, type=number, bottom=[last], top=[layer], blobs_lr=[1, 2])
        for array in arrays:
            old_blob(added.blobs.add(), array)
        param = added.inner_product_param if number == 14 else added.convolution_param
        param.num_output = arrays[0].shape[0]
        if len(arrays) == 1:
            param.bias_term = False
        net.layers.add(name="relu", type=18, bottom=[layer], top=[layer])
        last = layer
    path.write_bytes(net.SerializeToString(deterministic=True))


def write_v0(pb: ModuleType, path: Path) -> None:
    """Layers of 2013: what they are stands one level deeper."""
    net = pb.NetParameter(name="golden", input=["data"])
    last = "data"
    for layer, arrays in layers_of(golden_arrays()).items():
        added = net.layers.add(bottom=[last], top=[layer])
        added.layer.name, added.layer.type = layer, "innerproduct" if layer.startswith("fc") else "conv"
        added.layer.num_output = arrays[0].shape[0]
        added.layer.biasterm = len(arrays) == 2
        for array in arrays:
            old_blob(added.layer.blobs.add(), array)
        last = layer
    path.write_bytes(net.SerializeToString(deterministic=True))


def write_rare(pb: ModuleType, path: Path) -> None:
    """A matrix of float64 stored (in, out), a kernel of floats that are not packed."""
    arrays = golden_arrays()
    net = pb.NetParameter()
    added = net.layer.add(name="fc6", type="InnerProduct", bottom=["data"])
    added.inner_product_param.transpose = True
    for array in (arrays["fc6.weight"].T, arrays["fc6.bias"]):
        blob = added.blobs.add()
        blob.shape.dim.extend(array.shape)
        blob.double_data.extend(array.ravel().tolist())
    # The library would pack the floats again, so this layer is put together by hand.
    unpacked = pb.UnpackedBlob(data=arrays["conv1_1.weight"].ravel().tolist())
    unpacked.shape.dim.extend(arrays["conv1_1.weight"].shape)
    blob = unpacked.SerializeToString(deterministic=True)
    layer = pb.LayerParameter(name="conv1_1", type="Convolution").SerializeToString()
    layer += b"\x3a" + varint(len(blob)) + blob
    net = net.SerializeToString(deterministic=True)
    path.write_bytes(net + b"\xa2\x06" + varint(len(layer)) + layer)


def varint(value: int) -> bytes:
    """Return the bytes of a varint."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def main() -> None:
    """Write the files and print what wrote them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FILES
    folder.mkdir(parents=True, exist_ok=True)
    pb = compile_schema()
    write_new(pb, folder / "new.caffemodel")
    write_v1(pb, folder / "v1.caffemodel")
    write_v0(pb, folder / "v0.caffemodel")
    write_rare(pb, folder / "rare.caffemodel")
    for library in ("grpcio-tools", "protobuf", "numpy"):
        print(library, importlib.metadata.version(library))


if __name__ == "__main__":
    main()
