"""torch.save and torch.load: objects, weights_only, map_location, tied storages, views, safe globals, numpy and pickle."""
import copy
import io
import os
import pickle
import tempfile
from collections import OrderedDict

import numpy as np
import torch
import torch.nn as nn

torch.manual_seed(0)


def through(obj, **kwargs):
    buffer = io.BytesIO()
    torch.save(obj, buffer)
    buffer.seek(0)
    return torch.load(buffer, **kwargs)


base = torch.arange(10.0)
a, b = through([base[2:5], base])
print(a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr(), a.storage_offset(), a, b.shape)
t = through(torch.ones(3, 4).t())
print(t.stride(), t.is_contiguous(), through(nn.Parameter(torch.ones(2))), through(torch.ones(1, requires_grad=True)).requires_grad)
mixed = {"a": 1, "b": [1.5, "x", None, True], "c": OrderedDict(k=torch.ones(1, dtype=torch.bfloat16)), "d": (torch.float16, torch.Size([1, 2]), torch.device("cpu")), "e": {1, 2}, "f": torch.tensor([1 + 2j]), "g": torch.tensor([True]), "h": torch.zeros(0, 3)}
print(through(mixed))
print(through(mixed, map_location=torch.device("cpu"))["d"], through(mixed, map_location={"cuda:0": "cpu"})["a"], through(mixed, map_location=lambda s, l: s)["f"])


class Config:
    def __init__(self):
        self.lr = 0.1


try:
    through({"config": Config()})
except pickle.UnpicklingError as e:
    print("UnpicklingError", "weights_only" in str(e))
try:
    through({"config": np.float64(1)})
except pickle.UnpicklingError as e:
    print("UnpicklingError")
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "m.pt")
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    opt = torch.optim.Adam(model.parameters(), lr=0.01, amsgrad=True)
    model(torch.randn(4, 2)).sum().backward()
    opt.step()
    torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "rng": torch.get_rng_state()}, path)
    state = torch.load(path, weights_only=True, mmap=True)
    other = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    print(other.load_state_dict(state["model"]), all(torch.equal(p, q) for p, q in zip(model.state_dict().values(), other.state_dict().values())))
    torch.set_rng_state(state["rng"])
    r = torch.rand(2)
    torch.set_rng_state(state["rng"])
    print(torch.equal(r, torch.rand(2)), state["opt"]["state"][0]["step"], sorted(state["opt"]["state"][0]))
    torch.save(model, path)
    whole = torch.load(path, weights_only=False)
    print(type(whole).__name__, torch.equal(whole[0].weight, model[0].weight), whole.training)
    try:
        torch.load(path)
    except pickle.UnpicklingError:
        print("refused")
    try:
        torch.load(os.path.join(folder, "none.pt"))
    except FileNotFoundError as e:
        print("FileNotFoundError", e.errno)
    with open(path, "wb") as f:
        f.write(b"garbage")
    try:
        torch.load(path)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as e:
        print("garbage refused")
print(pickle.loads(pickle.dumps(torch.arange(3))), copy.deepcopy(model)[0].weight.shape, copy.copy(model)[0] is model[0], pickle.loads(pickle.dumps(torch.float32)), pickle.loads(pickle.dumps(torch.Size([2]))), pickle.loads(pickle.dumps(torch.device("cpu"))))
n = np.arange(6, dtype=np.float32).reshape(2, 3)
s = torch.from_numpy(n)
s[0, 0] = 9
print(n[0, 0], s.numpy() is not n, torch.tensor(n).dtype, torch.as_tensor(n).data_ptr() == n.ctypes.data, np.asarray(s).shape, np.sin(s).dtype, torch.from_numpy(n[:, ::2]).stride(), torch.tensor(np.int64(3)), torch.tensor([np.float32(1.5)]), np.array(torch.ones(2)), torch.ones(2).numpy().dtype, s.__array__().dtype)
try:
    torch.from_numpy(n[::-1])
except ValueError as e:
    print("ValueError", str(e)[:60])
try:
    torch.ones(1, requires_grad=True).numpy()
except RuntimeError as e:
    print("RuntimeError", e)
try:
    torch.from_numpy(np.array(["a"]))
except TypeError as e:
    print("TypeError", str(e)[:50])
print(torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(s)).shape, torch.from_dlpack(n).shape, torch.frombuffer(bytearray(b"\x01\x02"), dtype=torch.uint8))
