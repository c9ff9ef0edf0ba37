"""Complex numbers, FFTs, STFTs, spectral layers, windows, linear algebra."""
import math

import torch
import torch.nn as nn

torch.manual_seed(0)
x = torch.randn(2, 16)
X = torch.fft.rfft(x)
print(X.shape, X.dtype, torch.allclose(torch.fft.irfft(X, n=16), x, atol=1e-5), X[0, :2], torch.fft.fftfreq(8, 0.1), torch.fft.fftshift(torch.arange(5)), torch.fft.rfftfreq(5))
z = torch.complex(torch.randn(3), torch.randn(3))
print(z, z.real, z.imag, z.abs(), z.angle(), z.conj(), z * z.conj(), torch.view_as_real(z), z.is_complex(), z ** 2, z.exp(), 1j * z, z.sum(), torch.polar(torch.ones(2), torch.tensor([0.0, math.pi / 2])))
w = torch.randn(3, dtype=torch.cfloat, requires_grad=True)
loss = (w * z).abs().pow(2).sum()
loss.backward()
print(w.grad, w.dtype, loss)
s = torch.stft(x, n_fft=8, hop_length=4, window=torch.hann_window(8), return_complex=True)
print(s.shape, s.dtype, s.stride(), torch.istft(s, 8, 4, window=torch.hann_window(8), length=16).sub(x).abs().max() < 1e-5)


class SpectralConv(nn.Module):
    def __init__(self, cin, cout, modes):
        super().__init__()
        self.modes = modes
        self.weight = nn.Parameter(torch.randn(cin, cout, modes, dtype=torch.cfloat) / cin)

    def forward(self, x):
        f = torch.fft.rfft(x)
        out = torch.zeros(x.size(0), self.weight.size(1), x.size(-1) // 2 + 1, dtype=torch.cfloat)
        out[:, :, :self.modes] = torch.einsum("bix,iox->box", f[:, :, :self.modes], self.weight)
        return torch.fft.irfft(out, n=x.size(-1))


layer = SpectralConv(1, 2, 4)
y = layer(x[:, None])
y.pow(2).sum().backward()
print(y.shape, f"{y.norm():.4f} {layer.weight.grad.norm():.4f}", layer.weight.grad.dtype)
opt = torch.optim.Adam(layer.parameters(), lr=0.1)
opt.step()
print(layer.weight[0, 0].detach())
img = torch.randn(4, 6)
print(torch.fft.fft2(img).shape, torch.fft.ifftn(torch.fft.fftn(img)).real.sub(img).abs().max() < 1e-5, torch.fft.rfft2(img, norm="ortho").shape, torch.fft.hfft(z).shape, torch.fft.ifft(z), torch.fft.fft(torch.arange(4)))
print(torch.hamming_window(4), torch.blackman_window(4, periodic=False), torch.kaiser_window(4), torch.bartlett_window(4), torch.signal.windows.gaussian(4))
A = torch.randn(4, 4, dtype=torch.float64)
S = A @ A.T + torch.eye(4)
L = torch.linalg.cholesky(S)
print((L @ L.T - S).abs().max() < 1e-10, torch.linalg.eigvalsh(S), torch.linalg.svdvals(A), torch.linalg.det(A), torch.linalg.slogdet(A), torch.linalg.matrix_rank(A), torch.linalg.cond(S), torch.linalg.inv(S)[0], torch.linalg.solve(S, torch.ones(4, dtype=torch.float64)), torch.linalg.norm(A), torch.linalg.norm(A, ord=2), torch.linalg.vector_norm(A, ord=1, dim=0), torch.linalg.pinv(A[:, :2]).shape, torch.linalg.lstsq(A, torch.ones(4, 1, dtype=torch.float64)).solution.flatten(), torch.trace(A), torch.linalg.matrix_power(A, 2)[0], torch.linalg.multi_dot([A, A, A]).shape, torch.linalg.cross(A[0, :3], A[1, :3]))
Q, R = torch.linalg.qr(A)
U, sv, Vh = torch.linalg.svd(A[:, :3], full_matrices=False)
e, V = torch.linalg.eigh(S)
print(torch.allclose(Q @ R, A), U.shape, Vh.shape, torch.allclose(V @ e.diag() @ V.T, S), torch.linalg.eig(A).eigenvalues.dtype, torch.linalg.lu(A).L.shape, torch.cholesky_solve(torch.ones(4, 1, dtype=torch.float64), L).flatten(), torch.linalg.solve_triangular(L, torch.ones(4, 1, dtype=torch.float64), upper=False).flatten(), torch.linalg.matrix_exp(torch.zeros(2, 2)), torch.kron(torch.eye(2), torch.ones(1, 2)))
g = torch.autograd.grad(torch.logdet(S.requires_grad_()), S)[0]
print(torch.allclose(g, torch.linalg.inv(S).T))
print(torch.special.expit(x[0, :2]), torch.special.logit(torch.tensor(0.3)), torch.special.i0(x[0, :2]), torch.lgamma(torch.tensor(3.5)), torch.digamma(torch.tensor(2.0)), torch.erf(x[0, :2]), torch.special.ndtr(x[0, :2]), torch.special.xlog1py(x[0, :2].abs(), x[0, :2].abs()), torch.special.zeta(torch.tensor(2.0), 1.0), torch.sinc(x[0, :2]), torch.logaddexp(x[0, :2], x[1, :2]), torch.atan2(x[0, :2], x[1, :2]))
for bad in (lambda: torch.fft.fft(torch.ones(2), dim=3), lambda: torch.complex(torch.ones(2), torch.ones(2).double()), lambda: torch.fft.rfft(z), lambda: z > z, lambda: torch.fft.fft(x, n=0), lambda: torch.view_as_complex(torch.ones(3)), lambda: torch.linalg.inv(torch.zeros(2, 2)), lambda: z.max(), lambda: torch.sigmoid(torch.tensor(1j)) and z.floor(), lambda: torch.stft(x, 8, return_complex=True, window=torch.ones(4))):
    try:
        print(bad())
    except Exception as e:
        print("!", *[c.__name__ for c in type(e).__mro__ if c.__module__ == "builtins"])
