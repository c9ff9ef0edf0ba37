"""An optimizer lent other parameters and state for a while."""
from collections import defaultdict
from contextlib import contextmanager

from ..errors import TensorError
from ..tensor import Tensor

_OP = "swap_in_optimizer_params_and_state"


def _need(holds, text):
    if not holds:
        raise TensorError(f"{_OP}: {text}", op=_OP)


def _check_state(optimizer, given):
    """Return (state, groups) of a state_dict; both fit the optimizer's groups."""
    _need(optimizer.state, "the optimizer has no state yet; make a step first")
    _need(isinstance(given, dict), f"expected a state_dict of an optimizer, got {type(given).__name__}")
    state, groups = given.get("state"), given.get("param_groups")
    _need(isinstance(state, dict), f"expected 'state' to be a dict by parameter number, got {type(state).__name__}")
    _need(not any(isinstance(k, Tensor) for k in state), "expected 'state' by parameter number, as state_dict() has it, not by tensor")
    _need(all(isinstance(v, dict) for k, v in state.items() if isinstance(k, int)), "expected each parameter's state to be a dict")
    _need(isinstance(groups, list), f"expected 'param_groups' to be a list, got {type(groups).__name__}")
    _need(len(groups) == len(optimizer.param_groups), f"expected {len(optimizer.param_groups)} param_groups, got {len(groups)}")
    numbers = set()
    for i, (group, new) in enumerate(zip(optimizer.param_groups, groups)):
        _need(isinstance(new, dict), f"expected param_groups[{i}] to be a dict, got {type(new).__name__}")
        ids = new.get("params")
        _need(isinstance(ids, list) and all(isinstance(n, int) for n in ids), f"expected param_groups[{i}]['params'] to be a list of numbers")
        _need(len(ids) == len(group["params"]), f"param_groups[{i}] has {len(ids)} parameters, the optimizer's {len(group['params'])}")
        other = sorted(set(new) ^ set(group))
        _need(not other, f"the keys of param_groups[{i}] differ from the optimizer's: {other}")
        numbers.update(ids)
    unknown = [k for k in state if k not in numbers]
    _need(not unknown, f"'state' has keys that no group names: {unknown}")
    return state, groups


@contextmanager
def swap_in_optimizer_params_and_state(optimizer, swapin_parameters, swapin_optim_state):
    """Let an optimizer work on other parameters with another state inside a ``with`` block; afterwards it is as before.

    What it writes into the tensors that are lent stays; new entries of the state do not.

    Args:
        optimizer: an optimizer that has made a step.
        swapin_parameters: dict of tensors, in the order of the optimizer's parameters.
        swapin_optim_state: what ``state_dict()`` gives: state by parameter number, and groups.
    Raises:
        RuntimeError: state or parameters that do not fit the optimizer's groups.
    """
    state, groups = _check_state(optimizer, swapin_optim_state)
    parameters = list(swapin_parameters.values())
    _need(len(parameters) >= sum(len(g["params"]) for g in groups),
          f"expected {sum(len(g['params']) for g in groups)} parameters, got {len(parameters)}")
    old_state, old_groups = optimizer.state, [dict(g) for g in optimizer.param_groups]
    new_state, start = defaultdict(dict), 0
    try:
        for group, new in zip(optimizer.param_groups, groups):
            ids = new["params"]
            lent = parameters[start:start + len(ids)]
            start += len(ids)
            group.update({**new, "params": lent})
            for parameter, number in zip(lent, ids):
                new_state[parameter] = dict(state.get(number, {}))
        optimizer.state = new_state
        yield
    finally:
        for group, old in zip(optimizer.param_groups, old_groups):
            group.clear()
            group.update(old)
        optimizer.state = old_state
