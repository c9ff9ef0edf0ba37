"""A small GPT: causal attention, weight tying, AdamW with two groups, warm-up and cosine, clipping, generation with top-k and nucleus sampling, checkpoint."""
import io
import math

import torch
import torch.nn as nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(1337)
TEXT = "the quick brown fox jumps over the lazy dog. pack my box with five dozen liquor jugs. " * 4
CHARS = sorted(set(TEXT))
STOI = {c: i for i, c in enumerate(CHARS)}


class Blocks(Dataset):
    def __init__(self, text, size):
        self.data, self.size = torch.tensor([STOI[c] for c in text], dtype=torch.long), size

    def __len__(self):
        return len(self.data) - self.size

    def __getitem__(self, i):
        piece = self.data[i:i + self.size + 1]
        return piece[:-1], piece[1:]


class CausalSelfAttention(nn.Module):
    def __init__(self, c, heads, size, drop):
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(c, 3 * c, bias=False), nn.Linear(c, c), heads
        self.drop = nn.Dropout(drop)
        self.register_buffer("mask", torch.tril(torch.ones(size, size)).view(1, 1, size, size), persistent=False)

    def forward(self, x):
        b, t, c = x.size()
        q, k, v = (y.view(b, t, self.heads, c // self.heads).transpose(1, 2) for y in self.qkv(x).split(c, dim=2))
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf"))
        att = self.drop(F.softmax(att, dim=-1))
        flash = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = (att @ v).transpose(1, 2).contiguous().view(b, t, c)
        if not self.training:
            assert torch.allclose(flash.transpose(1, 2).reshape(b, t, c), y, atol=1e-5)
        return self.proj(y)


class Block(nn.Module):
    def __init__(self, c, heads, size, drop):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.attn = CausalSelfAttention(c, heads, size, drop)
        self.mlp = nn.ModuleDict(dict(c_fc=nn.Linear(c, 4 * c), act=nn.GELU(approximate="tanh"), c_proj=nn.Linear(4 * c, c), dropout=nn.Dropout(drop)))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        m = self.mlp
        return x + m.dropout(m.c_proj(m.act(m.c_fc(self.ln_2(x)))))


class GPT(nn.Module):
    def __init__(self, vocab, size=16, c=24, heads=3, layers=2, drop=0.1):
        super().__init__()
        self.size = size
        self.transformer = nn.ModuleDict(dict(wte=nn.Embedding(vocab, c), wpe=nn.Embedding(size, c), drop=nn.Dropout(drop),
                                              h=nn.ModuleList([Block(c, heads, size, drop) for _ in range(layers)]), ln_f=nn.LayerNorm(c)))
        self.lm_head = nn.Linear(c, vocab, bias=False)
        self.transformer.wte.weight = self.lm_head.weight
        self.apply(self._init)
        for name, p in self.named_parameters():
            if name.endswith("c_proj.weight"):
                nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * layers))

    def _init(self, m):
        if isinstance(m, nn.Linear):
            nn.init.normal_(m.weight, mean=0.0, std=0.02)
            if m.bias is not None:
                nn.init.zeros_(m.bias)
        elif isinstance(m, nn.Embedding):
            nn.init.normal_(m.weight, mean=0.0, std=0.02)

    def configure_optimizers(self, decay, lr):
        params = {n: p for n, p in self.named_parameters() if p.requires_grad}
        groups = [{"params": [p for p in params.values() if p.dim() >= 2], "weight_decay": decay}, {"params": [p for p in params.values() if p.dim() < 2], "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))

    def forward(self, idx, targets=None):
        t = self.transformer
        x = t.drop(t.wte(idx) + t.wpe(torch.arange(idx.size(1))))
        for block in t.h:
            x = block(x)
        logits = self.lm_head(t.ln_f(x))
        loss = None if targets is None else F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits, loss

    @torch.no_grad()
    def generate(self, idx, n, temperature=1.0, top_k=None, top_p=None):
        for _ in range(n):
            logits = self(idx[:, -self.size:])[0][:, -1, :] / temperature
            if top_k is not None:
                v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
                logits[logits < v[:, [-1]]] = -float("Inf")
            if top_p is not None:
                ordered, at = torch.sort(logits, descending=True)
                gone = ordered.softmax(-1).cumsum(-1) > top_p
                gone[..., 1:] = gone[..., :-1].clone()
                gone[..., 0] = False
                logits = logits.masked_fill(gone.scatter(1, at, gone), -float("inf"))
            idx = torch.cat((idx, torch.multinomial(F.softmax(logits, dim=-1), num_samples=1)), dim=1)
        return idx


model = GPT(len(CHARS))
print(sum(p.numel() for p in model.parameters()), len(list(model.named_parameters())), "transformer.wte.weight" in dict(model.named_parameters(remove_duplicate=False)))
opt = model.configure_optimizers(0.1, 3e-3)
schedule = torch.optim.lr_scheduler.LambdaLR(opt, lambda it: (it + 1) / 5 if it < 5 else 0.5 * (1 + math.cos(math.pi * (it - 5) / 20)))
loader = iter(DataLoader(Blocks(TEXT, 16), batch_size=8, shuffle=True, drop_last=True))
for it in range(12):
    x, y = next(loader)
    _, loss = model(x, y)
    opt.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    schedule.step()
    print(it, f"{loss.item():.4f} {norm.item():.4f} {schedule.get_last_lr()[0]:.6f}")
model.eval()
start = torch.tensor([[STOI["t"], STOI["h"]]])
for how in (dict(top_k=3), dict(top_p=0.9), dict(temperature=0.5)):
    torch.manual_seed(3)
    print("".join(CHARS[i] for i in model.generate(start, 12, **how)[0].tolist()))
box = io.BytesIO()
torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "it": 12, "args": dict(c=24)}, box)
box.seek(0)
saved = torch.load(box, weights_only=True)
again = GPT(len(CHARS)).eval()
print(again.load_state_dict(saved["model"]), torch.equal(again(start)[0], model(start)[0]), saved["opt"]["param_groups"][1]["weight_decay"])
