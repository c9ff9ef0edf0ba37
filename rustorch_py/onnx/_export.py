"""Tracing a model with values, and writing the graph: Note [Export] in __init__.py."""
import builtins
import operator
import os

import numpy as np

from .. import onnx as _face
from .. import tensor as _t
from ..errors import MissingDependencyError
from ..fx import Tracer
from ..fx._names import qualified_name
from ..fx._symbolic_trace import _Patcher
from ..fx.node import map_arg
from ..fx.proxy import Attribute, Proxy
from ..nn import Module
from ..nn.modules.rnn import GRU, LSTM, RNN
from ..tensor import Size, Tensor
from . import OnnxExporterError, OperatorExportTypes, TrainingMode

__all__ = ["export", "ONNXProgram"]

OPSETS = range(11, 22)
# attributes and methods whose values are told at once, and are no part of the graph
_TOLD = frozenset("""dtype device ndim layout requires_grad is_cuda is_cpu is_meta is_sparse is_mps is_quantized is_leaf names itemsize grad_fn grad dim ndimension is_contiguous
    is_floating_point is_complex get_device element_size type stride storage_offset is_pinned""".split())


def _onnx():
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError("onnx.export: needs the package onnx; install it with pip install 'rustorch_py[onnx]'") from error
    return onnx


# ---- tracing with values ---------------------------------------------------------------------------------------
class Value(Proxy):
    """A proxy that also knows what was computed for the example."""

    @property
    def known(self):
        return self.node.meta["val"]

    def __bool__(self):
        return bool(self.known)

    def __len__(self):
        return len(self.known)

    def __iter__(self):
        return iter([self[i] for i in range(len(self.known))])

    def __index__(self):
        return operator.index(self.known)

    def __int__(self):
        return int(self.known)

    def __float__(self):
        return float(self.known)

    def __contains__(self, item):
        return item in self.known

    def __getattr__(self, k):
        if k.startswith("__") or not hasattr(self.known, k):
            raise AttributeError(f"{type(self.known).__name__!r} object has no attribute {k!r}")
        found = getattr(self.known, k)
        if k in _TOLD and not callable(found):
            return found
        return _Member(self, k) if callable(found) else self.tracer.create_proxy("call_function", getattr, (self, k), {})

    def __setitem__(self, key, value):
        # the tensor is another one from now on
        self.__dict__["node"] = self.tracer.create_proxy("call_function", set_item, (self, key, value), {}).node


class _Member(Attribute):
    def __call__(self, *args, **kwargs):
        if self.attr in _TOLD:
            return getattr(self.root.known, self.attr)(*args, **kwargs)
        made = self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)
        if self.attr.endswith("_") and not self.attr.endswith("__"):
            self.root.__dict__["node"] = made.node
            return self.root
        return made


def set_item(x, key, value):
    """Return a copy of x with ``x[key] = value`` done."""
    out = x.clone()
    out[key] = value
    return out


class ValueTracer(Tracer):
    """A tracer whose proxies have values: nodes run when they are made."""

    def __init__(self, examples, dynamic):
        super().__init__()
        self.examples, self.dynamic, self.running = list(examples), dynamic, False

    def trace(self, root, concrete_args=None):
        with _Patcher() as self.patcher:
            return super().trace(root, concrete_args)

    def create_args_for_root(self, root_fn, is_module, concrete_args=None):
        # buffers are proxies while sizes may change: ``self.mask[:, :n]`` is a part of the graph
        if self.dynamic and is_module:
            for path, m in self.root.named_modules():
                for name, value in m._buffers.items():
                    if isinstance(value, Tensor) and value.ndim and m.__dict__.get(name) is value:
                        proxy = self.proxy(super().create_node("get_attr", f"{path}.{name}" if path else name, (), {}))
                        proxy.node.meta["val"] = value
                        self.patcher.put(m.__dict__, name, proxy)
        return super().create_args_for_root(root_fn, is_module, concrete_args)

    def _traced_attribute(self, value, proxies):
        return value            # weights are constants of the file: what is computed of them alone is computed once, here

    def is_leaf_module(self, m, module_qualified_name):
        return isinstance(m, (LSTM, GRU, RNN))

    def call_module(self, m, forward, args, kwargs):
        return forward(*args, **kwargs) if self.running else super().call_module(m, forward, args, kwargs)

    def proxy(self, node):
        return Value(node, self)

    def create_proxy(self, kind, target, args, kwargs, name=None, type_expr=None, proxy_factory_fn=None):
        made = super().create_proxy(kind, target, args, kwargs, name, type_expr, proxy_factory_fn)
        node = made.node
        if kind == "placeholder":
            if target.startswith("*") or not self.examples:
                value = node.args[0] if node.args else []
            else:
                value = self.examples.pop(0)
        else:
            value = self._run(node)
        node.meta["val"] = value
        if self._plain(value) and kind != "placeholder" or kind == "placeholder" and not isinstance(value, Tensor) and not self._holds_tensors(value):
            if not node.users and kind != "placeholder":
                self.graph.erase_node(node)
            return value
        return made

    def create_node(self, kind, target, args, kwargs, name=None, type_expr=None):
        node = super().create_node(kind, target, args, kwargs, name, type_expr)
        if kind == "get_attr":
            at = self.root
            for part in target.split("."):
                at = getattr(at, part)
            node.meta["val"] = at
        return node

    def _holds_tensors(self, value):
        if isinstance(value, Tensor):
            return True
        if isinstance(value, dict):
            return any(self._holds_tensors(v) for v in value.values())
        return isinstance(value, (list, tuple)) and any(self._holds_tensors(v) for v in value)

    def _plain(self, value):
        """Whether a value is no part of the graph: no tensor, and no size that may change."""
        if self._holds_tensors(value):
            return False
        return not self.dynamic or not (type(value) in (int, float) or isinstance(value, Size))

    def _run(self, node):
        from ..overrides import DisableTorchFunctionSubclass
        args, kwargs = map_arg(node.args, lambda n: n.meta["val"]), map_arg(node.kwargs, lambda n: n.meta["val"])
        self.running = True
        try:
            with _t.no_grad(), DisableTorchFunctionSubclass():
                if node.op == "call_function":
                    return node.target(*args, **kwargs)
                if node.op == "call_method":
                    return getattr(args[0], node.target)(*args[1:], **kwargs)
                return self.root.get_submodule(node.target)(*args, **kwargs)
        finally:
            self.running = False


# ---- writing ---------------------------------------------------------------------------------------------------
class Val:
    """A value of the ONNX graph: its name, and what was computed for the example."""
    __slots__ = ("name", "val")

    def __init__(self, name, val):
        self.name, self.val = name, val

    @property
    def dtype(self):
        return self.val.dtype

    @property
    def shape(self):
        return tuple(self.val.shape)

    @property
    def ndim(self):
        return self.val.ndim


def array_of(value):
    """A tensor's elements as a NumPy array; bfloat16 by ml_dtypes."""
    value = value.detach().cpu().contiguous()
    if value.dtype is _t.bfloat16:
        import ml_dtypes
        return value.view(_t.int16).numpy().view(ml_dtypes.bfloat16)
    return value.numpy()


class Writer:
    """Grows an ONNX graph.

    Attributes:
        opset: the version of ONNX's operators.
        nodes: what was written.
        function: the function that is being written.
    """

    def __init__(self, opset):
        self.onnx = _onnx()
        self.opset, self.nodes, self.initializers, self.taken, self.consts = opset, [], [], set(), {}
        self.function = None

    def fresh(self, stem):
        """Return a name that is not taken."""
        name, i = stem, 0
        while name in self.taken:
            i += 1
            name = f"{stem}_{i}"
        self.taken.add(name)
        return name

    def element_type(self, dtype):
        """ONNX's number of a dtype."""
        names = {"float32": "FLOAT", "float64": "DOUBLE", "float16": "FLOAT16", "bfloat16": "BFLOAT16", "bool": "BOOL", "complex64": "COMPLEX64", "complex128": "COMPLEX128",
                 **{k: k.upper() for k in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")}}
        name = str(dtype).rpartition(".")[2]
        if name not in names:
            raise OnnxExporterError(f"onnx.export: ONNX has no dtype for {dtype}")
        return getattr(self.onnx.TensorProto, names[name])

    def initializer(self, name, tensor):
        """Write a tensor of the model under its name."""
        array = array_of(tensor)
        proto = self.onnx.TensorProto(name=name, data_type=self.element_type(tensor.dtype), dims=list(array.shape), raw_data=array.tobytes())
        self.initializers.append(proto)
        return Val(name, tensor)

    def const(self, value, dtype=None):
        """Return a constant: a number, a list of numbers, or a tensor; the same one for the same numbers."""
        tensor = value.detach() if isinstance(value, Tensor) else _t.tensor(value, dtype=dtype)
        key = tensor.dtype, tuple(tensor.shape), array_of(tensor).tobytes() if tensor.numel() <= 64 else id(tensor)
        if key not in self.consts:
            self.consts[key] = self.initializer(self.fresh("const"), tensor), tensor
        return self.consts[key][0]

    def ints(self, values):
        """Return an int64 vector: numbers, and values of the graph that hold one."""
        if all(not isinstance(v, Val) for v in values):
            return self.const([int(v) for v in values], _t.int64)
        parts = [self.op("Reshape", [v, self.const([1], _t.int64)]) if isinstance(v, Val) else self.const([int(v)], _t.int64) for v in values]
        return self.op("Concat", parts, val=_t.tensor([int(v.val) if isinstance(v, Val) else int(v) for v in values]), axis=0)

    def op(self, kind, inputs, val=None, outputs=None, domain=None, **attributes):
        """Write a node.

        Args:
            kind: ONNX's operator.
            inputs: Vals; None where one is left out.
            val: what comes out, for the example: a tensor or number; or with `outputs`, a list.
            outputs: None: one, a Val is returned; else their number, a list.
            **attributes: those that are None are left out.
        """
        stem = kind.lower()
        names = [self.fresh(stem) for _ in range(outputs or 1)]
        given = [i.name if i is not None else "" for i in inputs]
        while given and not given[-1]:
            given.pop()
        self.nodes.append(self.onnx.helper.make_node(kind, given, names, domain=domain, **{k: v for k, v in attributes.items() if v is not None}))
        if outputs is None:
            return Val(names[0], val)
        return [Val(n, v) for n, v in zip(names, val if val is not None else [None] * outputs)]

    # ---- operators whose form depends on the version ----
    def unsqueeze(self, x, axes, val=None):
        """Write Unsqueeze."""
        if self.opset < 13:
            return self.op("Unsqueeze", [x], val, axes=list(axes))
        return self.op("Unsqueeze", [x, self.const(list(axes), _t.int64)], val)

    def squeeze(self, x, axes, val=None):
        """Write Squeeze."""
        if self.opset < 13:
            return self.op("Squeeze", [x], val, axes=list(axes))
        return self.op("Squeeze", [x, self.const(list(axes), _t.int64)], val)

    def reduce(self, kind, x, axes, keepdim, val=None):
        """Write a reduction; axes None: all."""
        if self.opset >= (13 if kind == "ReduceSum" else 18):
            return self.op(kind, [x, None if axes is None else self.const(list(axes), _t.int64)], val, keepdims=int(keepdim))
        return self.op(kind, [x], val, axes=None if axes is None else list(axes), keepdims=int(keepdim))

    def split(self, x, sizes, axis, vals):
        """Write Split."""
        if self.opset >= 13:
            return self.op("Split", [x, self.const(list(sizes), _t.int64)], vals, outputs=len(sizes), axis=axis)
        return self.op("Split", [x], vals, outputs=len(sizes), axis=axis, split=list(sizes))

    def cast(self, x, dtype, val=None):
        """Write Cast, unless the dtype is there."""
        if isinstance(x.val, Tensor) and x.val.dtype is dtype:
            return x
        val = val if val is not None else x.val.to(dtype) if isinstance(x.val, Tensor) else x.val
        return self.op("Cast", [x], val, to=self.element_type(dtype))

    def reshape(self, x, sizes, val=None):
        """Write Reshape; sizes: numbers (0 is a size of nothing, as in PyTorch), -1, and values of the graph."""
        return self.op("Reshape", [x, self.ints(sizes)], val)


class _Translation:
    """From the nodes of a traced graph to what was written for them."""

    def __init__(self, writer, root):
        from . import _nn, _ops
        self.w, self.root, self.env = writer, root, {}
        self.rules = _ops.RULES
        self.modules = _nn.MODULES

    def argument(self, a):
        def pick(n):
            return self.env[n]
        return map_arg(a, pick)

    def node(self, node):
        """Write one node."""
        w = self.w
        if node.op == "get_attr":
            value = node.meta["val"]
            if node.target not in w.taken:
                w.taken.add(node.target)
                w.initializer(node.target, value)
            self.env[node] = Val(node.target, value)
            return
        args, kwargs = self.argument(node.args), self.argument(node.kwargs)
        if node.op == "call_module":
            module = self.root.get_submodule(node.target)
            self.env[node] = self.modules[type(module)](w, node, module, node.target, *args, **kwargs)
            return
        name = node.target if node.op == "call_method" else node.target.__name__
        if node.op == "call_method" and name.endswith("_") and name not in self.rules:
            name = name[:-1]
        if node.target is builtins.getattr:
            name = "getattr"
        rule = self.rules.get(name) or self.rules.get(name.rstrip("_"))
        if rule is None:
            shown = node.target if node.op == "call_method" else qualified_name(node.target, shown=True)
            raise OnnxExporterError(f"onnx.export: {shown} has no form in ONNX here yet (node {node.format_node()})")
        w.function = node.target
        self.env[node] = rule(w, node.meta["val"], *args, **kwargs)


class _Whole(Module):
    """A recurrent layer that is the whole model: it is a part, so that it becomes one node."""

    def __init__(self, layer):
        super().__init__()
        self.training = layer.training
        self.layer = layer

    def forward(self, input, hx=None):
        return self.layer(input, hx)


def _flat(value):
    if isinstance(value, (list, tuple)):
        return [x for v in value for x in _flat(v)]
    if isinstance(value, dict):
        return [x for v in value.values() for x in _flat(v)]
    return [] if value is None else [value]


def _axes_of(dynamic_axes, dynamic_shapes, names):
    """{name: {axis: name of the size}}"""
    found = {}
    for name, axes in (dynamic_axes or {}).items():
        found[name] = dict(axes) if isinstance(axes, dict) else {a: f"{name}_dynamic_axes_{i + 1}" for i, a in enumerate(axes)}
    if dynamic_shapes is not None:
        pairs = dynamic_shapes.items() if isinstance(dynamic_shapes, dict) else zip(names, dynamic_shapes)
        for name, axes in pairs:
            for axis, dim in (axes.items() if isinstance(axes, dict) else enumerate(axes or ())):
                if dim is not None:
                    found.setdefault(name, {})[axis] = dim if isinstance(dim, str) else getattr(dim, "__name__", f"{name}_dim_{axis}")
    return found


class ONNXProgram:
    """An exported model.

    Attributes:
        model_proto: the ``onnx.ModelProto``.
    """

    def __init__(self, proto):
        self.model_proto = proto
        self._session = None

    def save(self, destination, *, include_initializers=True, keep_initializers_as_inputs=False, external_data=None):
        """Write the file; it appears whole or not at all.

        Args:
            destination: path, or an open binary file.
            include_initializers: write the weights.
            keep_initializers_as_inputs: let the weights be inputs too.
            external_data: put the weights into a file beside it, ``NAME.data``; None: where they take over 1.5 GB.
        """
        from ..utils.atomic import atomic_write
        onnx = _onnx()
        proto = self.model_proto
        if not include_initializers or keep_initializers_as_inputs:
            proto = onnx.ModelProto()
            proto.CopyFrom(self.model_proto)
            have = {i.name for i in proto.graph.input}
            proto.graph.input.extend(onnx.helper.make_tensor_value_info(i.name, i.data_type, list(i.dims)) for i in proto.graph.initializer if i.name not in have)
            if not include_initializers:
                del proto.graph.initializer[:]
        nbytes = sum(len(i.raw_data) for i in proto.graph.initializer)
        if external_data or external_data is None and nbytes > 1_500_000_000:
            path = os.fspath(destination)
            onnx.save_model(proto, path, save_as_external_data=True, all_tensors_to_one_file=True, size_threshold=0, location=os.path.basename(path) + ".data")
            return
        if hasattr(destination, "write"):
            destination.write(proto.SerializeToString())
            return
        with atomic_write(destination) as stream:
            stream.write(proto.SerializeToString())

    def __call__(self, *args, **kwargs):
        """Run the model by the onnx package's reference evaluator; returns a tuple of tensors."""
        if self._session is None:
            from onnx.reference import ReferenceEvaluator
            self._session = ReferenceEvaluator(self.model_proto)
        names = [i.name for i in self.model_proto.graph.input]
        given = {n: np.asarray(v.detach().cpu().numpy() if isinstance(v, Tensor) else v) for n, v in zip(names, _flat(args))}
        given.update({n: np.asarray(v.numpy() if isinstance(v, Tensor) else v) for n, v in kwargs.items()})
        return tuple(_t.from_numpy(np.ascontiguousarray(v)) if v.ndim else _t.tensor(v.item()) for v in map(np.asarray, self._session.run(None, given)))

    def __repr__(self):
        return f"ONNXProgram(\n{_onnx().printer.to_text(self.model_proto)}\n)"


def export(model, args=(), f=None, *, kwargs=None, verbose=None, input_names=None, output_names=None, opset_version=None, dynamo=True, external_data=True,
           dynamic_shapes=None, verify=False, export_params=True, keep_initializers_as_inputs=False, dynamic_axes=None, training=TrainingMode.EVAL,
           operator_export_type=OperatorExportTypes.ONNX, do_constant_folding=True, optimize=True):
    """Write a model as ONNX.

    Args:
        model: module or function.
        args: example arguments, a tuple, or the one argument; its last may be a dict of keyword arguments. Their shapes, but for dynamic axes, are the file's.
        f: path or open binary file to write; None: none.
        kwargs: example keyword arguments.
        verbose: print the graph.
        input_names, output_names: names in the file; by default those of the arguments, and ``output``, ``output_1``, ...
        opset_version: version of ONNX's operators, 11 to 21; by default 18.
        dynamo, optimize, do_constant_folding: accepted as in PyTorch; there is one exporter, and what does not depend on the inputs is computed while it traces.
        external_data: weights of over 1.5 GB go into a file beside it; False refuses those.
        dynamic_axes: dict from names of inputs and outputs to the axes whose sizes may change: a list, or a dict from axis to the size's name.
        dynamic_shapes: the same as a dict by the arguments' names, or a tuple.
        verify: run the file by the onnx package and compare with the model.
        export_params: write the weights; False makes them inputs.
        keep_initializers_as_inputs: let the weights be inputs too.
        training: the mode the model is exported in; it is put back afterwards.
    Returns:
        an ONNXProgram.
    Raises:
        OnnxExporterError: an operator has no form in ONNX, or `verify` found other numbers.
        MissingDependencyError: the package onnx is not installed.

    Example:
        >>> model = rustorch_py.nn.Sequential(rustorch_py.nn.Linear(4, 2), rustorch_py.nn.ReLU())
        >>> program = export(model, rustorch_py.ones(1, 4), "model.onnx", input_names=["x"], dynamic_axes={"x": [0]})   # doctest: +SKIP
    """
    onnx = _onnx()
    opset = 18 if opset_version is None else opset_version
    if opset not in OPSETS:
        raise OnnxExporterError(f"onnx.export: opset_version must be {OPSETS[0]} to {OPSETS[-1]}, got {opset}")
    if operator_export_type not in (None, OperatorExportTypes.ONNX):
        raise OnnxExporterError(f"onnx.export: only OperatorExportTypes.ONNX is written, got {operator_export_type}")
    args = args if isinstance(args, tuple) else (args,)
    given = dict(kwargs or {})
    if args and isinstance(args[-1], dict) and not kwargs:
        args, given = args[:-1], {**args[-1]}
    modes = {m: m.training for m in model.modules()} if isinstance(model, Module) else {}
    try:
        if isinstance(model, Module) and training is not TrainingMode.PRESERVE:
            model.train(training is TrainingMode.TRAINING)
        _face._exporting = True
        proto, expected = _write(onnx, model, args, given, opset, input_names, output_names, dynamic_axes, dynamic_shapes, export_params, keep_initializers_as_inputs)
    finally:
        _face._exporting = False
        for m, mode in modes.items():
            m.training = mode
    program = ONNXProgram(proto)
    if verbose:
        print(onnx.printer.to_text(proto))
    if verify and export_params:
        for name, a, b in zip([o.name for o in proto.graph.output], expected, program(*[a for a in _flat((*args, given)) if isinstance(a, Tensor)])):
            if not _t.allclose(a.to(b.dtype), b, rtol=1e-3, atol=1e-4):
                raise OnnxExporterError(f"onnx.export: verify: {name} differs by up to {(a.to(b.dtype) - b).abs().max().item()}")
    if f is not None:
        nbytes = sum(len(i.raw_data) for i in proto.graph.initializer)
        if nbytes > 1_500_000_000 and not external_data:
            raise OnnxExporterError(f"onnx.export: {nbytes} bytes of weights do not fit into one file; pass external_data=True")
        program.save(f)
    return program


def _write(onnx, model, args, given, opset, input_names, output_names, dynamic_axes, dynamic_shapes, export_params, keep):
    import inspect
    if isinstance(model, (LSTM, GRU, RNN)):
        model = _Whole(model)
    fn = type(model).forward if isinstance(model, Module) else model
    parameters = [p for p in inspect.signature(fn).parameters.values()][1 if isinstance(model, Module) else 0:]
    examples, concrete = [], {}
    order = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    values = dict(zip(order, args))
    if len(args) > len(order):
        raise OnnxExporterError(f"onnx.export: {len(args)} example arguments for {len(order)}; functions of *args take a wrapper with named arguments")
    for name, value in given.items():
        if name not in order:
            raise OnnxExporterError(f"onnx.export: the model has no argument {name!r}")
        values[name] = value
    for p in parameters:
        if p.name in values:
            examples.append(values[p.name])
        elif p.name in order:
            if p.default is p.empty:
                raise OnnxExporterError(f"onnx.export: no example for argument {p.name!r}")
            examples.append(p.default)
    dynamic = bool(dynamic_axes or dynamic_shapes)
    tracer = ValueTracer([x.clone() if isinstance(x, Tensor) else x for x in examples], dynamic)
    graph = tracer.trace(model, concrete or None)
    w = Writer(opset)
    translation = _Translation(w, tracer.root)
    inputs, names, used = [], list(input_names or ()), set()
    for node in graph.nodes:
        if node.op == "placeholder":
            for i, x in enumerate(leaves := [v for v in _flat(node.meta["val"]) if isinstance(v, Tensor)]):
                inputs.append((node, x, names.pop(0) if names else node.target if len(leaves) == 1 else f"{node.target}_{i}"))
    if names:
        raise OnnxExporterError(f"onnx.export: number of input names provided ({len(input_names)}) exceeded number of inputs ({len(inputs)})")
    axes = _axes_of(dynamic_axes, dynamic_shapes, [n for _, _, n in inputs])
    for name in axes:
        if name not in {n for _, _, n in inputs} | set(output_names or ()) and not any(p.name == name for p in parameters):
            import warnings
            warnings.warn(f"Provided key {name} for dynamic axes is not a valid input/output name", stacklevel=3)
    w.taken.update(n for _, _, n in inputs)
    w.taken.update(output_names or ())
    protos = []

    def info(name, tensor):
        sizes = [axes.get(name, {}).get(i, axes.get(name, {}).get(i - tensor.ndim, n)) for i, n in enumerate(tensor.shape)]
        return onnx.helper.make_tensor_value_info(name, w.element_type(tensor.dtype), sizes)
    made = {}
    for node, x, name in inputs:
        protos.append(info(name, x))
        made.setdefault(node, {})[id(x)] = Val(name, x)

    def nest(value, table):
        if isinstance(value, Tensor):
            return table[id(value)]
        if isinstance(value, (list, tuple)):
            return type(value)(nest(v, table) for v in value)
        return {k: nest(v, table) for k, v in value.items()} if isinstance(value, dict) else value
    result = None
    for node in graph.nodes:
        if node.op == "placeholder":
            translation.env[node] = nest(node.meta["val"], made.get(node, {}))
        elif node.op == "output":
            result = translation.argument(node.args[0])
        elif _needed(node):
            translation.node(node)
    outputs, protos_out = [v for v in _flat(result)], []
    names = list(output_names or ())
    if len(names) > len(outputs):
        raise OnnxExporterError(f"onnx.export: number of output names provided ({len(names)}) exceeded number of outputs ({len(outputs)})")
    expected = []
    for i, v in enumerate(outputs):
        v = v if isinstance(v, Val) else w.const(v)
        name = names[i] if i < len(names) else w.fresh("output")
        w.nodes.append(onnx.helper.make_node("Identity", [v.name], [name]))
        value = v.val if isinstance(v.val, Tensor) else _t.tensor(v.val)
        expected.append(value)
        protos_out.append((name, value))
    if axes and not any(name in axes for name, _ in protos_out):
        # sizes of results follow from the inputs: they have no number in the file
        infos = [onnx.helper.make_tensor_value_info(name, w.element_type(v.dtype), [None] * v.ndim) for name, v in protos_out]
    else:
        infos = [info(name, v) for name, v in protos_out]
    used.update(i for node in w.nodes for i in node.input)
    initializers = [i for i in w.initializers if i.name in used]
    if keep or not export_params:
        protos += [onnx.helper.make_tensor_value_info(i.name, i.data_type, list(i.dims)) for i in initializers if keep or not i.name.startswith("const")]
    if not export_params:
        initializers = [i for i in initializers if i.name.startswith("const")]
    body = onnx.helper.make_graph(w.nodes, "main_graph", protos, infos, initializers)
    proto = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", opset)], producer_name="rustorch_py")
    proto.ir_version = min(proto.ir_version, {11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}[opset])
    onnx.checker.check_model(proto, full_check=False)
    return proto, expected


def _needed(node):
    """Whether anybody reads a node's value."""
    stack, seen = [node], set()
    while stack:
        n = stack.pop()
        if n.op == "output":
            return True
        for user in n.users:
            if user not in seen:
                seen.add(user)
                stack.append(user)
    return False
