"""State dicts of models and optimizers by the parameters' full names, whatever wraps the model and however its tensors are spread."""
from __future__ import annotations

from dataclasses import dataclass

from ... import tensor as _t
from ...errors import DistError, TensorTypeError, TensorValueError
from ...nn.modules.module import Module
from ...optim.optimizer import Optimizer
from ...tensor import Tensor
from .. import _group
from .._objects import broadcast_object_list

__all__ = ["StateDictOptions", "get_model_state_dict", "get_optimizer_state_dict", "get_state_dict", "set_model_state_dict", "set_optimizer_state_dict",
           "set_state_dict"]


@dataclass
class StateDictOptions:
    """What the functions here give and take.

    Args:
        full_state_dict: whole plain tensors instead of DTensors; with cpu_offload only rank 0 gets them, others get an empty dict.
        cpu_offload: copies, which later steps leave as they are.
        ignore_frozen_params: leave out what requires no gradient.
        keep_submodule_prefixes: of ``submodules``, keep the names in the whole model.
        strict: missing or unknown names are errors.
        broadcast_from_rank0: rank 0 has the full state; others get it from there.
        flatten_optimizer_state_dict: an optimizer's state as one dictionary without nesting.
    """
    full_state_dict: bool = False
    cpu_offload: bool = False
    ignore_frozen_params: bool = False
    keep_submodule_prefixes: bool = True
    strict: bool = True
    broadcast_from_rank0: bool = False
    flatten_optimizer_state_dict: bool = False


def _plain_name(name):
    """Return a parameter's name without what wrappers put in."""
    return ".".join(p for p in name.split(".") if p != "_fsdp_wrapped_module")


def _names(model):
    """Return {tensor's id: full name} and {name in the model: full name}; a DistributedDataParallel's ``module.`` is left away."""
    from .._ddp import DistributedDataParallel
    wrapped = [name for name, m in model.named_modules() if isinstance(m, DistributedDataParallel)]

    def full(name):
        for at in sorted(wrapped, key=len, reverse=True):
            before = f"{at}." if at else ""
            if name.startswith(f"{before}module."):
                name = before + name[len(before) + len("module."):]
        return _plain_name(name)
    return {id(p): full(name) for name, p in model.named_parameters(remove_duplicate=False)}, full


def _options(op, options):
    if options is not None and not isinstance(options, StateDictOptions):
        raise TensorTypeError(f"{op}: options: expected StateDictOptions, got {type(options).__name__}", op=op)
    return options or StateDictOptions()


def _given(value, options):
    """Return a tensor as the options ask for it; None where this rank does not get it."""
    from ..tensor import DTensor
    if not isinstance(value, Tensor):
        return value
    value = value.detach()
    if options.full_state_dict:
        value = value.full_tensor() if isinstance(value, DTensor) else value
        if options.cpu_offload and _group.is_initialized() and _group.get_rank():
            return None
    return value.clone() if options.cpu_offload else value


def _first_only(options):
    return options.full_state_dict and options.cpu_offload and _group.is_initialized() and _group.get_rank() != 0


def get_model_state_dict(model, *, submodules=None, options=None):
    """Return a model's state dict by full names; all ranks call it.

    Args:
        submodules: set of modules inside; only their part.
        options: a `StateDictOptions`.
    """
    op = "get_model_state_dict"
    options = _options(op, options)
    _, full = _names(model)
    frozen = {full(name) for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad} if options.ignore_frozen_params else ()
    out = {}
    for name, value in model.state_dict().items():
        name = full(name)
        got = _given(value, options) if name not in frozen else None
        if name not in frozen and got is not None:
            out[name] = got
    if submodules is not None:
        kept = {}
        for at, module in model.named_modules():
            if module in submodules:
                prefix = full(at + ".") if at else ""
                for name, value in out.items():
                    if name.startswith(prefix):
                        kept[name if options.keep_submodule_prefixes else name[len(prefix):]] = value
        out = kept
    return {} if _first_only(options) else out


def _like(value, target, name):
    """Return a state's value as it lies in target: a whole tensor beside a DTensor is cut."""
    from ..tensor import DTensor
    from ..tensor._dtensor import wrap
    from ..tensor._redistribute import own_part
    if isinstance(target, DTensor) and isinstance(value, Tensor) and not isinstance(value, DTensor):
        if tuple(value.shape) != tuple(target.shape):
            return value
        return wrap(own_part(value, target._mesh, target._placements), target._mesh, target._placements, tuple(target.shape))
    if isinstance(target, DTensor) and isinstance(value, DTensor) and value._placements != target._placements:
        return value.redistribute(placements=target._placements)
    if not isinstance(target, DTensor) and isinstance(value, DTensor):
        return value.full_tensor()
    return value


def _received(state, options):
    """Return rank 0's state on all ranks."""
    if options.broadcast_from_rank0 and _group.is_initialized():
        if not options.full_state_dict:
            raise TensorValueError("full_state_dict must be True when broadcast_from_rank0 is True.", op="set_state_dict")
        box = [state]
        broadcast_object_list(box, src=0)
        state = box[0]
    return state


def set_model_state_dict(model, model_state_dict, *, options=None):
    """Load a state dict by full names into a model, whole tensors or DTensors of any placements; returns (missing, unexpected) names.

    Args:
        options: a `StateDictOptions`; with broadcast_from_rank0 the other ranks' dictionaries are not looked at.
    """
    op = "set_model_state_dict"
    options = _options(op, options)
    state = _received(model_state_dict, options)
    _, full = _names(model)
    own = {name: (full(name), value) for name, value in model.state_dict().items()}
    back = {f: name for name, (f, _) in own.items()}
    return model.load_state_dict({back.get(f, f): _like(v, own[back[f]][1], f) if f in back else v for f, v in state.items()}, strict=options.strict)


def _list(optimizers, op):
    found = [optimizers] if isinstance(optimizers, Optimizer) else list(optimizers)
    for o in found:
        if not isinstance(o, Optimizer):
            raise TensorTypeError(f"{op}: optimizers: expected Optimizer, got {type(o).__name__}", op=op)
    return found


def _ready(optimizer):
    """Give an optimizer that has taken no step its state, by a step that changes nothing."""
    params = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    if optimizer.state or any(p.grad is not None for p in params):
        return
    with _t.no_grad():
        for p in params:
            p.grad = _t.zeros_like(p)
        before = [p.detach().clone() for p in params]
        rates = [group.get("lr") for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            if "lr" in group:
                group["lr"] = _t.tensor(0.0) if isinstance(group["lr"], Tensor) else 0.0
        optimizer.step()
        for group, rate in zip(optimizer.param_groups, rates):
            if "lr" in group:
                group["lr"] = rate
        for p, old in zip(params, before):
            p.copy_(old)
        for state in optimizer.state.values():
            if isinstance(state.get("step"), Tensor):
                state["step"].zero_()
    optimizer.zero_grad(set_to_none=True)


def _named(model, optimizer, op):
    ids, _ = _names(model)
    for group in optimizer.param_groups:
        for p in group["params"]:
            if id(p) not in ids:
                raise DistError(f"{op}: the optimizer has a parameter of shape {tuple(p.shape)} that is not the model's", op=op)
            if "_flat_param" in ids[id(p)]:
                raise DistError(f"{op}: a FullyShardedDataParallel's flat slices have no full names; use fully_shard", op=op)
    return ids


def get_optimizer_state_dict(model, optimizers, *, submodules=None, options=None):
    """Return the optimizers' state by the parameters' full names; all ranks call it. An optimizer without state gets its first.

    Args:
        submodules: set of modules inside; only their parameters' state.
        options: a `StateDictOptions`.
    """
    op = "get_optimizer_state_dict"
    options = _options(op, options)
    wanted = None if submodules is None else {id(p) for m in submodules for p in m.parameters()}
    out = {"state": {}, "param_groups": []}
    for optimizer in _list(optimizers, op):
        _ready(optimizer)
        names = _named(model, optimizer, op)
        for group in optimizer.param_groups:
            held = [p for p in group["params"] if wanted is None or id(p) in wanted]
            for p in held:
                state = {key: _given(value, options) for key, value in optimizer.state.get(p, {}).items()}
                if state:
                    out["state"][names[id(p)]] = state
            out["param_groups"].append({**{k: v for k, v in group.items() if k not in ("params", "param_names")}, "params": [names[id(p)] for p in held]})
    if _first_only(options):
        return {}
    if options.flatten_optimizer_state_dict:
        flat = {f"state.{name}.{key}": value for name, state in out["state"].items() for key, value in state.items()}
        flat.update({f"param_groups.{name}.{key}": value for group in out["param_groups"] for name in group["params"] for key, value in group.items() if key != "params"})
        return flat
    return out


def _nested(flat, names):
    """Undo flatten_optimizer_state_dict for some parameters' names."""
    state, options = {}, {}
    for name in names:
        for kind, into in (("state", state), ("param_groups", options)):
            before = f"{kind}.{name}."
            found = {key[len(before):]: value for key, value in flat.items() if key.startswith(before)}
            if found:
                into[name] = found
    return state, options


def set_optimizer_state_dict(model, optimizers, optim_state_dict, *, options=None):
    """Load state by full names into optimizers; whole tensors are cut as the parameters are.

    Args:
        optim_state_dict: what `get_optimizer_state_dict` gave, of any number of ranks.
        options: a `StateDictOptions`.
    """
    op = "set_optimizer_state_dict"
    options = _options(op, options)
    given = _received(optim_state_dict, options)
    for optimizer in _list(optimizers, op):
        _ready(optimizer)
        names = _named(model, optimizer, op)
        groups, numbers = [], {}
        if options.flatten_optimizer_state_dict:
            state, by_name = _nested(given, [names[id(p)] for group in optimizer.param_groups for p in group["params"]])
        else:
            state = given["state"]
            by_name = {name: {k: v for k, v in group.items() if k != "params"} for group in given["param_groups"] for name in group["params"]}
        for group in optimizer.param_groups:
            for p in group["params"]:
                numbers[p] = len(numbers)
            known = next((by_name[names[id(p)]] for p in group["params"] if names[id(p)] in by_name), None)
            if known is None and options.strict and group["params"]:
                raise DistError(f"{op}: no options for the group of {names[id(group['params'][0])]} in the state dict", op=op)
            groups.append({**{k: v for k, v in group.items() if k not in ("params", "param_names")}, **(known or {}), "params": [numbers[p] for p in group["params"]]})
        loaded = {}
        for p, number in numbers.items():
            name = names[id(p)]
            if name in state:
                loaded[number] = {key: _like(value, optimizer.state.get(p, {}).get(key), name) for key, value in state[name].items()}
            elif options.strict and optimizer.state.get(p):
                raise DistError(f"{op}: no state for {name} in the state dict", op=op)
        optimizer.load_state_dict({"state": loaded, "param_groups": groups})


def get_state_dict(model, optimizers, *, submodules=None, options=None):
    """Return (`get_model_state_dict`, `get_optimizer_state_dict`)."""
    if not isinstance(model, Module):
        raise TensorTypeError(f"get_state_dict: model: expected a Module, got {type(model).__name__}", op="get_state_dict")
    return (get_model_state_dict(model, submodules=submodules, options=options),
            get_optimizer_state_dict(model, optimizers, submodules=submodules, options=options))


def set_state_dict(model, optimizers, *, model_state_dict, optim_state_dict, options=None):
    """Load both; returns the model's (missing, unexpected) names."""
    got = set_model_state_dict(model, model_state_dict, options=options)
    set_optimizer_state_dict(model, optimizers, optim_state_dict, options=options)
    return got
