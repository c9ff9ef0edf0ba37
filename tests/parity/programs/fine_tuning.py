"""Fine-tuning as with torchvision: residual blocks, a checkpoint under other names, frozen layers, low-rank adapters by parametrization, features by hooks, schedules in a row, resuming."""
import io
import re
from collections import OrderedDict, defaultdict

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils import parametrize, prune
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, OneCycleLR, SequentialLR

torch.manual_seed(0)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inplanes, planes, stride=1, downsample=None):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, layers, classes=10, zero_init_residual=True):
        super().__init__()
        self.inplanes = 8
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        for i, n in enumerate(layers, 1):
            setattr(self, f"layer{i}", self._make_layer(8 * 2 ** (i - 1), n, 1 if i == 1 else 2))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(8 * 2 ** (len(layers) - 1), classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)
        if zero_init_residual:
            for m in self.modules():
                if isinstance(m, BasicBlock):
                    nn.init.constant_(m.bn2.weight, 0)

    def _make_layer(self, planes, blocks, stride):
        down = None
        if stride != 1 or self.inplanes != planes:
            down = nn.Sequential(nn.Conv2d(self.inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))
        layers = [BasicBlock(self.inplanes, planes, stride, down)]
        self.inplanes = planes
        layers += [BasicBlock(planes, planes) for _ in range(1, blocks)]
        return nn.Sequential(*layers)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for name, child in self.named_children():
            if name.startswith("layer"):
                x = child(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


class LowRank(nn.Module):
    def __init__(self, out_f, in_f, rank=2, alpha=4):
        super().__init__()
        self.a, self.b, self.scale = nn.Parameter(torch.randn(rank, in_f) * 0.1), nn.Parameter(torch.zeros(out_f, rank)), alpha / rank

    def forward(self, w):
        return w + (self.b @ self.a) * self.scale


pretrained = OrderedDict((re.sub(r"^", "module.backbone.", k), v + 0.01 if v.is_floating_point() else v) for k, v in ResNet([1, 1], 5).state_dict().items())
net = ResNet([1, 1], 3)
mine = net.state_dict()
fits = {k: v for k, v in ((k.replace("module.backbone.", ""), v) for k, v in pretrained.items()) if k in mine and v.shape == mine[k].shape}
print(len(pretrained), len(fits), net.load_state_dict(fits, strict=False))
try:
    net.load_state_dict({k.replace("module.backbone.", ""): v for k, v in pretrained.items()})
except RuntimeError as error:
    print(error)
for p in net.parameters():
    p.requires_grad = False
for p in net.layer2.parameters():
    p.requires_grad_(True)
net.fc = nn.Linear(net.fc.in_features, 3)
parametrize.register_parametrization(net.fc, "weight", LowRank(3, net.fc.in_features))
net.fc.parametrizations.weight.original.requires_grad_(False)
print(net.fc, sum(p.requires_grad for p in net.parameters()), [n for n, p in net.named_parameters() if p.requires_grad][-4:])
features, stats = {}, defaultdict(list)
handles = [net.layer1.register_forward_hook(lambda m, i, o: features.__setitem__("layer1", o.detach())),
           net.layer2[0].conv1.register_full_backward_hook(lambda m, gi, go: stats["grad"].append(go[0].abs().mean().item())),
           net.avgpool.register_forward_pre_hook(lambda m, a: (a[0] * 2,))]
decay = [p for n, p in net.named_parameters() if p.requires_grad and p.dim() > 1]
rest = [p for n, p in net.named_parameters() if p.requires_grad and p.dim() <= 1]


def make():
    opt = torch.optim.SGD([dict(params=decay, weight_decay=1e-2), dict(params=rest)], lr=0.1, momentum=0.9, nesterov=True)
    return opt, SequentialLR(opt, [LinearLR(opt, 0.1, total_iters=3), CosineAnnealingLR(opt, 6)], [3])


opt, schedule = make()
data, labels = torch.randn(6, 3, 32, 32), torch.tensor([0, 1, 2, 0, 1, 2])


def train(steps):
    for step in range(steps):
        net.train()
        for m in net.modules():
            if isinstance(m, nn.BatchNorm2d) and not m.weight.requires_grad:
                m.eval()
        lam = 0.7
        at = torch.randperm(6)
        mixed = lam * data + (1 - lam) * data[at]
        out = net(mixed)
        loss = lam * F.cross_entropy(out, labels, label_smoothing=0.1) + (1 - lam) * F.cross_entropy(out, labels[at])
        opt.zero_grad()
        loss.backward()
        opt.step()
        schedule.step()
        print(f"{loss.item():.4f} {schedule.get_last_lr()[0]:.5f} {opt.param_groups[0]['weight_decay']}", features["layer1"].shape, f"{stats['grad'][-1]:.6f}")


train(4)
box = io.BytesIO()
torch.save({"net": net.state_dict(), "opt": opt.state_dict(), "schedule": schedule.state_dict(), "rng": torch.get_rng_state()}, box)
train(2)
box.seek(0)
saved = torch.load(box, weights_only=True)
net.load_state_dict(saved["net"])
opt, schedule = make()
opt.load_state_dict(saved["opt"])
schedule.load_state_dict(saved["schedule"])
torch.set_rng_state(saved["rng"])
train(2)
for h in handles:
    h.remove()
parametrize.remove_parametrizations(net.fc, "weight")
prune.global_unstructured([(m, "weight") for m in net.modules() if isinstance(m, nn.Conv2d)], prune.L1Unstructured, amount=0.3)
zeros = sum(int((m.weight == 0).sum()) for m in net.modules() if isinstance(m, nn.Conv2d))
print(zeros, sum(m.weight.numel() for m in net.modules() if isinstance(m, nn.Conv2d)), [n for n, _ in net.named_buffers() if "mask" in n][:2])
for m in net.modules():
    if isinstance(m, nn.Conv2d):
        prune.remove(m, "weight")
net.eval()
with torch.no_grad():
    before = net(data)
    fused = torch.nn.utils.fuse_conv_bn_eval(net.conv1, net.bn1)
    net.conv1, net.bn1 = fused, nn.Identity()
    print(torch.allclose(net(data), before, atol=1e-4), before.softmax(1).max(1).values)
one = OneCycleLR(torch.optim.AdamW(net.parameters()), max_lr=[0.01], total_steps=6)
print([round(one.get_last_lr()[0], 6) for _ in range(6) if (one.optimizer.step(), one.step()) and True][:5], one.optimizer.param_groups[0]["betas"])
