"""x."""
import argparse, importlib, time
from pathlib import Path
from samples import common
p = argparse.ArgumentParser(); p.add_argument("--only"); p.add_argument("--out", default="/tmp/smp/out"); a = p.parse_args()
t = time.time()
im = common.to_image(importlib.import_module("samples." + a.only).paint())
Path(a.out).mkdir(exist_ok=True)
im.save(a.out + f"/{a.only}.jpg", quality=90); im.save(a.out + f"/{a.only}.png")
print(a.only, time.time() - t, Path(a.out + f"/{a.only}.jpg").stat().st_size)
