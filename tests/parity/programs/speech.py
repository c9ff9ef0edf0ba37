"""Speech: mel filters over stft, masking of bands, convolutions with weight norm, a bidirectional LSTM, CTC, greedy and prefix decoding, edit distance; a WaveNet stack; RNN-T-like lattice."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils import parametrizations, remove_weight_norm, weight_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.manual_seed(0)
SR, FFT, HOP, MEL = 800, 64, 16, 12


def mel_filters():
    hz = lambda m: 700 * (10 ** (m / 2595) - 1)
    top = 2595 * math.log10(1 + SR / 2 / 700)
    f = hz(torch.linspace(0, top, MEL + 2))
    bins = torch.linspace(0, SR / 2, FFT // 2 + 1)
    d = f[1:] - f[:-1]
    s = f[:, None] - bins
    return torch.minimum(-s[:-2] / d[:-1, None], s[2:] / d[1:, None]).clamp(min=0)


wave = torch.stack([torch.sin(torch.arange(800.0) * (0.1 + 0.05 * i)) + 0.1 * torch.randn(800) for i in range(3)])
spec = torch.stft(wave, FFT, HOP, FFT, torch.hann_window(FFT), center=True, pad_mode="reflect", normalized=True, return_complex=True)
mel = mel_filters() @ spec.abs().pow(2)
x = torch.log(mel + 1e-6)
x = (x - x.mean((1, 2), keepdim=True)) / x.std((1, 2), keepdim=True)
print(spec.shape, spec.dtype, mel.mean(), x[0, :3, 5])
for _ in range(2):
    w, f0 = torch.randint(1, 4, ()).item(), torch.randint(0, MEL - 4, ()).item()
    x[:, f0:f0 + w] = 0
    w, t0 = torch.randint(1, 9, ()).item(), torch.randint(0, x.size(2) - 9, ()).item()
    x = x.masked_fill((torch.arange(x.size(2)) >= t0) & (torch.arange(x.size(2)) < t0 + w), 0.0)
print(x.abs().sum(), (x == 0).sum())


class Acoustic(nn.Module):
    def __init__(self, vocab=6):
        super().__init__()
        self.conv = nn.Sequential(parametrizations.weight_norm(nn.Conv1d(MEL, 16, 5, 2, 2, bias=False)), nn.BatchNorm1d(16), nn.Hardtanh(0, 20, inplace=True), nn.Dropout(0.1),
                                  nn.Conv1d(16, 16, 3, padding=1, groups=4), nn.PReLU(16))
        self.rnn = nn.LSTM(16, 10, num_layers=2, bidirectional=True, batch_first=True, dropout=0.2)
        self.fc = nn.Sequential(nn.LayerNorm(20), nn.Linear(20, vocab))

    def forward(self, x, lengths):
        y = self.conv(x).transpose(1, 2)
        lengths = (lengths - 1) // 2 + 1
        out, (h, c) = self.rnn(pack_padded_sequence(y, lengths, batch_first=True, enforce_sorted=False))
        out, _ = pad_packed_sequence(out, batch_first=True)
        return self.fc(out).log_softmax(-1), lengths


net, lengths = Acoustic(), torch.tensor([51, 40, 33])
targets, tl = torch.tensor([[1, 2, 3, 3], [4, 5, 1, 0], [2, 2, 0, 0]]), torch.tensor([4, 3, 2])
ctc = nn.CTCLoss(blank=0, zero_infinity=True)
opt = torch.optim.AdamW(net.parameters(), lr=1e-2)
for step in range(5):
    logp, ol = net(x, lengths)
    loss = ctc(logp.transpose(0, 1), targets, ol, tl)
    opt.zero_grad()
    loss.backward()
    g = nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    opt.step()
    print(step, f"{loss.item():.4f} {g.item():.4f}", ol.tolist())
net.eval()
with torch.no_grad():
    logp, ol = net(x, lengths)
greedy = [[k for k in torch.unique_consecutive(p[:n]).tolist() if k] for p, n in zip(logp.argmax(-1), ol)]


def prefix(logp, width=3):
    beams = {(): (0.0, -math.inf)}
    add = lambda *v: float(torch.logsumexp(torch.tensor(v), 0)) if max(v) > -math.inf else -math.inf
    for row in logp.tolist():
        new = {}
        for p, (b, nb) in beams.items():
            for k, s in enumerate(row):
                if k == 0:
                    q = new.get(p, (-math.inf, -math.inf)); new[p] = (add(q[0], b + s, nb + s), q[1])
                    continue
                q = new.get((*p, k), (-math.inf, -math.inf))
                if p and p[-1] == k:
                    new[(*p, k)] = (q[0], add(q[1], b + s))
                    r = new.get(p, (-math.inf, -math.inf)); new[p] = (r[0], add(r[1], nb + s))
                else:
                    new[(*p, k)] = (q[0], add(q[1], b + s, nb + s))
        beams = dict(sorted(new.items(), key=lambda kv: -add(*kv[1]))[:width])
    return [(p, round(add(*v), 3)) for p, v in beams.items()]


print(greedy, prefix(logp[0, :12].double()))


def edit(a, b):
    d = torch.zeros(len(a) + 1, len(b) + 1, dtype=torch.int64)
    d[:, 0], d[0] = torch.arange(len(a) + 1), torch.arange(len(b) + 1)
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (a[i - 1] != b[j - 1]))
    return d[-1, -1].item()


print([edit(g, t[:n].tolist()) for g, t, n in zip(greedy, targets, tl)])


class WaveNet(nn.Module):
    def __init__(self, c=4, layers=4):
        super().__init__()
        self.front = weight_norm(nn.Conv1d(1, c, 1))
        self.gates = nn.ModuleList([weight_norm(nn.Conv1d(c, 2 * c, 2, dilation=2 ** i, padding=2 ** i)) for i in range(layers)])
        self.skips = nn.ModuleList([weight_norm(nn.Conv1d(c, 2 * c, 1)) for _ in range(layers)])
        self.end = nn.Sequential(nn.ReLU(), nn.Conv1d(c, c, 1), nn.ReLU(), nn.Conv1d(c, 16, 1))

    def forward(self, x):
        h, skip = self.front(x), 0
        for gate, out in zip(self.gates, self.skips):
            a, b = gate(h)[..., :h.size(-1)].chunk(2, 1)
            r, s = out(torch.tanh(a) * torch.sigmoid(b)).chunk(2, 1)
            h, skip = (h + r) * 0.5 ** 0.5, skip + s
        return self.end(skip)


wn = WaveNet()
mu = torch.sign(wave) * torch.log1p(15 * wave.abs().clamp(max=1)) / math.log(16)
codes = ((mu + 1) / 2 * 15 + 0.5).long()
loss = F.cross_entropy(wn(mu[:, None, :200])[..., :-1], codes[:, 1:200])
loss.backward()
print(f"{loss.item():.5f}", wn.front.weight_g.grad.flatten(), sorted(k for k in wn.state_dict() if k.startswith("front")))
before = wn(mu[:1, None, :50])
for m in (wn.front, *wn.gates, *wn.skips):
    remove_weight_norm(m)
print(torch.allclose(wn(mu[:1, None, :50]), before, atol=1e-6), [n for n, _ in wn.named_parameters()][:3])
joint = torch.log_softmax(torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64), -1).requires_grad_()
y = [2, 1, 4]
alpha = [[None] * 4 for _ in range(6)]
for t in range(6):
    for u in range(4):
        ways = ([alpha[t - 1][u] + joint[t - 1, u, 0]] if t else []) + ([alpha[t][u - 1] + joint[t, u - 1, y[u - 1]]] if u else [])
        alpha[t][u] = torch.logsumexp(torch.stack(ways), 0) if ways else joint.new_zeros(())
nll = -(alpha[5][3] + joint[5, 3, 0])
nll.backward()
print(nll, joint.grad.exp().sum(), joint.grad[0, 0])
