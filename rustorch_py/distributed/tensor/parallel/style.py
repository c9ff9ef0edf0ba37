"""How a module's parameters, inputs and outputs lie in tensor parallel."""
from __future__ import annotations

from abc import ABC, abstractmethod

from .... import tensor as _t
from ....errors import TensorTypeError, TensorValueError, UnsupportedOpError
from ....nn.modules.linear import Linear
from ....nn.modules.sparse import Embedding
from ....nn.parameter import Parameter
from .._dtensor import DTensor, distribute_module, distribute_tensor
from ..placement_types import Replicate, Shard

__all__ = ["ColwiseParallel", "ParallelStyle", "PrepareModuleInput", "PrepareModuleInputOutput", "PrepareModuleOutput", "RowwiseParallel", "SequenceParallel"]


class ParallelStyle(ABC):
    """A way to make one module parallel: ``_apply(module, device_mesh)`` returns the module."""

    src_data_rank = 0

    @abstractmethod
    def _apply(self, module, device_mesh):
        ...


def _placed(x, mesh, layout, wanted):
    """Return a tensor as a DTensor: ``layout`` says how a plain one lies, ``wanted`` how it shall."""
    if not isinstance(x, DTensor):
        x = DTensor.from_local(x, mesh, (layout,), run_check=False)
    return x.redistribute(placements=(wanted,)) if x._placements != (wanted,) else x


def _out(x, wanted, local):
    if x._placements != (wanted,):
        x = x.redistribute(placements=(wanted,))
    return x.to_local() if local else x


class _Parameters(ParallelStyle):
    """A style of Linear and Embedding: weights cut along a dimension, placements of input and output."""

    def __init__(self, input_layouts, output_layouts, use_local_output):
        self.input_layouts, self.output_layouts, self.use_local_output = (input_layouts,), (output_layouts,), use_local_output

    def _cut(self, module, mesh, **placements):
        """Spread the parameters of a module."""
        for name, p in list(module._parameters.items()):
            if p is not None and not isinstance(p, DTensor):
                whole = distribute_tensor(p.data, mesh, [placements[name]], src_data_rank=self.src_data_rank)
                module.register_parameter(name, Parameter(whole, requires_grad=p.requires_grad))

    def _wanted(self, module):
        """Return the placements that the module computes with and gives."""
        raise NotImplementedError

    def _apply(self, module, device_mesh):
        kind = type(self).__name__
        if not isinstance(module, (Linear, Embedding)):
            raise UnsupportedOpError(f"{kind} currently only support nn.Linear and nn.Embedding, got {type(module).__name__}", op=kind)
        wanted = self._wanted(module)

        def enter(mod, inputs, mesh):
            return (_placed(inputs[0], mesh, self.input_layouts[0], wanted), *inputs[1:])

        def leave(mod, outputs, mesh):
            return _out(outputs, self.output_layouts[0], self.use_local_output)
        return distribute_module(module, device_mesh, lambda name, mod, mesh: self._partition(mod, mesh), enter, leave)


class ColwiseParallel(_Parameters):
    """Cut a Linear's outputs, or an Embedding's columns: each rank has some features.

    Args:
        input_layouts: how the input lies; default Replicate().
        output_layouts: how the output shall lie; default Shard(-1).
        use_local_output: give the rank's plain tensor, else a DTensor.
    """

    def __init__(self, *, input_layouts=None, output_layouts=None, use_local_output=True):
        super().__init__(input_layouts or Replicate(), output_layouts or Shard(-1), use_local_output)

    def _wanted(self, module):
        return Replicate()

    def _partition(self, module, mesh):
        if isinstance(module, Embedding):
            self._cut(module, mesh, weight=Shard(1))
        else:
            self._cut(module, mesh, weight=Shard(0), bias=Shard(0))


class RowwiseParallel(_Parameters):
    """Cut a Linear's inputs, or an Embedding's rows: the ranks' results are terms of a sum.

    Args:
        input_layouts: how the input lies; default Shard(-1).
        output_layouts: how the output shall lie; default Replicate().
        use_local_output: give the rank's plain tensor, else a DTensor.
    """

    def __init__(self, *, input_layouts=None, output_layouts=None, use_local_output=True):
        super().__init__(input_layouts or Shard(-1), output_layouts or Replicate(), use_local_output)

    def _wanted(self, module):
        return Replicate() if isinstance(module, Embedding) else Shard(-1)

    def _partition(self, module, mesh):
        if isinstance(module, Embedding):
            self._cut(module, mesh, weight=Shard(0))
        else:
            self._cut(module, mesh, weight=Shard(1), bias=Replicate())


class SequenceParallel(ParallelStyle):
    """Let a LayerNorm, RMSNorm or Dropout work on pieces of the sequence; its weights are on all ranks.

    Args:
        sequence_dim: the dimension in which plain inputs are pieces.
        use_local_output: give the rank's plain tensor, else a DTensor.

    Source: Korthikanti et al., "Reducing Activation Recomputation in Large Transformer Models", 2022.
    """

    def __init__(self, *, sequence_dim=1, use_local_output=False):
        self.sequence_sharding, self.use_local_output = (Shard(sequence_dim),), use_local_output

    def _apply(self, module, device_mesh):
        cut = self.sequence_sharding[0]

        def partition(name, mod, mesh):
            for key, p in list(mod._parameters.items()):
                if p is not None and not isinstance(p, DTensor):
                    mod.register_parameter(key, Parameter(distribute_tensor(p.data, mesh, [Replicate()], src_data_rank=self.src_data_rank),
                                                          requires_grad=p.requires_grad))

        def enter(mod, inputs, mesh):
            if not isinstance(inputs[0], _t.Tensor):
                raise TensorValueError(f"expecting input of {mod} to be a torch.Tensor or DTensor, but got {inputs[0]}", op="SequenceParallel")
            return (_placed(inputs[0], mesh, cut, cut), *inputs[1:])

        def leave(mod, outputs, mesh):
            return outputs.to_local() if self.use_local_output else outputs
        return distribute_module(module, device_mesh, partition, enter, leave)


def _tuple(value):
    return (value,) if value is not None and not isinstance(value, (tuple, list)) else tuple(value) if value is not None else None


class PrepareModuleInput(ParallelStyle):
    """Turn a module's inputs into DTensors that lie as wanted, before its forward.

    Args:
        input_layouts: how each plain positional input lies; None for one that is left as it is.
        desired_input_layouts: how they shall lie.
        input_kwarg_layouts, desired_input_kwarg_layouts: the same of inputs by name.
        use_local_output: give the module plain tensors.
    """

    def __init__(self, *, input_layouts=None, desired_input_layouts=None, input_kwarg_layouts=None, desired_input_kwarg_layouts=None, use_local_output=False):
        op = "PrepareModuleInput"
        self.input_layouts, self.desired_input_layouts, self.use_local_output = _tuple(input_layouts), _tuple(desired_input_layouts), use_local_output
        self.input_kwarg_layouts, self.desired_input_kwarg_layouts = input_kwarg_layouts or {}, desired_input_kwarg_layouts or {}
        if self.input_layouts is not None:
            if self.desired_input_layouts is None:
                raise TensorValueError(f"{op}: desired module inputs should not be None!", op=op)
            if len(self.input_layouts) != len(self.desired_input_layouts):
                raise TensorValueError(f"{op}: input_layouts and desired_input_layouts should have same length!", op=op)
        if set(self.input_kwarg_layouts) != set(self.desired_input_kwarg_layouts):
            raise TensorValueError(f"{op}: input_kwarg_layouts and desired_input_kwarg_layouts should have the same keys", op=op)

    def _one(self, x, mesh, layout, wanted):
        if layout is None and not isinstance(x, DTensor):
            return x
        if not isinstance(x, _t.Tensor):
            raise TensorTypeError(f"PrepareModuleInput: expecting input to be a torch.Tensor or DTensor, got {type(x).__name__}", op="PrepareModuleInput")
        x = _placed(x, mesh, layout, wanted if wanted is not None else layout) if layout is not None else x
        return x.to_local() if self.use_local_output else x

    def _enter(self, inputs, kwargs, mesh):
        if self.input_layouts is not None:
            if len(inputs) != len(self.input_layouts):
                raise TensorValueError("module inputs and input_layouts should have same length!", op="PrepareModuleInput")
            inputs = tuple(self._one(x, mesh, a, b) for x, a, b in zip(inputs, self.input_layouts, self.desired_input_layouts))
        kwargs = {k: self._one(v, mesh, self.input_kwarg_layouts[k], self.desired_input_kwarg_layouts[k]) if k in self.input_kwarg_layouts and v is not None else v
                  for k, v in kwargs.items()}
        return inputs, kwargs

    def _apply(self, module, device_mesh):
        module.register_forward_pre_hook(lambda mod, inputs, kwargs: self._enter(inputs, kwargs, device_mesh), with_kwargs=True)
        return module


class PrepareModuleOutput(ParallelStyle):
    """Turn a module's outputs into tensors that lie as wanted, after its forward.

    Args:
        output_layouts: how each plain output lies; None for one that is left as it is.
        desired_output_layouts: how they shall lie.
        use_local_output: give plain tensors, else DTensors.
    """

    def __init__(self, *, output_layouts, desired_output_layouts, use_local_output=True):
        self.output_layouts, self.desired_output_layouts, self.use_local_output = _tuple(output_layouts), _tuple(desired_output_layouts), use_local_output
        if len(self.output_layouts) != len(self.desired_output_layouts):
            raise TensorValueError("PrepareModuleOutput: output_layouts and desired_output_layouts should have same length!", op="PrepareModuleOutput")

    def _leave(self, outputs, mesh):
        several = isinstance(outputs, tuple)
        parts = outputs if several else (outputs,)
        if len(parts) != len(self.output_layouts):
            raise TensorValueError("module outputs and output_layouts should have same length!", op="PrepareModuleOutput")
        done = tuple(x if layout is None else _out(_placed(x, mesh, layout, wanted), wanted, self.use_local_output)
                     for x, layout, wanted in zip(parts, self.output_layouts, self.desired_output_layouts))
        return done if several else done[0]

    def _apply(self, module, device_mesh):
        module.register_forward_hook(lambda mod, inputs, outputs: self._leave(outputs, device_mesh))
        return module


class PrepareModuleInputOutput(ParallelStyle):
    """`PrepareModuleInput` and `PrepareModuleOutput` in one; ``use_local_input`` is the former's ``use_local_output``."""

    def __init__(self, *, input_layouts=None, desired_input_layouts=None, input_kwarg_layouts=None, desired_input_kwarg_layouts=None, use_local_input=False,
                 output_layouts, desired_output_layouts, use_local_output=True):
        self.prepare_module_input = PrepareModuleInput(input_layouts=input_layouts, desired_input_layouts=desired_input_layouts, use_local_output=use_local_input,
                                                       input_kwarg_layouts=input_kwarg_layouts, desired_input_kwarg_layouts=desired_input_kwarg_layouts)
        self.prepare_module_output = PrepareModuleOutput(output_layouts=output_layouts, desired_output_layouts=desired_output_layouts,
                                                         use_local_output=use_local_output)

    def _apply(self, module, device_mesh):
        self.prepare_module_input._apply(module, device_mesh)
        return self.prepare_module_output._apply(module, device_mesh)
