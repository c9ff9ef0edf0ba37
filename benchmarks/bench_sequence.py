"""Recurrent layers and attention beside PyTorch eager: python benchmarks/bench_sequence.py [WORD ...]

Rows whose title holds one of the words are run, all without words. A step is zero_grad, forward, loss, backward, Adam;
each row prints our time, PyTorch's and their ratio. Sizes: T steps, N sequences, features -> hidden.
"""
import importlib
import sys

from _common import load_torch, median_seconds, report

import rustorch_py as rt

torch = load_torch()
ROWS = []


def row(title, make):
    ROWS.append((title, make))


def layer(kind, T, N, features, hidden, train):
    def make(name, lib):
        nn, optim = importlib.import_module(name + ".nn"), importlib.import_module(name + ".optim")
        lib.manual_seed(0)
        model = getattr(nn, kind)(features, hidden)
        x = lib.randn(T, N, features)
        if not train:
            model.eval()

            def forward():
                with lib.no_grad():
                    return model(x)[0]
            return forward
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        y = lib.randn(T, N, hidden)

        def step():
            optimizer.zero_grad()
            loss = ((model(x)[0] - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss
        return step
    return make


def language_model(kind):
    """Zaremba's small model on random words: 2 layers of 200, T=35, N=20."""
    def make(name, lib):
        nn, optim = importlib.import_module(name + ".nn"), importlib.import_module(name + ".optim")
        lib.manual_seed(0)
        words = 1000
        table, rnn, head = nn.Embedding(words, 200), getattr(nn, kind)(200, 200, 2), nn.Linear(200, words)
        x, y = lib.randint(0, words, (35, 20)), lib.randint(0, words, (35 * 20,))
        optimizer = optim.Adam([*table.parameters(), *rnn.parameters(), *head.parameters()], lr=1e-3)
        criterion = nn.CrossEntropyLoss()

        def step():
            optimizer.zero_grad()
            loss = criterion(head(rnn(table(x))[0].reshape(35 * 20, 200)), y)
            loss.backward()
            optimizer.step()
            return loss
        return step
    return make


def attention(B, H, T, D, causal, train, dtype="float32"):
    def make(name, lib):
        F = importlib.import_module(name + ".nn.functional")
        lib.manual_seed(0)
        packed = lib.randn(B, T, 3, H, D).to(getattr(lib, dtype)).requires_grad_(train)

        def forward():
            q, k, v = (packed[:, :, i].transpose(1, 2) for i in range(3))
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

        def infer():
            with lib.no_grad():
                return forward()

        def step():
            packed.grad = None
            out = forward()
            out.backward(out.detach())
        return step if train else infer
    return make


def gpt(name, lib, layers=4, width=128, heads=4, T=128, N=8, words=65):
    nn, optim = importlib.import_module(name + ".nn"), importlib.import_module(name + ".optim")
    F = importlib.import_module(name + ".nn.functional")
    lib.manual_seed(0)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down, self.act = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), nn.GELU()

        def forward(self, x):
            b, t, c = x.shape
            q, k, v = (s.view(b, t, heads, c // heads).transpose(1, 2) for s in self.qkv(self.ln1(x)).split(c, 2))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
            return x + self.down(self.act(self.up(self.ln2(x))))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.word, self.place = nn.Embedding(words, width), nn.Embedding(T, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
            self.ln, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

        def forward(self, x):
            h = self.word(x) + self.place(lib.arange(x.shape[1]))
            return self.head(self.ln(self.blocks(h)))

    model = GPT()
    x, y = lib.randint(0, words, (N, T)), lib.randint(0, words, (N * T,))
    optimizer = optim.AdamW(model.parameters(), lr=3e-4)

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).reshape(N * T, words), y)
        loss.backward()
        optimizer.step()
        return loss
    return step


for kind in ("LSTM", "GRU", "RNN"):
    row(f"{kind} forward T=50 N=32 256->256", layer(kind, 50, 32, 256, 256, False))
    row(f"{kind} step T=50 N=32 256->256", layer(kind, 50, 32, 256, 256, True))
    row(f"{kind} step T=35 N=20 200->200", layer(kind, 35, 20, 200, 200, True))
    row(f"{kind} batch-1 inference T=1 64->64", layer(kind, 1, 1, 64, 64, False))
    row(f"{kind} batch-1 inference T=50 128->128", layer(kind, 50, 1, 128, 128, False))
row("LSTM language model step", language_model("LSTM"))
row("GRU language model step", language_model("GRU"))
row("attention forward causal B=8 H=4 T=128 D=32", attention(8, 4, 128, 32, True, False))
row("attention both causal B=8 H=4 T=128 D=32", attention(8, 4, 128, 32, True, True))
for T in (1024, 4096):
    for causal in (False, True):
        word = " causal" if causal else ""
        row(f"attention forward{word} B=1 H=4 T={T} D=64", attention(1, 4, T, 64, causal, False))
        row(f"attention both{word} B=1 H=4 T={T} D=64", attention(1, 4, T, 64, causal, True))
row("attention forward bfloat16 B=1 H=4 T=1024 D=64", attention(1, 4, 1024, 64, False, False, "bfloat16"))
row("GPT step 4x128 T=128 N=8", gpt)


def main():
    for title, make in ROWS:
        if len(sys.argv) > 1 and not any(word in title for word in sys.argv[1:]):
            continue
        fns = [make("rustorch_py", rt)] + ([make("torch", torch)] if torch else [])
        got = median_seconds(fns, budget_s=1.0)
        report(title, got[0], got[1] if torch else None)


if __name__ == "__main__":
    main()
