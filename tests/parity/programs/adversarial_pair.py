"""A small GAN as in tutorials: spectral norm, transposed convolutions, an optimizer of earlier years' spelling, gradient penalty, fixed noise."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils import spectral_norm
from torch.optim.optimizer import Optimizer

torch.manual_seed(0)


class OldRAdam(Optimizer):
    """As it was written in 2019: add_(number, tensor), addcmul_(number, t1, t2)."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    def step(self, closure=None):
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad, state = p.grad.data.float(), self.state[p]
                data = p.data.float()
                if len(state) == 0:
                    state["step"] = 0
                    state["exp_avg"] = torch.zeros_like(data)
                    state["exp_avg_sq"] = torch.zeros_like(data)
                beta1, beta2 = group["betas"]
                state["exp_avg_sq"].mul_(beta2).addcmul_(1 - beta2, grad, grad)
                state["exp_avg"].mul_(beta1).add_(1 - beta1, grad)
                state["step"] += 1
                beta2_t = beta2 ** state["step"]
                n_max = 2 / (1 - beta2) - 1
                n = n_max - 2 * state["step"] * beta2_t / (1 - beta2_t)
                if group["weight_decay"] != 0:
                    data.add_(-group["weight_decay"] * group["lr"], data)
                if n >= 5:
                    size = group["lr"] * math.sqrt((1 - beta2_t) * (n - 4) / (n_max - 4) * (n - 2) / n * n_max / (n_max - 2)) / (1 - beta1 ** state["step"])
                    data.addcdiv_(-size, state["exp_avg"], state["exp_avg_sq"].sqrt().add_(group["eps"]))
                else:
                    data.add_(-group["lr"] / (1 - beta1 ** state["step"]), state["exp_avg"])
                p.data.copy_(data)
        return loss


class Generator(nn.Module):
    def __init__(self, z=8, width=8):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(z, width * 2, 4, 1, 0, bias=False), nn.BatchNorm2d(width * 2), nn.ReLU(True),
            nn.ConvTranspose2d(width * 2, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True),
            nn.ConvTranspose2d(width, 1, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, z):
        return self.main(z)


class Critic(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.main = nn.Sequential(
            spectral_norm(nn.Conv2d(1, width, 4, 2, 1)), nn.LeakyReLU(0.2, inplace=True),
            spectral_norm(nn.Conv2d(width, width * 2, 4, 2, 1)), nn.InstanceNorm2d(width * 2, affine=True), nn.LeakyReLU(0.2, inplace=True),
            nn.Flatten(), nn.Dropout(0.25), nn.Linear(width * 2 * 16, 1))

    def forward(self, x):
        return self.main(x).squeeze(1)


def weights_init(m):
    name = m.__class__.__name__
    if name.find("ConvTranspose") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.02)
    elif name.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


g, d = Generator(), Critic()
g.apply(weights_init)
opt_g = OldRAdam(g.parameters(), lr=2e-3, betas=(0.5, 0.999))
opt_d = torch.optim.Adam(d.parameters(), lr=2e-3, betas=(0.5, 0.999), foreach=False)
criterion = nn.BCEWithLogitsLoss()
fixed = torch.randn(4, 8, 1, 1)
for step in range(6):
    real = torch.rand(8, 1, 16, 16) * 2 - 1
    d.zero_grad()
    out = d(real)
    loss_real = criterion(out, torch.empty_like(out).uniform_(0.8, 1.0))
    fake = g(torch.randn(8, 8, 1, 1))
    loss_fake = criterion(d(fake.detach()), torch.zeros(8))
    eps = torch.rand(8, 1, 1, 1)
    mixed = (eps * real + (1 - eps) * fake.detach()).requires_grad_()
    grads, = torch.autograd.grad(d(mixed).sum(), mixed, create_graph=True)
    penalty = ((grads.view(8, -1).norm(2, dim=1) - 1) ** 2).mean()
    (loss_real + loss_fake + 0.1 * penalty).backward()
    opt_d.step()
    g.zero_grad()
    loss_g = F.softplus(-d(fake)).mean()
    loss_g.backward()
    opt_g.step()
    print(step, *(f"{v.item():.4f}" for v in (loss_real, loss_fake, penalty, loss_g)))
g.eval()
with torch.no_grad():
    image = g(fixed)
print(image.shape, image.mean().item(), image.std().item(), image[0, 0, 3, :4])
print([k for k in d.state_dict() if "weight_" in k], d.main[0].weight_u[:3])
print(sorted(opt_g.state_dict()["state"][0]), opt_g)
