"""Freezing, renaming keys, transfer, lazy layers, containers of modules and parameters, parametrizations."""
import copy
from collections import OrderedDict

import torch
import torch.nn as nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils import parameters_to_vector, vector_to_parameters, prune

torch.manual_seed(0)


class Old(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict({"a": nn.Linear(3, 4), "b": nn.Linear(4, 4)})
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(1) * i) for i in range(3)])
        self.named = nn.ParameterDict({"left": nn.Parameter(torch.zeros(2)), "right": nn.Parameter(torch.ones(2))})
        self.register_buffer("running", torch.zeros(2))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.maybe = None
        self.register_parameter("none", None)

    def forward(self, x):
        for key, layer in self.encoder.items():
            x = layer(x).relu()
        return x * sum(self.scales)


old = Old()
print(old)
print(list(old.state_dict()), [n for n, _ in old.named_modules()], [n for n, _ in old.named_children()])
renamed = OrderedDict((k.replace("encoder.", "backbone."), v) for k, v in old.state_dict().items())
print(list(renamed)[:2], renamed["scales.1"], old.state_dict()._metadata[""] if hasattr(old.state_dict(), "_metadata") else None)
prefix = {"module." + k: v for k, v in old.state_dict().items()}
nn.modules.utils.consume_prefix_in_state_dict_if_present(prefix, "module.")
print(old.load_state_dict(prefix))
old.encoder["c"] = nn.Linear(4, 4)
old.encoder.pop("b")
old.scales.append(nn.Parameter(torch.ones(1)))
old.scales.extend([nn.Parameter(torch.ones(1) * 9)])
old.named.update({"up": nn.Parameter(torch.ones(1))})
del old.named["left"]
print(len(old.encoder), len(old.scales), list(old.named.keys()), "c" in old.encoder, old(torch.ones(2, 3)).shape)
seq = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
seq.append(nn.Linear(2, 3)).insert(1, nn.BatchNorm1d(2))
seq.extend([nn.Sigmoid()])
seq[1] = nn.Identity()
del seq[-1]
print(seq, len(seq), seq[-1].out_features, seq[:2])
seq.add_module("extra", nn.Tanh())
print(seq.get_submodule("extra"), seq.get_parameter("0.weight").shape, [type(m).__name__ for m in seq.modules()])
layers = nn.ModuleList([nn.Linear(2, 2)])
layers += [nn.Linear(2, 2)]
layers.insert(0, nn.Dropout())
layers.extend(nn.ModuleList([nn.ReLU()]))
print(layers, layers[1:3], layers.pop(0))
vec = parameters_to_vector(seq.parameters())
print(vec.shape, vec.dtype)
vector_to_parameters(torch.arange(float(vec.numel())), seq.parameters())
print(seq[0].weight, seq[0].bias)
wn = parametrizations.weight_norm(nn.Linear(3, 2), dim=0)
print(wn, sorted(wn.state_dict()), wn.parametrizations.weight.original0.shape)
sn = parametrizations.spectral_norm(nn.Linear(3, 4), n_power_iterations=5)
for _ in range(20):
    sn(torch.ones(1, 3))
print(sorted(sn.state_dict()), f"{torch.linalg.matrix_norm(sn.weight.detach(), 2):.3f}")
orth = parametrizations.orthogonal(nn.Linear(4, 4))
print(torch.allclose(orth.weight @ orth.weight.T, torch.eye(4), atol=1e-5), parametrize.is_parametrized(orth, "weight"))


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).transpose(-1, -2)

    def right_inverse(self, x):
        return x.triu()


lin = nn.Linear(3, 3)
parametrize.register_parametrization(lin, "weight", Symmetric())
print(torch.equal(lin.weight, lin.weight.T), type(lin).__name__, [n for n, _ in lin.named_parameters()])
with parametrize.cached():
    print(lin.weight is lin.weight)
lin.weight = torch.ones(3, 3)
parametrize.remove_parametrizations(lin, "weight")
print(lin.weight, isinstance(lin.weight, nn.Parameter), type(lin).__name__)
old_norm = nn.utils.weight_norm(nn.Linear(3, 2), name="weight")
print(sorted(old_norm.state_dict()))
nn.utils.remove_weight_norm(old_norm)
print(sorted(old_norm.state_dict()))
prune.l1_unstructured(lin, "weight", amount=0.5)
print(sorted(n for n, _ in lin.named_buffers()), int(lin.weight_mask.sum()), prune.is_pruned(lin))
prune.remove(lin, "weight")
lazy = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyBatchNorm1d(), nn.LazyLinear(1))
print(lazy)
lazy(torch.ones(2, 7))
print(lazy, lazy[0].weight.shape)
net = nn.Linear(2, 2)
shared = nn.Sequential(net, nn.ReLU(), net)
print(len(list(shared.parameters())), len(shared.state_dict()), len(list(shared.named_parameters(remove_duplicate=False))))
twin = copy.deepcopy(shared)
print(twin[0] is twin[2], twin[0].weight is not net.weight)
p = nn.Parameter(torch.ones(2), requires_grad=False)
print(p, isinstance(p, torch.Tensor), nn.Buffer(torch.ones(1)), p.requires_grad)
try:
    net.weight = torch.ones(2, 2)
except TypeError as e:
    print("TypeError", e)
try:
    net.missing
except AttributeError as e:
    print("AttributeError", e)
net.register_buffer("b2", torch.ones(1))
try:
    net.register_buffer("b2", torch.ones(1))
    net.register_buffer("weight", torch.ones(1))
except KeyError as e:
    print("KeyError", e)
print(net.extra_repr(), net.training, net.eval().training, net.train(True).training, net.double().weight.dtype, net.half().b2.dtype, net.type(torch.float32).weight.dtype)


target = nn.Linear(2, 2)
target._register_load_state_dict_pre_hook(lambda sd, prefix, *a: sd.__setitem__(prefix + "weight", sd.pop(prefix + "w")))
print(target.load_state_dict({"w": torch.ones(2, 2), "bias": torch.zeros(2)}), target.weight.tolist())
print(target.load_state_dict({"w": torch.full((2, 2), 3.0), "bias": torch.zeros(2)}, assign=True), type(target.weight).__name__, target.weight.sum().item())
