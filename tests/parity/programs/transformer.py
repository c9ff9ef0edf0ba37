"""nn.Transformer and its parts, masks, attention by hand, a small GPT with a cache."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
layer = nn.TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=16, dropout=0.0, batch_first=True, norm_first=True, activation="gelu")
encoder = nn.TransformerEncoder(layer, num_layers=2, norm=nn.LayerNorm(8), enable_nested_tensor=False)
x = torch.randn(2, 5, 8)
pad = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
mask = nn.Transformer.generate_square_subsequent_mask(5)
print(mask)
out = encoder(x, mask=mask, src_key_padding_mask=pad, is_causal=True)
print(out.shape, out[0].detach().numpy().round(3).tolist())
encoder.eval()
with torch.no_grad():
    fast = encoder(x, mask=mask, src_key_padding_mask=pad)
print(torch.allclose(fast[0], out[0], atol=1e-5), encoder)
model = nn.Transformer(d_model=8, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=16, dropout=0.0)
src, tgt = torch.randn(4, 2, 8), torch.randn(3, 2, 8)
y = model(src, tgt, tgt_mask=model.generate_square_subsequent_mask(3), memory_key_padding_mask=torch.tensor([[False, False, False, True], [False] * 4]))
y.pow(2).mean().backward()
print(y.shape, f"{y.std():.4f}", len(list(model.state_dict())), list(model.state_dict())[:6], f"{model.encoder.layers[0].self_attn.in_proj_weight.grad.norm():.5f}")
mha = nn.MultiheadAttention(8, 2, batch_first=True, kdim=4, vdim=6, add_bias_kv=True)
q, k, v = torch.randn(2, 3, 8), torch.randn(2, 4, 4), torch.randn(2, 4, 6)
o, w = mha(q, k, v, average_attn_weights=False)
print(o.shape, w.shape, mha(q, k, v, need_weights=False)[1], mha)
sa = nn.MultiheadAttention(8, 2, dropout=0.0)
o, w = sa(src, src, src, key_padding_mask=torch.tensor([[False] * 4, [True] + [False] * 3]), attn_mask=torch.triu(torch.ones(4, 4, dtype=torch.bool), 1) & False)
print(w.sum(-1).detach().round(decimals=4).tolist(), f"{o.sum():.4f}")
qkv = torch.randn(3, 2, 2, 5, 4)
print(F.scaled_dot_product_attention(*qkv, is_causal=True).sum().item() - ((qkv[0] @ qkv[1].transpose(-2, -1) / 2).masked_fill(torch.ones(5, 5).triu(1).bool(), -math.inf).softmax(-1) @ qkv[2]).sum().item() < 1e-4)
print(F.scaled_dot_product_attention(*qkv, attn_mask=torch.rand(5, 5) > 0.3, scale=0.1).shape)


class CausalSelfAttention(nn.Module):
    def __init__(self, d, heads, size):
        super().__init__()
        self.c_attn, self.c_proj, self.heads = nn.Linear(d, 3 * d), nn.Linear(d, d), heads
        self.register_buffer("bias", torch.tril(torch.ones(size, size)).view(1, 1, size, size))

    def forward(self, x, past=None):
        b, t, c = x.size()
        q, k, v = (z.view(b, t, self.heads, c // self.heads).transpose(1, 2) for z in self.c_attn(x).split(c, dim=2))
        if past is not None:
            k, v = torch.cat((past[0], k), dim=-2), torch.cat((past[1], v), dim=-2)
        s = k.size(-2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.bias[:, :, s - t:s, :s] == 0, float("-inf"))
        y = F.softmax(att, dim=-1) @ v
        return self.c_proj(y.transpose(1, 2).contiguous().view(b, t, c)), (k, v)


class GPT(nn.Module):
    def __init__(self, vocab=11, d=12, size=16):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, d), nn.Embedding(size, d)
        self.attn, self.ln, self.size = CausalSelfAttention(d, 3, size), nn.LayerNorm(d, bias=False), size
        self.head = nn.Linear(d, vocab, bias=False)
        self.wte.weight = self.head.weight

    def forward(self, idx, targets=None, past=None):
        at = 0 if past is None else past[0].size(-2)
        x = self.wte(idx) + self.wpe(torch.arange(at, at + idx.size(1)))
        y, past = self.attn(self.ln(x), past)
        logits = self.head(x + y)
        loss = None if targets is None else F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits, loss, past


gpt = GPT()
print(sum(p.numel() for p in gpt.parameters()), len(gpt.state_dict()))
idx = torch.randint(11, (2, 6))
targets = torch.roll(idx, -1, 1)
targets[:, -1] = -1
opt = torch.optim.AdamW(gpt.parameters(), lr=3e-2)
for _ in range(5):
    opt.zero_grad()
    logits, loss, _ = gpt(idx, targets)
    loss.backward()
    opt.step()
print(f"{loss.item():.4f}", logits.shape)
gpt.eval()
with torch.no_grad():
    seq, past, cur = idx[:, :1], None, idx[:, :1]
    for _ in range(4):
        logits, _, past = gpt(cur, past=past)
        logits = logits[:, -1] / 0.8
        v, _ = torch.topk(logits, 3)
        logits[logits < v[:, [-1]]] = -float("Inf")
        probs = F.softmax(logits, dim=-1)
        cur = torch.multinomial(probs, num_samples=1)
        seq = torch.cat((seq, cur), dim=1)
    full = gpt(seq[:, :-1])[0][:, -1]
    print(seq, torch.allclose(full.topk(1).indices, gpt(seq[:, :-1])[0][:, -1].argmax(-1, keepdim=True)))
    sorted_logits, order = torch.sort(full, descending=True)
    cum = sorted_logits.softmax(-1).cumsum(-1)
    remove = cum > 0.9
    remove[..., 1:] = remove[..., :-1].clone()
    remove[..., 0] = 0
    print(full.masked_fill(remove.scatter(1, order, remove), -math.inf).isinf().sum(1).tolist())
freqs = 1.0 / (10000 ** (torch.arange(0, 4, 2)[: 2].float() / 4))
cis = torch.polar(torch.ones(6, 2), torch.outer(torch.arange(6), freqs))
z = torch.view_as_complex(torch.randn(2, 6, 4).float().reshape(2, 6, -1, 2))
rot = torch.view_as_real(z * cis).flatten(2)
print(rot.shape, rot.dtype, cis.dtype, f"{rot.norm() - torch.view_as_real(z).norm():.4f}")
