"""What tensors, sizes, dtypes, modules, optimizers and errors look like in print."""
import torch
import torch.nn as nn

torch.manual_seed(0)
for t in (torch.tensor(1), torch.tensor(1.5), torch.tensor([]), torch.zeros(0, 3), torch.tensor([1, 2, 3]), torch.tensor([1.0, 2.0]), torch.tensor([1.5, 1e6]), torch.tensor([1e-7, 1.0]), torch.tensor([float("nan"), float("inf"), -1.0]),
          torch.tensor([True, False]), torch.tensor([1 + 2j, 3.5 - 1j]), torch.ones(2, 2, dtype=torch.float64), torch.ones(2, dtype=torch.bfloat16), torch.arange(3, dtype=torch.uint8), torch.arange(2000), torch.randn(3, 3), torch.randn(2, 2, 2),
          torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True) * 2, torch.randn(20, 20), torch.tensor([[1.0, 10000.5]]), torch.tensor([1e10, 1.0]), torch.tensor([0.00001]), torch.tensor(float("-inf")), torch.full((1, 1, 1), 3.25), torch.tensor([100000.0, 0.1]), torch.tensor([1e-40])):
    print(t)
torch.set_printoptions(precision=2, sci_mode=False, linewidth=60, threshold=10, edgeitems=2)
print(torch.randn(4, 8), torch.tensor([1e-5, 1e5]), torch.arange(30))
torch.set_printoptions(profile="default")
print(torch.Size([1, 2]), torch.float32, torch.device("cpu"), torch.device("cuda", 1), torch.strided, torch.channels_last, repr(torch.int64), str(torch.tensor([1.0]).dtype), torch.Generator().device, torch.__version__ != "")
print(f"{torch.tensor(3.14159):.2f} {torch.tensor(7)} {torch.tensor(7):>5} {torch.tensor(2.5)!r} {torch.tensor([1])} {torch.Size([3])}")
print(torch.tensor([[1, 2]]).max(1), torch.tensor([3.0, 1.0]).sort(), torch.linalg.eigh(torch.eye(2)))
for m in (nn.Linear(1, 2, bias=False), nn.Conv2d(1, 2, 3, stride=2, padding=1, dilation=2, groups=1, bias=False, padding_mode="reflect"), nn.ConvTranspose1d(1, 2, 3, output_padding=1, stride=2), nn.BatchNorm2d(3, eps=1e-3, momentum=None, affine=False), nn.LayerNorm(3, elementwise_affine=False), nn.GroupNorm(1, 3),
          nn.RMSNorm(3), nn.Embedding(3, 2, padding_idx=1, max_norm=1.0, scale_grad_by_freq=True), nn.Dropout(0.3, inplace=True), nn.LeakyReLU(0.1), nn.PReLU(), nn.GELU("tanh"), nn.Softmax(dim=1), nn.MaxPool2d(2, 1, 0, ceil_mode=True), nn.AvgPool1d(2), nn.AdaptiveAvgPool2d((None, 1)), nn.LSTM(1, 2, 3, dropout=0.1, bidirectional=True),
          nn.GRU(1, 2, batch_first=True), nn.MultiheadAttention(4, 2), nn.TransformerEncoderLayer(4, 2, 8), nn.Flatten(), nn.Unflatten(1, (1, 2)), nn.Upsample(scale_factor=2, mode="nearest"), nn.PixelShuffle(2), nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss(), nn.SmoothL1Loss(), nn.Identity(), nn.ModuleList([nn.ReLU()] * 3),
          nn.ModuleDict({"a": nn.Tanh()}), nn.ParameterList([nn.Parameter(torch.ones(2))]), nn.ParameterDict({"x": nn.Parameter(torch.ones(1))}), nn.Bilinear(1, 2, 3), nn.CosineSimilarity(), nn.Hardtanh(-2, 2), nn.Softplus(), nn.Threshold(0.1, 2), nn.ZeroPad2d(1), nn.Fold((2, 2), 1), nn.Unfold(2), nn.EmbeddingBag(2, 3), nn.RNNCell(1, 2), nn.Softmax2d(), nn.ELU(), nn.GLU(), nn.TripletMarginLoss(),
          nn.SiLU(inplace=True), nn.ReLU6(), nn.Hardswish(), nn.LocalResponseNorm(2), nn.InstanceNorm1d(2), nn.Dropout2d(), nn.ChannelShuffle(2), nn.Sequential(nn.Sequential(nn.Linear(1, 1)), nn.ReLU())):
    print(m)
p = [nn.Parameter(torch.ones(1))]
for o in (torch.optim.SGD(p, lr=0.1), torch.optim.Adam(p), torch.optim.AdamW(p, amsgrad=True), torch.optim.RMSprop(p), torch.optim.Adagrad(p), torch.optim.LBFGS(p)):
    print(o)
print(nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.tensor(1.0)), torch.ones(1).data, torch.ones(2).T, torch.ones(1).is_leaf, torch.ones(1).type(), torch.ones(1, dtype=torch.int32).type(), type(nn.Parameter(torch.ones(1))), torch.tensor([1]).__class__.__name__, nn.Linear.__name__, torch.typename(torch.ones(1)))
