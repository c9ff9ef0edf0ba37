"""Stands in for NVIDIA's ``cudnn`` frontend on the software device: the calls that rustorch_py makes, checked as the real one checks them,
computed by the CPU's operators. ``LOG`` holds the products that ran, ``REFUSED`` the operations that have no plan,
``BROKEN`` the plans that fail when they run."""
from enum import Enum

import rustorch_py as rt
import rustorch_py.nn.functional as F

__version__ = "0"
SOFTWARE = True
LOG = []
REFUSED = set()
BROKEN = set()
WORKSPACE = 4096
data_type = Enum("data_type", "NOT_SET HALF BFLOAT16 FLOAT DOUBLE")
heur_mode = Enum("heur_mode", "A B FALLBACK")
numerical_note = Enum("numerical_note", "TENSOR_CORE DOWN_CONVERT_INPUTS NONDETERMINISTIC")
TYPES = {data_type.HALF: (rt.float16, "<f2", 2), data_type.BFLOAT16: (rt.bfloat16, "<i2", 2), data_type.FLOAT: (rt.float32, "<f4", 4)}
# plans as heuristics would rank them; the first rounds float32's inputs
PLANS = [("tensor cores", {numerical_note.TENSOR_CORE}), ("atomic", {numerical_note.NONDETERMINISTIC}), ("halves", {numerical_note.DOWN_CONVERT_INPUTS}), ("plain", set())]
_streams = {}


class cudnnGraphNotSupportedError(RuntimeError):
    pass


def backend_version():
    return 91200


def create_handle():
    handle = 1000 + len(_streams)
    _streams[handle] = None
    return handle


def set_stream(handle, stream):
    if handle not in _streams:
        raise RuntimeError("no such handle")
    _streams[handle] = stream


class Tensor:
    def __init__(self, dim=None, stride=None, data_type=None, uid=None):
        self.dim, self.stride, self.type, self.uid, self.output = dim, stride, data_type, uid, False

    def set_output(self, on):
        self.output = on
        return self

    def set_data_type(self, kind):
        self.type = kind
        return self

    def set_dim(self, dim):
        self.dim = dim
        return self

    def set_stride(self, stride):
        self.stride = stride
        return self

    def set_uid(self, uid):
        self.uid = uid
        return self

    def on_device(self, pointer):
        """The tensor at an address."""
        dtype, code, size = TYPES[self.type]

        class Memory:
            __cuda_array_interface__ = {"shape": tuple(self.dim), "strides": tuple(s * size for s in self.stride), "typestr": code, "data": (pointer, False), "version": 3}
        found = rt.as_tensor(Memory(), device="cuda:0")            # the software device's driver takes all memory for the first one's
        return found.view(dtype) if dtype is rt.bfloat16 else found


def _packed(dim, order):
    strides, step = [0] * len(dim), 1
    for d in order:
        strides[d], step = step, step * dim[d]
    return strides


def _tf32(t):
    return (t.view(rt.int32) + 0x1000 & ~0x1FFF).view(rt.float32)


class pygraph:
    def __init__(self, handle, io_data_type, intermediate_data_type, compute_data_type):
        if handle not in _streams:
            raise RuntimeError("no such handle")
        self.compute, self.tensors, self.operation, self.how, self.inputs, self.outputs = compute_data_type, [], None, {}, {}, []
        self.stage, self.barred, self.built = "described", set(), set()

    def tensor(self, dim, stride, data_type, name, uid):
        found = Tensor(dim, stride, data_type, uid)
        self.tensors.append(found)
        return found

    # ---- operations
    def _add(self, operation, inputs, how, results=1):
        if self.operation:
            raise RuntimeError("the stand-in has one operation a graph")
        self.operation, self.inputs, self.how, self.outputs = operation, inputs, how, [Tensor() for _ in range(results)]
        return self.outputs[0] if results == 1 else self.outputs

    def conv_fprop(self, image, weight, padding, stride, dilation, compute_data_type):
        return self._add("fprop", {"x": image, "w": weight}, {"padding": padding, "stride": stride, "dilation": dilation})

    def conv_dgrad(self, loss, filter, padding, stride, dilation, compute_data_type):
        return self._add("dgrad", {"g": loss, "w": filter}, {"padding": padding, "stride": stride, "dilation": dilation})

    def conv_wgrad(self, image, loss, padding, stride, dilation, compute_data_type):
        return self._add("wgrad", {"x": image, "g": loss}, {"padding": padding, "stride": stride, "dilation": dilation})

    def sdpa(self, q, k, v, generate_stats, attn_scale, use_causal_mask, name, bias=None):
        out = self._add("sdpa", {"q": q, "k": k, "v": v, **({} if bias is None else {"bias": bias})}, {"scale": attn_scale, "causal": use_causal_mask}, 2)
        if not generate_stats:
            self.outputs.pop()
            return out[0], None
        return out

    def sdpa_backward(self, q, k, v, o, dO, stats, attn_scale, use_causal_mask, use_deterministic_algorithm, name, bias=None):
        return self._add("sdpa_backward", {"q": q, "k": k, "v": v, "o": o, "g": dO, "stats": stats, **({} if bias is None else {"bias": bias})},
                         {"scale": attn_scale, "causal": use_causal_mask, "deterministic": use_deterministic_algorithm}, 3)

    # ---- the stages, in the order that the frontend wants them
    def _step(self, before, after):
        if self.stage != before:
            raise RuntimeError(f"{after}: the graph is {self.stage}, not {before}")
        self.stage = after

    def validate(self):
        self._step("described", "validated")
        every = [*self.inputs.values(), *self.outputs]
        if len({t.uid for t in every}) != len(every) or None in [t.uid for t in every]:
            raise RuntimeError("uids")
        for t in every:
            if len(t.dim) != len(t.stride) or min(t.dim) <= 0 or min(t.stride) <= 0 or len(t.dim) not in (4, 5) or t.type not in TYPES:
                raise RuntimeError(f"a tensor of sizes {t.dim}, strides {t.stride}")
        if not all(t.output for t in self.outputs):
            raise RuntimeError("a result is virtual")
        if self.operation in ("fprop", "dgrad", "wgrad"):
            rank = len(every[0].dim)
            if any(len(self.how[n]) != rank - 2 for n in self.how) or len({t.type for t in every}) != 1:
                raise RuntimeError(f"the sizes of {self.operation}")
            if not any(all(t.stride == _packed(t.dim, order) for t in every) for order in ((*range(rank - 1, -1, -1),), (1, *range(rank - 1, 1, -1), 0))):
                raise cudnnGraphNotSupportedError("tensors of two orders")
        elif any(t.dim[-1] % 8 or t.stride[-1] != 1 for t in every if t.type is not data_type.FLOAT):
            raise cudnnGraphNotSupportedError("head sizes")

    def build_operation_graph(self):
        self._step("validated", "an operation graph")

    def create_execution_plans(self, modes):
        self._step("an operation graph", "planned")
        if modes != [heur_mode.A, heur_mode.FALLBACK]:
            raise RuntimeError("modes")

    def deselect_numeric_notes(self, notes):
        assert self.stage == "planned"
        self.barred |= {i for i, (_, has) in enumerate(PLANS) if has & set(notes)}

    def deselect_workspace_greater_than(self, size):
        assert self.stage == "planned" and size > 0

    def check_support(self):
        self._step("planned", "supported")
        if self.operation in REFUSED:
            raise cudnnGraphNotSupportedError(f"No execution plans support the graph.\n{self.operation}")

    def _prepare_variant_pack_template(self):
        self.template = sorted(t.uid for t in [*self.inputs.values(), *self.outputs])

    def _get_variant_pack_uids_sorted(self):
        return self.template

    def get_execution_plan_count(self):
        return len(PLANS)

    def build_plan_at_index(self, index):
        assert self.stage == "supported"
        if index in self.barred:
            raise cudnnGraphNotSupportedError("Deselecting execution plan")
        self.built.add(index)
        self.candidate = index

    def get_plan_name_at_index(self, index):
        return PLANS[index][0]

    def get_workspace_size_plan_at_index(self, index):
        return WORKSPACE if index in self.built else 0

    # ---- computing
    def _execute_with_ptrs(self, pointers, workspace, handle):
        assert type(pointers) is list and len(pointers) == len(self.template)
        self.execute_plan_at_index(dict(zip(self.template, pointers)), workspace, self.candidate, handle)

    def execute_plan_at_index(self, pack, workspace, index, handle):
        every = [*self.inputs.values(), *self.outputs]
        if index not in self.built or set(pack) != {t.uid for t in every} or not workspace or any(p % 16 or type(p) is not int for p in pack.values()):
            raise RuntimeError(f"execute: plan {index} of {self.built}, {pack}, workspace {workspace}")
        if PLANS[index][0] in BROKEN:
            raise RuntimeError("CUDNN_STATUS_EXECUTION_FAILED")
        if _streams[handle] is None:
            raise RuntimeError("execute: the handle has no stream")
        rt.cuda.synchronize()
        with rt.enable_grad():
            given = {name: t.on_device(pack[t.uid]).cpu() for name, t in self.inputs.items()}
            if PLANS[index][1] == {numerical_note.TENSOR_CORE} and self.operation[0] != "s":
                given = {name: _tf32(t) if t.dtype is rt.float32 else t for name, t in given.items()}
            results = getattr(self, "_" + self.operation)(**given)
        with rt.no_grad():
            for t, result in zip(self.outputs, results):
                if list(result.shape) != t.dim:
                    raise RuntimeError(f"{self.operation}: {list(result.shape)} into {t.dim}")
                t.on_device(pack[t.uid]).copy_(result.detach().to(TYPES[t.type][0]))
        rt.cuda.synchronize()
        LOG.append((self.operation, PLANS[index][0], _streams[handle], [t.stride for t in every], self.how))

    def _conv(self, x, w):
        return (F.conv2d if x.ndim == 4 else F.conv3d)(x, w, groups=x.shape[1] // w.shape[1], **self.how)

    def _fprop(self, x, w):
        return (self._conv(x, w),)

    def _dgrad(self, g, w):
        x = rt.zeros(self.outputs[0].dim, dtype=g.dtype, requires_grad=True)
        return rt.autograd.grad(self._conv(x, w), x, g)

    def _wgrad(self, x, g):
        w = rt.zeros(self.outputs[0].dim, dtype=g.dtype, requires_grad=True)
        return rt.autograd.grad(self._conv(x, w), w, g)

    def _scores(self, q, k, bias):
        assert bias is None or bias.isfinite().all()
        scores = q @ k.repeat_interleave(q.shape[1] // k.shape[1], 1).transpose(-1, -2) * self.how["scale"]
        if self.how["causal"]:
            scores = scores.masked_fill(~rt.ones(scores.shape[-2:], dtype=rt.bool).tril(), float("-inf"))
        return scores if bias is None else scores + bias

    def _sdpa(self, q, k, v, bias=None):
        scores = self._scores(q.float(), k.float(), bias)
        return scores.softmax(-1) @ v.float().repeat_interleave(q.shape[1] // v.shape[1], 1), scores.logsumexp(-1, keepdim=True)

    def _sdpa_backward(self, q, k, v, o, g, stats, bias=None):
        q, k, v = [t.float().requires_grad_() for t in (q, k, v)]
        p = (self._scores(q, k, bias) - stats).exp()                # the forward's sums, whoever made them
        p = p / p.sum(-1, keepdim=True).clamp(min=1e-30)
        return rt.autograd.grad(p @ v.repeat_interleave(q.shape[1] // v.shape[1], 1), (q, k, v), g.float())
