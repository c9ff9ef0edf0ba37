"""Triplets, contrastive and hard losses, with a weighted sampler."""
import torch
from torch import nn, optim
from torch.utils.data import Dataset, DataLoader, WeightedRandomSampler, Subset, ConcatDataset


class TripletSet(Dataset):
    def __init__(self, n=200):
        self.y = torch.arange(n) % 5
        c = torch.randn(5, 64)
        self.x = c[self.y] + 0.7 * torch.randn(n, 64)
    def __len__(self): return len(self.y)
    def __getitem__(self, i):
        a, y = self.x[i], self.y[i]
        same = torch.nonzero(self.y == y, as_tuple=True)[0]
        other = torch.where(self.y != y)[0]
        p = same[torch.randint(len(same), (1,))].item()
        n = other[torch.randint(len(other), (1,))].item()
        return a, self.x[p], self.x[n], y


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 128), nn.BatchNorm1d(128), nn.PReLU(), nn.Dropout(0.2), nn.Linear(128, 32))
    def forward(self, x): return nn.functional.normalize(self.net(x), p=2, dim=-1)


def build():
    torch.manual_seed(7)
    ds = TripletSet()
    w = torch.rand(len(ds)) + .1
    dl = DataLoader(ds, batch_size=32, sampler=WeightedRandomSampler(w, len(ds)))
    net = Net()
    tl = nn.TripletMarginLoss(margin=0.3)
    tl2 = nn.TripletMarginWithDistanceLoss(distance_function=lambda a, b: 1.0 - nn.functional.cosine_similarity(a, b), margin=.2)
    ce = nn.CosineEmbeddingLoss(margin=.1)
    opt = optim.NAdam(net.parameters(), lr=1e-3)
    it = iter(dl)
    def contrastive(a, b, same, m=1.0):
        d = nn.functional.pairwise_distance(a, b, keepdim=True)
        return torch.mean(same * d.pow(2) + (1 - same) * torch.clamp(m - d, min=0.0).pow(2))
    def step(i):
        nonlocal it
        try: a, p, n, y = next(it)
        except StopIteration:
            it = iter(dl)
            a, p, n, y = next(it)
        ea, ep, en = net(a), net(p), net(n)
        loss = tl(ea, ep, en) + tl2(ea, ep, en) + ce(ea, en, -torch.ones(len(a))) + contrastive(ea, ep, torch.ones(len(a), 1))
        dist = torch.cdist(ea, ea)
        mask = (y[:, None] == y[None, :]) & ~torch.eye(len(y), dtype=torch.bool)
        hard_p = (dist * mask).max(1).values
        hard_n = dist.masked_fill(y[:, None] == y[None, :], float('inf')).amin(1)
        loss = loss + nn.functional.softplus(hard_p - hard_n).mean()
        logits = ea @ ep.t() / 0.1
        loss = loss + nn.functional.cross_entropy(logits, torch.arange(len(a)))
        opt.zero_grad()
        loss.backward()
        opt.step()
        with torch.no_grad():
            net.eval()
            e = net(ds.x)
            net.train()
            d = torch.cdist(e, e, p=2).fill_diagonal_(float('inf'))
            knn = d.topk(3, largest=False).indices
            acc = (ds.y[knn].mode(dim=1).values == ds.y).float().mean().item()
        return loss.item(), acc
    return step, dict(net=net), dict(opt=opt)


step, models, _ = build()
for i in range(4):
    print(*step(i))
for name, model in models.items():
    print(name, model, list(model.state_dict()))
