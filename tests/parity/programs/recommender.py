"""Factorization and two towers with sparse gradients, bags of words, BPR and sampled softmax, adaptive softmax, a forecaster with seasonal parts and quantiles, calibration."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
users, items = 12, 15


class MF(nn.Module):
    def __init__(self, d=4, sparse=True):
        super().__init__()
        self.u, self.i = nn.Embedding(users, d, sparse=sparse), nn.Embedding(items, d, sparse=sparse, max_norm=2.0)
        self.bias = nn.Embedding(items, 1, sparse=sparse, padding_idx=0)
        for e in (self.u, self.i):
            nn.init.normal_(e.weight, 0, 0.1)

    def forward(self, u, i):
        return (self.u(u) * self.i(i)).sum(-1) + self.bias(i).squeeze(-1)


mf = MF()
opt = torch.optim.SparseAdam(mf.parameters(), lr=0.05)
data = TensorDataset(torch.randint(0, users, (60,)), torch.randint(1, items, (60,)), torch.randint(0, 2, (60,)).float())
for epoch in range(2):
    total = 0.0
    for u, i, y in DataLoader(data, batch_size=16, shuffle=True):
        neg = torch.randint(1, items, i.shape)
        loss = F.binary_cross_entropy_with_logits(mf(u, i), y) - F.logsigmoid(mf(u, i) - mf(u, neg)).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() * len(u)
    g = mf.u.weight.grad
    print(epoch, f"{total / 60:.5f}", g.is_sparse, g.coalesce().indices().tolist()[0], f"{mf.i.weight.norm(dim=1).max().item():.4f}", mf.bias.weight[0].item())
bag = nn.EmbeddingBag(20, 5, mode="mean", padding_idx=0, include_last_offset=True)
words, offsets = torch.tensor([3, 4, 5, 0, 7, 7, 1, 9]), torch.tensor([0, 3, 5, 8])
tower = nn.Sequential(nn.Linear(5, 6), nn.LeakyReLU(0.1), nn.Linear(6, 4))
query = F.normalize(tower(bag(words, offsets)), dim=-1)
keys = F.normalize(mf.i(torch.arange(1, 4)).detach(), dim=-1)
logits = query @ keys.T / 0.1 - torch.log(torch.tensor([0.5, 0.3, 0.2]))
loss = F.cross_entropy(logits, torch.arange(3), label_smoothing=0.05)
loss.backward()
print(f"{loss.item():.5f}", bag.weight.grad.abs().sum(1), (bag.weight.grad[0] == 0).all().item())
adaptive = nn.AdaptiveLogSoftmaxWithLoss(6, 30, cutoffs=[5, 15], div_value=2.0)
h, t = torch.randn(10, 6), torch.randint(0, 30, (10,))
out, l = adaptive(h, t)
print(out[:3], l, adaptive.log_prob(h).exp().sum(1)[:2], adaptive.predict(h))
scores = mf(torch.arange(users)[:, None], torch.arange(1, items)[None]).detach()
top = scores.topk(5, dim=1).indices + 1
truth = torch.zeros(users, items).scatter_(1, data.tensors[1][:users, None], 1.0)
hits = truth.gather(1, top)
dcg = (hits / torch.log2(torch.arange(2.0, 7.0))).sum(1)
print(top[:3], hits.sum(), dcg.mean(), 1 / (hits.argmax(1) + 1.0)[hits.any(1)].mean() if hits.any() else 0)
u, s, v = torch.linalg.svd(scores, full_matrices=False)
print(s[:4], ((u[:, :3] * s[:3]) @ v[:3] - scores).abs().max())


class MovingAverage(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.k, self.avg = k, nn.AvgPool1d(k, 1, 0)

    def forward(self, x):
        pad = (self.k - 1) // 2
        x = torch.cat([x[:, :1].repeat(1, pad, 1), x, x[:, -1:].repeat(1, pad, 1)], dim=1)
        return self.avg(x.permute(0, 2, 1)).permute(0, 2, 1)


class Forecaster(nn.Module):
    def __init__(self, L=24, H=8, q=3):
        super().__init__()
        self.decomp, self.q = MovingAverage(5), q
        self.seasonal, self.trend = nn.Linear(L, H * q), nn.Linear(L, H * q)
        self.tcn = nn.ModuleList([nn.Conv1d(1, 1, 3, dilation=d, padding=2 * d) for d in (1, 2, 4)])
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x):
        mean, std = x.mean(1, keepdim=True).detach(), torch.sqrt(x.var(1, keepdim=True, unbiased=False) + 1e-5).detach()
        x = (x - mean) / std
        trend = self.decomp(x)
        s = (x - trend).transpose(1, 2)
        for conv in self.tcn:
            s = s + F.gelu(conv(s)[..., :s.size(-1)])
        out = self.seasonal(s) + self.trend(trend.transpose(1, 2))
        return out.view(len(x), -1, self.q) * std + mean


def pinball(pred, y, q):
    e = y.unsqueeze(-1) - pred
    return torch.maximum(q * e, (q - 1) * e).mean()


t = torch.arange(200.0)
series = torch.sin(t * 2 * torch.pi / 12) + 0.02 * t + 0.1 * torch.randn(200)
windows = series.unfold(0, 32, 4)
x, y = windows[:, :24, None], windows[:, 24:]
net, q = Forecaster(), torch.tensor([0.1, 0.5, 0.9])
opt = torch.optim.Adadelta(net.parameters(), lr=1.0)
cyclic = torch.optim.lr_scheduler.CyclicLR(torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9), 0.01, 0.1, step_size_up=3, mode="exp_range", gamma=0.9)
for step in range(5):
    loss = pinball(net(x), y, q)
    opt.zero_grad()
    loss.backward()
    opt.step()
    cyclic.optimizer.step = cyclic.optimizer.step
    print(step, f"{loss.item():.5f}")
pred = net(x).detach()
print(((y >= pred[..., 0]) & (y <= pred[..., 2])).float().mean(), F.huber_loss(pred[..., 1], y, delta=0.5), torch.quantile((pred[..., 1] - y).abs(), torch.tensor([0.5, 0.9])))
logits, labels = torch.randn(50, 4) * 3, torch.randint(0, 4, (50,))
temperature = nn.Parameter(torch.ones(1) * 1.5)
lbfgs = torch.optim.LBFGS([temperature], lr=0.1, max_iter=20)


def closure():
    lbfgs.zero_grad()
    loss = F.cross_entropy(logits / temperature, labels)
    loss.backward()
    return loss


before = lbfgs.step(closure)
conf, hit = (logits / temperature).softmax(1).max(1)
bins = torch.bucketize(conf.detach(), torch.linspace(0, 1, 6)[1:-1])
ece = sum((bins == b).float().mean() * (conf[bins == b].mean() - (hit == labels)[bins == b].float().mean()).abs() for b in bins.unique())
print(before.item(), temperature.item(), ece)
