"""Graph convolution and attention by scatter, index_add and sparse products."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class GCN(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(i, o))
        self.bias = nn.Parameter(torch.zeros(o))
        nn.init.xavier_uniform_(self.weight)
    def forward(self, x, ei):
        n = x.size(0)
        row, col = ei
        deg = torch.zeros(n).scatter_add_(0, row, torch.ones(row.size(0)))
        dis = deg.pow(-0.5)
        dis[dis == float('inf')] = 0
        norm = dis[row] * dis[col]
        x = x @ self.weight
        return torch.zeros_like(x).index_add_(0, col, x[row] * norm.unsqueeze(-1)) + self.bias
    def extra_repr(self): return f"{self.weight.size(0)}, {self.weight.size(1)}"


class GAT(nn.Module):
    def __init__(self, i, o, heads=4):
        super().__init__()
        self.heads, self.o = heads, o
        self.lin = nn.Linear(i, heads * o, bias=False)
        self.att = nn.Parameter(torch.Tensor(1, heads, 2 * o))
        nn.init.xavier_uniform_(self.att)
    def forward(self, x, ei):
        h = self.lin(x).view(-1, self.heads, self.o)
        s, d = ei[0], ei[1]
        e = F.leaky_relu((torch.cat([h[s], h[d]], -1) * self.att).sum(-1), 0.2)
        mx = torch.full((x.size(0), self.heads), float('-inf')).scatter_reduce(0, d[:, None].expand_as(e), e, 'amax', include_self=True)
        a = torch.exp(e - mx[d])
        den = torch.zeros(x.size(0), self.heads).index_add(0, d, a)
        a = a / (den[d] + 1e-16)
        return torch.zeros(x.size(0), self.heads, self.o).index_add(0, d, h.index_select(0, s) * a.unsqueeze(-1)).flatten(1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = GCN(32, 64)
        self.c2 = GAT(64, 16)
        self.c3 = GCN(64, 7)
        self.drop = 0.5
    def forward(self, x, ei, batch):
        x = F.relu(self.c1(x, ei))
        x = F.dropout(x, self.drop, self.training)
        x = F.elu(self.c2(x, ei))
        x = self.c3(x, ei)
        g = torch.zeros(int(batch.max()) + 1, x.size(1)).scatter_reduce_(0, batch[:, None].expand(-1, x.size(1)), x, reduce='mean', include_self=False)
        return F.log_softmax(x, dim=1), g


def build():
    torch.manual_seed(12)
    N, E = 500, 4000
    ei = torch.randint(0, N, (2, E))
    ei = torch.unique(torch.cat([ei, ei.flip(0), torch.arange(N).repeat(2, 1)], 1), dim=1)
    x = torch.randn(N, 32)
    y = torch.randint(0, 7, (N,))
    batch = torch.arange(N) // 50
    train = torch.rand(N) < .3
    adj = torch.sparse_coo_tensor(ei, torch.ones(ei.size(1)), (N, N)).coalesce()
    net = Net()
    opt = torch.optim.Adam([{'params': net.c1.parameters(), 'weight_decay': 5e-4}, {'params': list(net.c2.parameters()) + list(net.c3.parameters())}], lr=0.01)
    def step(i):
        net.train()
        opt.zero_grad()
        out, g = net(x, ei, batch)
        sm = torch.sparse.mm(adj, out)
        loss = F.nll_loss(out[train], y[train]) + 0.1 * g.var(unbiased=False) + 1e-3 * (sm / 17 - out).pow(2).mean()
        loss.backward()
        opt.step()
        net.eval()
        with torch.no_grad(): acc = int((net(x, ei, batch)[0].argmax(dim=1)[~train] == y[~train]).sum())
        return loss.item(), acc
    return step, dict(net=net), dict(opt=opt)


step, models, _ = build()
for i in range(4):
    print(*step(i))
for name, model in models.items():
    print(name, model, list(model.state_dict()))
