"""Mixture of experts with capacity, graph attention by scatter, capsules, a memory of codes (VQ), contrastive losses with a queue, self-distillation."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)


class MoE(nn.Module):
    def __init__(self, d=8, experts=4, k=2):
        super().__init__()
        self.gate = nn.Linear(d, experts, bias=False)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(d, 2 * d), nn.SiLU(), nn.Linear(2 * d, d)) for _ in range(experts))
        self.k = k

    def forward(self, x):
        flat = x.reshape(-1, x.size(-1))
        logits = self.gate(flat)
        weights, chosen = torch.topk(F.softmax(logits, dim=1, dtype=torch.float), self.k, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        out = torch.zeros_like(flat)
        mask = F.one_hot(chosen, num_classes=len(self.experts)).permute(2, 1, 0)
        for e, expert in enumerate(self.experts):
            idx, top = torch.where(mask[e])
            if top.shape[0] == 0:
                continue
            out.index_add_(0, top, expert(flat[None, top].reshape(-1, flat.size(1))) * weights[top, idx, None])
        load = F.one_hot(chosen[:, 0], len(self.experts)).float().mean(0)
        return out.view_as(x), (load * logits.softmax(1).mean(0)).sum() * len(self.experts)


moe = MoE()
opt = torch.optim.Adagrad(moe.parameters(), lr=0.05)
x = torch.randn(2, 5, 8)
for step in range(3):
    out, aux = moe(x)
    loss = F.mse_loss(out, x.roll(1, -1)) + 0.01 * aux
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, f"{loss.item():.5f} {aux.item():.5f}", [f"{sum(p.grad.abs().sum() for p in e.parameters() if p.grad is not None):.4f}" for e in moe.experts])


class GAT(nn.Module):
    def __init__(self, a, b, heads):
        super().__init__()
        self.lin, self.heads = nn.Linear(a, heads * b, bias=False), heads
        self.src, self.dst = (nn.Parameter(torch.empty(1, heads, b)) for _ in range(2))
        nn.init.xavier_uniform_(self.src); nn.init.xavier_uniform_(self.dst)

    def forward(self, x, edges):
        n = x.size(0)
        h = self.lin(x).view(n, self.heads, -1)
        s, t = edges
        e = F.leaky_relu(((h * self.src).sum(-1))[s] + ((h * self.dst).sum(-1))[t], 0.2)
        top = torch.full((n, self.heads), float("-inf")).scatter_reduce(0, t[:, None].expand_as(e), e, "amax")
        w = (e - top[t]).exp()
        w = w / torch.zeros(n, self.heads).index_add(0, t, w)[t].clamp_min(1e-16)
        return torch.zeros_like(h).index_add(0, t, w.unsqueeze(-1) * h[s]).flatten(1), w


edges = torch.tensor([[0, 1, 2, 3, 4, 0, 2, 5, 5], [1, 2, 3, 4, 0, 2, 4, 5, 0]])
gat = GAT(3, 4, 2)
h, w = gat(torch.randn(6, 3), edges)
(h.sin().sum()).backward()
print(h.shape, w.sum(), gat.src.grad.norm(), gat.lin.weight.grad.norm())


class VectorQuantizer(nn.Module):
    def __init__(self, n=6, d=4, decay=0.9):
        super().__init__()
        self.embedding = nn.Embedding(n, d)
        self.embedding.weight.data.uniform_(-1 / n, 1 / n)
        self.register_buffer("cluster", torch.zeros(n)); self.register_buffer("ema", self.embedding.weight.data.clone())
        self.decay = decay

    def forward(self, z):
        d = z.pow(2).sum(1, keepdim=True) + self.embedding.weight.pow(2).sum(1) - 2 * z @ self.embedding.weight.t()
        codes = d.argmin(1)
        one = F.one_hot(codes, d.size(1)).type_as(z)
        q = self.embedding(codes)
        if self.training:
            with torch.no_grad():
                self.cluster.mul_(self.decay).add_(one.sum(0), alpha=1 - self.decay)
                self.ema.mul_(self.decay).add_(one.t() @ z, alpha=1 - self.decay)
                n = self.cluster.sum()
                self.embedding.weight.data.copy_(self.ema / ((self.cluster + 1e-5) / (n + 6e-5) * n).unsqueeze(1))
        p = one.mean(0)
        return z + (q - z).detach(), 0.25 * F.mse_loss(q.detach(), z), torch.exp(-(p * (p + 1e-10).log()).sum()), codes


vq, z = VectorQuantizer(), torch.randn(20, 4, requires_grad=True)
for _ in range(2):
    q, commit, perplexity, codes = vq(z)
    print(f"{commit.item():.5f} {perplexity.item():.4f}", codes.tolist(), f"{vq.embedding.weight.norm().item():.4f}")
(q.sum() + commit).backward()
print(z.grad[0], vq.cluster)


def info_nce(q, k, queue, t=0.2):
    q, k = F.normalize(q, dim=1), F.normalize(k, dim=1)
    logits = torch.cat([torch.einsum("nc,nc->n", q, k).unsqueeze(-1), torch.einsum("nc,ck->nk", q, queue.clone().detach())], 1) / t
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


def supcon(f, labels, t=0.1):
    f = F.normalize(f, dim=1)
    sim = (f @ f.T / t)
    sim = sim - sim.max(1, keepdim=True)[0].detach()
    eye = torch.eye(len(f), dtype=torch.bool)
    pos = labels[:, None].eq(labels[None]) & ~eye
    logp = sim - (sim.exp() * ~eye).sum(1, keepdim=True).log()
    return -((pos * logp).sum(1) / pos.sum(1).clamp(min=1)).mean()


def barlow(a, b):
    a, b = ((v - v.mean(0)) / v.std(0) for v in (a, b))
    c = a.T @ b / len(a)
    return (c.diagonal() - 1).pow(2).sum() + 5e-3 * (c - torch.diag(c.diagonal())).pow(2).sum()


base = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
momentum = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))
momentum.load_state_dict(base.state_dict())
queue, ptr = F.normalize(torch.randn(4, 16), dim=0), 0
opt = torch.optim.ASGD(base.parameters(), lr=0.05)
labels = torch.tensor([0, 1, 0, 1, 2, 2, 0, 1])
center = torch.zeros(4)
for step in range(4):
    x = torch.randn(8, 6)
    q = base(x + 0.1 * torch.randn_like(x))
    with torch.no_grad():
        for a, b in zip(base.parameters(), momentum.parameters()):
            b.data = b.data * 0.9 + a.data * 0.1
        k = momentum(x)
    dino = -(F.softmax((k - center) / 0.04, -1) * F.log_softmax(q / 0.1, -1)).sum(-1).mean()
    triplet = F.triplet_margin_with_distance_loss(q, k, k.flip(0), distance_function=lambda a, b: 1 - F.cosine_similarity(a, b), margin=0.5)
    kd = F.kl_div(F.log_softmax(q / 4, 1), F.softmax(k / 4, 1), reduction="batchmean") * 16
    losses = (info_nce(q, k, queue), supcon(q, labels), barlow(q, k), dino, triplet, kd, F.cosine_embedding_loss(q, k, torch.tensor([1, -1] * 4), margin=0.1))
    opt.zero_grad()
    sum(losses).backward()
    opt.step()
    queue[:, ptr:ptr + 8] = F.normalize(k, dim=1).T
    ptr = (ptr + 8) % 16
    center = center * 0.9 + k.mean(0) * 0.1
    print(step, *(f"{v.item():.4f}" for v in losses), f"{center.norm().item():.4f}")
