"""Modules, optimizers, schedulers, data loaders and distributions made and used with one wrong argument, under both libraries.

As mutations.py does for operators: the calls are PyTorch's own samples (``module_db``, ``optim_db``) and the cases of the tests of
distributions; one argument of the constructor at a time, those left to their default included, is replaced by a wrong one; what was made is
then used. After that the constructor is called right, and the call (``forward``, ``log_prob``, ...) gets the wrong argument.

    python tests/parity/class_mutations.py [REGEX]    print the differences and their number
    python tests/parity/class_mutations.py --write    rewrite wrong_class_arguments.txt, the list of those that are left
"""
import collections
import inspect
import re
import sys
import warnings
import zlib
from pathlib import Path

import torch

import mutations
import rustorch_py as rt
from mutations import Tensors, catches, for_here, for_torch, outcome, same

LIST = Path(__file__).with_name("wrong_class_arguments.txt")

# What does not come back under PyTorch (a layer is made for each number up to it, a sample is rejected for ever), or asks for more memory than there is
ENDLESS = re.compile(r"3d \S+ large|Adaptive\w+2d \S+ large|LBFGS max_|num_(encoder_|decoder_)?layers huge|(LSTM|RNN|GRU) 2 huge|LKJCholesky|VonMises \w+ |num_workers (large|huge|bool|no_dim|numpy)")
RANDOM = re.compile(r"FractionalMaxPool|Lazy")        # windows, and weights that are made at the first call
# Answers of a constructor's or a call's own kind that cannot be compared, and classes whose samples are made for something else
LARGE = 60                                           # a kernel or a number of channels that is still computed soon
LEFT_OUT = {"SparseAdam", "CTCLoss", "FusedAdam"}


class Case:
    """One class of both libraries: arguments of its constructor, and what is done with what it makes."""

    def __init__(self, name, theirs, ours, args, kwargs, uses):
        self.name, self.theirs, self.ours, self.args, self.kwargs, self.uses = name, theirs, ours, args, kwargs, uses


class Use:
    """A call of what was made: `run(made, *args, **kwargs)`; `values`: whether its values are compared."""

    def __init__(self, name, run, args=(), kwargs=None, values=True):
        self.name, self.run, self.args, self.kwargs, self.values = name, run, args, kwargs or {}, values


def with_defaults(cls, args, kwargs):
    """The arguments that a sample leaves to their default, as keywords."""
    try:
        parameters = list(inspect.signature(cls).parameters.values())
    except (TypeError, ValueError):
        return {}
    return {p.name: p.default for p in parameters[len(args):] if p.default is not p.empty and p.name not in kwargs and p.name != "device"
            and isinstance(p.default, (bool, int, float, str, tuple, type(None)))}


def made_wrong(case):
    """(what is wrong, args, kwargs) of a constructor; an argument that is left to its default is named and replaced."""
    yield from mutations.wrong_calls(case.args, case.kwargs, "float32", None, LARGE)
    for key, value in with_defaults(case.theirs, case.args, case.kwargs).items():
        for name, other in mutations.wrong_values(value, "float32", LARGE):
            yield f"{key} {name}", case.args, {**case.kwargs, key: other}


# ---- modules ----------------------------------------------------------------------------------------------
def same_weights(theirs, ours):
    """Give `ours` the weights of `theirs`; a text where they differ in name or shape."""
    a, b = dict(theirs.state_dict()), dict(ours.state_dict())
    if list(a) != list(b):
        return f"state {list(a)}, here {list(b)}"
    for key in a:
        if isinstance(a[key], torch.Tensor) and not isinstance(a[key], torch.nn.UninitializedParameter):
            if tuple(a[key].shape) != tuple(b[key].shape):
                return f"{key} of shape {tuple(a[key].shape)}, here {tuple(b[key].shape)}"
            with rt.no_grad():
                b[key].copy_(for_here(a[key]))
    return None


def call(made, *args, **kwargs):
    return (made.eval() if re.search("Dropout|RReLU|Transformer|MultiheadAttention", type(made).__name__) else made)(*args, **kwargs)


def modules():
    from torch.testing._internal.common_modules import module_db
    for info in module_db:
        name = info.name
        if not name.startswith("nn.") or not hasattr(rt.nn, name[3:]) or name[3:] in LEFT_OUT:
            continue
        torch.manual_seed(zlib.crc32(name.encode()))
        found = [m for m in info.module_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=False, training=True) if m.forward_input is not None]
        found = [m for m in found if not any(callable(v) for v in (*m.constructor_input.args, *m.constructor_input.kwargs.values()))]
        if not found:
            continue
        most = max(found, key=lambda m: len(m.constructor_input.args) + len(m.constructor_input.kwargs) + len(m.forward_input.args))
        for m in dict.fromkeys([found[0], most]):
            kwargs = {k: v.float() if k == "_random_samples" else v for k, v in m.constructor_input.kwargs.items()}      # PyTorch's samples are doubles, which it refuses
            uses = [Use("call", call, m.forward_input.args, m.forward_input.kwargs, not RANDOM.search(name))]
            yield Case(name, getattr(torch.nn, name[3:]), getattr(rt.nn, name[3:]), m.constructor_input.args, kwargs, uses)


# ---- optimizers, schedulers -------------------------------------------------------------------------------
def stepped(made):
    """The parameters after two steps."""
    ps = [p for group in made.param_groups for p in group["params"]]
    for _ in range(2):
        for p in ps:
            p.grad = (p * 0 + 0.5).detach()
        made.step(lambda: (ps[0] ** 2).sum())
    return [p.detach() for p in ps]


def optimizers():
    from torch.testing._internal.common_optimizers import optim_db
    for info in optim_db:
        name = info.optim_cls.__name__
        if name in LEFT_OUT or not hasattr(rt.optim, name):
            continue
        shape = (2, 3)
        for sample in [s for s in info.optim_inputs_func(device="cpu") if not s.kwargs.get("fused")][:1]:
            yield Case(f"optim.{name}", info.optim_cls, getattr(rt.optim, name), ([Made("Parameter", shape)],), {**{"lr": 0.01}, **sample.kwargs}, [Use("step", stepped)])


class Made(Tensors):
    """An object that each library makes for itself."""

    def __init__(self, kind, *args):
        self.kind, self.args = kind, args
        super().__init__(lambda t: self)

    def of(self, side):
        if self.kind == "Parameter":
            return side.nn.Parameter(side.ones(*self.args))
        if self.kind == "SGD":
            return side.optim.SGD([side.nn.Parameter(side.ones(2))], lr=0.1, momentum=0.9)
        if self.kind == "TensorDataset":
            return side.utils.data.TensorDataset(side.arange(12.0).reshape(6, 2), side.arange(6))
        return eval(self.kind, {"m": side})


def rates(made):
    """The learning rates of some steps."""
    found = []
    for _ in range(6):
        made.optimizer.step()
        made.step(0.5) if type(made).__name__ == "ReduceLROnPlateau" else made.step()
        found.append([float(group["lr"]) for group in made.optimizer.param_groups])
    return found


def schedulers():
    for name, args, kwargs in (("StepLR", (2,), dict(gamma=0.5)), ("MultiStepLR", ([1, 3],), dict(gamma=0.5)), ("ConstantLR", (), dict(factor=0.5, total_iters=3)),
                               ("LinearLR", (), dict(start_factor=0.5, end_factor=1.0, total_iters=3)), ("ExponentialLR", (0.5,), {}), ("PolynomialLR", (), dict(total_iters=4, power=2.0)),
                               ("CosineAnnealingLR", (4,), dict(eta_min=0.0)), ("CyclicLR", (0.1, 0.5), dict(step_size_up=2, mode="triangular")),
                               ("CosineAnnealingWarmRestarts", (2,), dict(T_mult=2, eta_min=0.0)), ("OneCycleLR", (0.5,), dict(total_steps=10)),
                               ("ReduceLROnPlateau", ("min",), dict(factor=0.5, patience=1)), ("LambdaLR", (0.5,), {}), ("MultiplicativeLR", (0.5,), {}), ("SequentialLR", ([], [1]), {}),
                               ("ChainedScheduler", (), {})):
        yield Case(f"lr_scheduler.{name}", getattr(torch.optim.lr_scheduler, name), getattr(rt.optim.lr_scheduler, name), (Made("SGD"), *args), kwargs, [Use("step", rates)])


# ---- data -------------------------------------------------------------------------------------------------
def batches(made):
    return [made_one for made_one, _ in zip(made, range(8))]


def data():
    for name, args, kwargs, random in (("DataLoader", (Made("TensorDataset"),), dict(batch_size=2, shuffle=False), False), ("DataLoader", (Made("TensorDataset"), 2, True), {}, True),
                                       ("TensorDataset", (torch.ones(3, 2), torch.ones(3)), {}, False), ("Subset", (Made("TensorDataset"), [0, 2]), {}, False),
                                       ("ConcatDataset", ([Made("TensorDataset"), Made("TensorDataset")],), {}, False), ("StackDataset", (Made("TensorDataset"), Made("TensorDataset")), {}, False),
                                       ("SequentialSampler", (Made("TensorDataset"),), {}, False), ("RandomSampler", (Made("TensorDataset"),), dict(replacement=True, num_samples=4), True),
                                       ("SubsetRandomSampler", ([0, 1, 2],), {}, True), ("WeightedRandomSampler", ([0.1, 0.9], 3), dict(replacement=True), True),
                                       ("BatchSampler", (Made("m.utils.data.SequentialSampler(range(5))"), 2, False), {}, False),
                                       ("random_split", (Made("TensorDataset"), [4, 2]), {}, True)):
        yield Case(f"data.{name}", getattr(torch.utils.data, name), getattr(rt.utils.data, name), args, kwargs, [Use("batches", batches, values=not random)])


# ---- distributions ----------------------------------------------------------------------------------------
def log_prob(made, value):
    return made.log_prob(value)


def sample(made, shape):
    return made.sample(shape)


def cdf(made, value):
    return made.cdf(value)


def icdf(made, value):
    return made.icdf(value)


def expand(made, shape):
    return made.expand(shape).batch_shape


def distributions():
    import test_distributions_parity as cases
    for name, given in cases.CASES:
        if not hasattr(torch.distributions, name):
            continue
        kwargs = {k: torch.tensor(v.data) if isinstance(v, cases.V) else v for k, v in given.items()}
        if any(not isinstance(v, (torch.Tensor, int, float, bool, str, type(None))) for v in kwargs.values()):
            continue
        torch.manual_seed(3)
        try:
            made = getattr(torch.distributions, name)(**kwargs)
            value = made.sample()
        except Exception:
            continue
        uses = [Use("log_prob", log_prob, (value,)), Use("sample", sample, ((2,),), values=False), Use("expand", expand, (tuple(made.batch_shape),)), Use("entropy", lambda d: d.entropy()),
                Use("mean", lambda d: d.mean), Use("cdf", cdf, (value,)), Use("icdf", icdf, (torch.full(value.shape, 0.5),))]
        yield Case(f"distributions.{name}", getattr(torch.distributions, name), getattr(rt.distributions, name), (), kwargs, uses)


# ---- the sweep --------------------------------------------------------------------------------------------
def of(side, value, original=None):
    """An argument for one of the libraries."""
    if isinstance(value, Made):
        return value.of(side)
    if isinstance(value, Tensors):
        return of(side, value.change(original if not isinstance(original, Made) else torch.ones(2)))
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(of(side, v, original) for v in value)
    return for_torch(value, original) if side is torch else for_here(for_torch(value, original))


def settle(value):
    """An iterator's answers, which may raise."""
    return list(value) if isinstance(value, collections.abc.Iterator) else value


def differs(theirs, ours, want, got, values=True):
    """(class of difference or None, text)."""
    if theirs is not None and ours is not None:
        return None if catches(theirs, ours) else "type", f"PyTorch {theirs!r}"[:200] + f", here {ours!r}"[:200]
    if theirs is not None:
        return "silent", f"PyTorch {theirs!r}"[:250]
    if ours is not None:
        return "refused", f"here {ours!r}"[:250]
    difference = same(want, got, values)
    return ("value" if difference else None), str(difference)


def used(use, made):
    return outcome(lambda: settle(use.run(made, *[of(torch, v) for v in use.args], **{k: of(torch, v) for k, v in use.kwargs.items()})), (), {})


def use(case, use, a, b, args=(), kwargs=None, originals=None, values=True):
    """Compare one use of what was made."""
    args, kwargs = args or use.args, use.kwargs if kwargs is None else kwargs
    originals = originals or {}
    ta, tk = [of(torch, v, originals.get(i)) for i, v in enumerate(args)], {k: of(torch, v, originals.get(k)) for k, v in kwargs.items()}
    ra, rk = [of(rt, v, originals.get(i)) for i, v in enumerate(args)], {k: of(rt, v, originals.get(k)) for k, v in kwargs.items()}
    torch.manual_seed(0)
    want, theirs = outcome(lambda *x, **k: settle(use.run(a, *x, **k)), ta, tk)
    got, ours = outcome(lambda *x, **k: settle(use.run(b, *x, **k)), ra, rk)
    return differs(theirs, ours, want, got, values and use.values)


def sweep(pattern="", part=(0, 1), note=None):
    """Yield (class, what is wrong, class of difference, text); class of difference None: alike."""
    seen = set()
    for case in (c for family in (modules, optimizers, schedulers, data, distributions) for c in family()):
        if not re.search(pattern, case.name) or zlib.crc32(case.name.encode()) % part[1] != part[0]:
            continue
        for wrong, args, kwargs in made_wrong(case):
            if (case.name, wrong) in seen or ENDLESS.search(f"{case.name.rsplit('.')[-1]} {wrong}"):
                continue
            seen.add((case.name, wrong))
            if note is not None:
                note(f"{case.name} {wrong}")
            i = wrong.split()[0]
            original = case.args[int(i)] if i.isdigit() else case.kwargs.get(i)
            try:
                ta, tk = [of(torch, v, original) for v in args], {k: of(torch, v, original) for k, v in kwargs.items()}
                ra, rk = [of(rt, v, original) for v in args], {k: of(rt, v, original) for k, v in kwargs.items()}
            except Exception:
                continue
            a, theirs = outcome(case.theirs, ta, tk)
            b, ours = outcome(case.ours, ra, rk)
            kind, text = differs(theirs, ours, None, None)
            if kind == "refused" and any(e is not None and catches(e, ours) for u in case.uses[:1] for _, e in [used(u, a)]):
                kind = None                          # refused here when it is made, by PyTorch whenever it is called
            if kind is None and theirs is None and ours is None:
                if isinstance(a, torch.nn.Module) and (difference := same_weights(a, b)):
                    kind, text = "value", difference
                else:
                    kind, text = next(((k, f"{u.name}: {t}") for u in case.uses for k, t in [use(case, u, a, b, values=not wrong.startswith("shuffle"))] if k), (None, ""))
            yield case.name, wrong, kind, text.replace("\n", " ")
        right = outcome(case.theirs, [of(torch, v) for v in case.args], {k: of(torch, v) for k, v in case.kwargs.items()})
        for u in case.uses if right[1] is None else ():
            for wrong, args, kwargs in mutations.wrong_calls(u.args, u.kwargs, "float32", None):
                wrong = f"{u.name}.{wrong}"
                if (case.name, wrong) in seen:
                    continue
                seen.add((case.name, wrong))
                if note is not None:
                    note(f"{case.name} {wrong}")
                i = wrong.split()[0].split(".")[1]
                originals = {int(i): u.args[int(i)]} if i.isdigit() else {i: u.kwargs.get(i)}
                a = case.theirs(*[of(torch, v) for v in case.args], **{k: of(torch, v) for k, v in case.kwargs.items()})
                b = case.ours(*[of(rt, v) for v in case.args], **{k: of(rt, v) for k, v in case.kwargs.items()})
                if isinstance(a, torch.nn.Module):
                    same_weights(a, b)
                try:
                    found = use(case, u, a, b, args, kwargs, originals)
                except LookupError:                  # no such tensor
                    continue
                yield case.name, wrong, *found[:1], found[1].replace("\n", " ")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    sys.exit(mutations.main(sweep, LIST, __doc__))
