"""A recurrent translator: packed bidirectional encoder, additive attention, teacher forcing, masked loss, beam search; then nn.Transformer on the same pairs."""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

PAD, BOS, EOS = 0, 1, 2
random.seed(0)
torch.manual_seed(0)
pairs = []
for _ in range(24):
    s = [random.randint(3, 9) for _ in range(random.randint(2, 6))]
    pairs.append((torch.tensor(s + [EOS]), torch.tensor([BOS] + s[::-1] + [EOS])))


def collate(batch):
    src, tgt = zip(*batch)
    return pad_sequence(src, batch_first=True, padding_value=PAD), torch.tensor([len(s) for s in src]), pad_sequence(tgt, batch_first=True, padding_value=PAD)


class Encoder(nn.Module):
    def __init__(self, vocab, e, h):
        super().__init__()
        self.embed = nn.Embedding(vocab, e, padding_idx=PAD)
        self.rnn = nn.GRU(e, h, bidirectional=True, batch_first=True)
        self.join = nn.Linear(2 * h, h)

    def forward(self, src, lengths):
        packed = pack_padded_sequence(self.embed(src), lengths.cpu(), batch_first=True, enforce_sorted=False)
        out, hidden = self.rnn(packed)
        out, _ = pad_packed_sequence(out, batch_first=True, total_length=src.size(1))
        return out, torch.tanh(self.join(torch.cat((hidden[-2], hidden[-1]), dim=1)))


class Attention(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.attn, self.v = nn.Linear(3 * h, h), nn.Linear(h, 1, bias=False)

    def forward(self, hidden, outputs, mask):
        energy = torch.tanh(self.attn(torch.cat((hidden.unsqueeze(1).expand(-1, outputs.size(1), -1), outputs), dim=2)))
        return F.softmax(self.v(energy).squeeze(2).masked_fill(mask, -1e10), dim=1)


class Decoder(nn.Module):
    def __init__(self, vocab, e, h):
        super().__init__()
        self.embed, self.attention = nn.Embedding(vocab, e), Attention(h)
        self.cell = nn.GRUCell(2 * h + e, h)
        self.out = nn.Linear(3 * h + e, vocab)

    def forward(self, token, hidden, outputs, mask):
        x = self.embed(token)
        weights = self.attention(hidden, outputs, mask)
        context = torch.bmm(weights.unsqueeze(1), outputs).squeeze(1)
        hidden = self.cell(torch.cat((x, context), dim=1), hidden)
        return self.out(torch.cat((hidden, context, x), dim=1)), hidden, weights


enc, dec = Encoder(10, 8, 12), Decoder(10, 8, 12)
for name, p in [*enc.named_parameters(), *dec.named_parameters()]:
    nn.init.normal_(p, 0, 0.1) if "weight" in name else nn.init.constant_(p, 0)
opt = torch.optim.Adam([{"params": enc.parameters()}, {"params": dec.parameters(), "lr": 2e-2}], lr=1e-2)
plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, patience=0, factor=0.5, threshold=0.05)
loader = DataLoader(pairs, batch_size=8, shuffle=True, collate_fn=collate)
for epoch in range(4):
    total = 0.0
    for src, lengths, tgt in loader:
        opt.zero_grad()
        outputs, hidden = enc(src, lengths)
        mask, token, steps = src == PAD, tgt[:, 0], []
        for t in range(1, tgt.size(1)):
            logits, hidden, w = dec(token, hidden, outputs, mask)
            steps.append(logits)
            token = tgt[:, t] if random.random() < 0.5 else logits.argmax(1)
        loss = F.cross_entropy(torch.stack(steps, 1).flatten(0, 1), tgt[:, 1:].flatten(), ignore_index=PAD)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*enc.parameters(), *dec.parameters()], 1)
        opt.step()
        total += loss.item()
    plateau.step(total)
    print(epoch, f"{total:.4f}", plateau.get_last_lr(), f"{w.sum(1).mean().item():.4f}")


@torch.no_grad()
def beam(src, width=3, most=8):
    outputs, hidden = enc(src, torch.tensor([src.size(1)]))
    beams = [(0.0, [BOS], hidden)]
    for _ in range(most):
        found = []
        for score, tokens, h in beams:
            if tokens[-1] == EOS:
                found.append((score, tokens, h))
                continue
            logits, new, _ = dec(torch.tensor([tokens[-1]]), h, outputs, src == PAD)
            p, i = F.log_softmax(logits, 1).topk(width)
            found += [(score + a, tokens + [b], new) for a, b in zip(p[0].tolist(), i[0].tolist())]
        beams = sorted(found, key=lambda b: -b[0])[:width]
    return beams


for score, tokens, _ in beam(pairs[0][0][None]):
    print(f"{score:.3f}", tokens)
torch.manual_seed(1)
tr = nn.Transformer(16, 2, 1, 1, 32, dropout=0.0, batch_first=True, norm_first=True)
emb, head = nn.Embedding(10, 16, padding_idx=PAD), nn.Linear(16, 10)
opt = torch.optim.NAdam([*tr.parameters(), *emb.parameters(), *head.parameters()], lr=5e-3)
src, _, tgt = collate(pairs[:8])
causal = nn.Transformer.generate_square_subsequent_mask(tgt.size(1) - 1)
for step in range(5):
    out = tr(emb(src), emb(tgt[:, :-1]), tgt_mask=causal, src_key_padding_mask=src == PAD, tgt_key_padding_mask=tgt[:, :-1] == PAD, memory_key_padding_mask=src == PAD, tgt_is_causal=True)
    loss = nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=0.1)(head(out).transpose(1, 2), tgt[:, 1:])
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, f"{loss.item():.4f}", f"{emb.weight.grad.norm().item():.4f}", emb.weight.grad[PAD].abs().sum().item())
