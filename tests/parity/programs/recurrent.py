"""LSTM, GRU, RNN; packing; cells; a character model; CTC."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence, unpad_sequence

torch.manual_seed(0)
lstm = nn.LSTM(4, 6, num_layers=2, batch_first=True, bidirectional=True, dropout=0.0)
x, lengths = torch.randn(3, 5, 4), torch.tensor([3, 5, 2])
packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
print(packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices, packed.data.shape)
out, (h, c) = lstm(packed)
padded, n = pad_packed_sequence(out, batch_first=True, padding_value=-1.0, total_length=6)
print(type(out).__name__, padded.shape, n, h.shape, c.shape, padded[2, 3].tolist())
print(padded[0].detach().sum(-1), h.detach().sum((1, 2)))
padded.sum().backward()
print({k: f"{p.grad.norm():.4f}" for k, p in lstm.named_parameters()})
print(lstm, lstm.all_weights[0][0].shape, lstm._flat_weights_names[:4])
gru = nn.GRU(4, 3, batch_first=True)
o, hn = gru(x, torch.zeros(1, 3, 3))
print(torch.allclose(o[:, -1], hn[0]), o.shape, o.detach()[0].numpy().round(3).tolist())
rnn = nn.RNN(4, 3, nonlinearity="relu", bias=False)
print(rnn(x[0])[0].shape, rnn)
cell, hx = nn.LSTMCell(4, 3), None
for t in range(5):
    hx = cell(x[:, t], hx)
print(hx[0].detach().sum(), nn.GRUCell(4, 3)(x[:, 0]).shape, nn.RNNCell(4, 3)(x[0, 0]).shape)
proj = nn.LSTM(4, 6, proj_size=2)
print(proj(x)[0].shape, proj(x)[1][1].shape)
seqs = [torch.arange(3.0), torch.arange(1.0), torch.arange(4.0)]
p = pack_sequence(seqs, enforce_sorted=False)
print(p, pad_sequence(seqs, padding_value=9), pad_sequence(seqs, True, padding_side="left"))
print(unpad_sequence(pad_sequence(seqs, True), torch.tensor([3, 1, 4]), True))
for bad in (lambda: pack_padded_sequence(x, [2, 3, 5], batch_first=True), lambda: pack_padded_sequence(x, [0, 1, 2], True, False), lambda: lstm(torch.ones(3, 5, 3)),
            lambda: gru(x, torch.zeros(1, 2, 3)), lambda: nn.LSTM(4, 0)):
    try:
        bad()
    except (RuntimeError, ValueError) as e:
        print(isinstance(e, RuntimeError), isinstance(e, ValueError), e)


class CharModel(nn.Module):
    def __init__(self, vocab, dim):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim, padding_idx=0)
        self.rnn = nn.LSTM(dim, dim, batch_first=True)
        self.attn = nn.Linear(dim, 1)
        self.out = nn.Linear(dim, vocab)

    def forward(self, ids, lengths):
        e = self.embed(ids)
        o, _ = self.rnn(pack_padded_sequence(e, lengths.cpu(), batch_first=True, enforce_sorted=False))
        o, _ = pad_packed_sequence(o, batch_first=True)
        mask = torch.arange(o.size(1))[None, :] < lengths[:, None]
        a = self.attn(o).squeeze(-1).masked_fill(~mask, -1e9).softmax(-1)
        return self.out(o), torch.bmm(a.unsqueeze(1), o).squeeze(1)


model = CharModel(9, 5)
ids = pad_sequence([torch.randint(1, 9, (n,)) for n in (6, 2, 4)], batch_first=True)
logits, pooled = model(ids, torch.tensor([6, 2, 4]))
loss = F.cross_entropy(logits.transpose(1, 2), ids, ignore_index=0, reduction="sum") / (ids != 0).sum()
loss.backward()
print(f"{loss:.4f}", model.embed.weight.grad[0].tolist(), pooled.shape, model.embed)
opt = torch.optim.RMSprop(model.parameters(), lr=0.05)
for _ in range(3):
    def closure():
        opt.zero_grad()
        loss = F.nll_loss(F.log_softmax(model(ids, torch.tensor([6, 2, 4]))[0], -1).flatten(0, 1), ids.flatten(), ignore_index=0)
        loss.backward()
        return loss
    last = opt.step(closure)
print(f"{last:.4f}")
log_probs = torch.randn(8, 2, 5, requires_grad=True)
ctc = nn.CTCLoss(blank=0, zero_infinity=True)
l = ctc(log_probs.log_softmax(2), torch.tensor([[1, 2, 2], [3, 4, 0]]), torch.tensor([8, 7]), torch.tensor([3, 2]))
l.backward()
print(f"{l:.4f} {log_probs.grad.abs().sum():.4f}")

print(torch.typename(nn.Linear), torch.typename(nn.Linear(1, 1)), torch.typename(3), torch.typename("a"), torch.typename(torch.ones(1)), torch.typename(int),
      torch.typename(pad_sequence), torch.typename(nn.Parameter(torch.ones(1))), torch.typename([]), torch.typename(None))
for layer in (torch.nn.RNN, torch.nn.GRU):
    for wrong in ({"proj_size": 2}, {"foo": 1}):
        try:
            layer(3, 4, **wrong)
        except (TypeError, ValueError) as e:
            print("!", *[c.__name__ for c in type(e).__mro__])
