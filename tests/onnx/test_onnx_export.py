"""Models as ONNX files: another runtime computes the same numbers from them, for other batches too."""
import warnings

import pytest

import rustorch_py as torch
import rustorch_py.nn.functional as F
from rustorch_py import nn

onnx = pytest.importorskip("onnx")
R = torch.randn


def run(program, arguments):
    """What the file computes: by onnxruntime where it is installed, else by the onnx package's evaluator."""
    try:
        import onnxruntime
    except ImportError:
        return list(program(*arguments))
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [torch.tensor(v.tolist(), dtype=getattr(torch, str(v.dtype))) for v in session.run(None, {i.name: t.numpy() for i, t in zip(session.get_inputs(), arguments)})]


def flat(value):
    if isinstance(value, (list, tuple)):
        return [x for v in value for x in flat(v)]
    if isinstance(value, dict):
        return [x for v in value.values() for x in flat(v)]
    return [] if value is None else [value]


def compare(model, arguments, program, rtol=1e-3, atol=1e-4):
    with torch.no_grad():
        wanted = flat(model(*[a.clone() for a in arguments]))
    got = run(program, arguments)
    assert len(wanted) == len(got)
    for a, b in zip(wanted, got):
        assert a.shape == b.shape and a.dtype is b.dtype
        assert torch.allclose(a.double(), b.double(), rtol=rtol, atol=atol, equal_nan=True)


class Of(nn.Module):
    """A model that is a function, with parts."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


class Two(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, a, b):
        return self.function(a, b)


class Seq2Seq(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)

    def forward(self, a, b):
        return self.inner(a, b, tgt_mask=nn.Transformer.generate_square_subsequent_mask(4))


class GPT(nn.Module):
    def __init__(self, words=11, width=8, length=16):
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
        self.qkv, self.out, self.norm = nn.Linear(width, 3 * width), nn.Linear(width, width), nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.words.weight
        self.register_buffer("mask", torch.tril(torch.ones(length, length)).view(1, 1, length, length))

    def forward(self, ids):
        b, t = ids.size()
        x = self.words(ids) + self.places(torch.arange(0, t, dtype=torch.long, device=ids.device))
        q, k, v = self.qkv(self.norm(x)).split(8, dim=2)
        q, k, v = (y.view(b, t, 2, 4).transpose(1, 2) for y in (q, k, v))
        scores = (q @ k.transpose(-2, -1)) * 0.5
        scores = F.softmax(scores.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf")), dim=-1)
        x = x + self.out((scores @ v).transpose(1, 2).contiguous().view(b, t, 8))
        return self.head(x[:, [-1], :])


class Block(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.one, self.two = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.Conv2d(b, b, 3, 1, 1, bias=False)
        self.n1, self.n2 = nn.BatchNorm2d(b), nn.BatchNorm2d(b)
        self.down = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b)) if stride != 1 else None
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        same = x if self.down is None else self.down(x)
        out = self.n2(self.two(self.relu(self.n1(self.one(x)))))
        out += same
        return self.relu(out)


def written(x):
    y = x.clone()
    y[:, 0] = 1.0
    y[y < 0] = 0.0
    return y


LAYERS = {
    "softmax": (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(-1)), R(2, 4)), "gelu_tanh": (nn.GELU("tanh"), R(3, 4)), "glu": (nn.GLU(), R(3, 4)),
    **{name: (getattr(nn, name)(), R(2, 3, 4)) for name in "GELU Hardswish Hardsigmoid Mish ELU SELU CELU LeakyReLU Softplus Tanh Sigmoid LogSigmoid Softsign Hardtanh Tanhshrink Hardshrink Softshrink PReLU".split()},
    "layer_norm": (nn.LayerNorm(4), R(2, 3, 4)), "group_norm": (nn.GroupNorm(2, 4), R(2, 4, 3, 3)), "instance_norm": (nn.InstanceNorm2d(3, affine=True), R(2, 3, 4, 4)),
    "rms_norm": (nn.RMSNorm(4), R(2, 4)), "batch_norm": (nn.BatchNorm1d(4), R(3, 4)), "response_norm": (nn.LocalResponseNorm(3), R(1, 4, 3, 3)),
    "deconv": (nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1), R(1, 3, 5, 5)), "conv1d": (nn.Conv1d(3, 4, 3, dilation=2), R(2, 3, 9)), "conv3d": (nn.Conv3d(1, 2, 2), R(1, 1, 4, 4, 4)),
    "conv_reflect": (nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), R(1, 1, 5, 5)), "conv_one_sample": (nn.Conv2d(1, 2, 3), R(1, 5, 5)), "average_pool": (nn.AvgPool2d(3, 2, 1), R(1, 2, 7, 7)),
    "adaptive_pool": (nn.AdaptiveAvgPool2d(2), R(1, 2, 4, 4)), "nearest": (nn.Upsample(scale_factor=2), R(1, 2, 3, 3)), "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), R(1, 2, 3, 3)),
    "corners": (nn.Upsample(size=(5, 7), mode="bilinear", align_corners=True), R(1, 2, 3, 3)), "bicubic": (nn.Upsample(scale_factor=2, mode="bicubic"), R(1, 1, 4, 4)),
    "pixel_shuffle": (nn.PixelShuffle(2), R(1, 4, 3, 3)), "zero_pad": (nn.ZeroPad2d((1, 2, 0, 1)), R(1, 1, 3, 3)), "replicate": (nn.ReplicationPad2d(1), R(1, 1, 3, 3)),
    **{f"{kind.__name__}_{layers}_{both}": (kind(4, 5, layers, bidirectional=both, batch_first=both), R(2, 3, 4)) for kind in (nn.LSTM, nn.GRU, nn.RNN) for layers in (1, 2) for both in (False, True)},
    "lstm_one": (nn.LSTM(4, 5), R(3, 4)), "lstm_inside": (Of(lambda m, x: m.head(m.lstm(x)[0][:, -1]), lstm=nn.LSTM(4, 5, batch_first=True), head=nn.Linear(5, 2)), R(2, 3, 4)),
    "attention_mask": (Of(lambda m, x: m.a(x, x, x, attn_mask=m.m, need_weights=False)[0], a=nn.MultiheadAttention(8, 2), m=torch.ones(5, 5, dtype=torch.bool).triu(1)), R(5, 2, 8)),
    "attention_weights": (Of(lambda m, x: m.a(x, x, x), a=nn.MultiheadAttention(8, 2, batch_first=True)), R(2, 5, 8)), "encoder_norm_first": (nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, activation="gelu"), R(2, 5, 8)),
}

FUNCTIONS = {
    "arithmetic": (lambda x: (x + x[0] * 2 - 1 / (x.abs() + 1)) / 3 + x ** 2 - (-x).exp() + x.abs().pow(3).sqrt().clamp(0, 5), R(2, 3)),
    "integers": (lambda x: (x // 2, x % 3, x * 2 + 1, x / 2, x.float().mean(), (x > 2) & (x < 5), ~(x == 3)), torch.arange(8)),
    "loop": (lambda x: torch.stack([x[:, i].sum(-1) for i in range(x.shape[1])], 1), R(2, 3, 4)), "branch": (lambda x: x * 2 if x.shape[0] > 1 and x.sum() > -1e9 else x, R(3)),
    "index": (lambda x: (x[0], x[:, 1:], x[..., -1], x[:, None, ::2], x[:, :, [0, 2]], x[-1, :, 0]), R(2, 3, 4)), "split": (lambda x: (*x.split(2, 1)[:1], *x.chunk(2, -1), x.unbind(0)[1]), R(2, 3, 4)),
    "reductions": (lambda x: (x.sum(), x.mean(1), x.max(1), x.min(-1, keepdim=True)[0], x.max(), x.argmax(1), x.std(1), x.var((0, 1), unbiased=False), x.norm(dim=1), x.prod(1), x.amax((0, 1)),
                              torch.logsumexp(x, 1), x.cumsum(1), (x > 0).any(1), (x > 0).all()), R(2, 3, 4)),
    "order": (lambda x: (x.topk(2), x.sort(descending=True)[0], x.argsort()), R(2, 5)), "where": (lambda x: torch.where(x > 0, x, torch.zeros_like(x)).masked_fill(x < -1, 0.5) + torch.tril(x), R(3, 3)),
    "in_place": (lambda x: F.relu(x.clone().add_(1).mul_(2), inplace=True), R(3)), "set_items": (written, R(3, 4)), "normalize": (lambda x: F.normalize(x, dim=-1) + F.softmax(x, 1) + F.log_softmax(x, 0), R(3, 4)),
    "turns": (lambda x: (x.flip(1), x.roll(1, 0), x.repeat_interleave(2, 1)), R(3, 4)), "structure": (lambda x: {"a": x + 1, "b": [x * 2]}, R(2)), "dtypes": (lambda x: (x.half() * 2).float() + x.double().float(), R(3)),
    "attention": (lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), R(1, 2, 4, 8)),
}

DYNAMIC = {
    "mlp": (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), R(2, 4)), "embedding": (nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 2)), torch.randint(5, (2, 3))),
    "cnn": (nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.BatchNorm2d(8), nn.ReLU6(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding="same", groups=2), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                          nn.Dropout(), nn.Linear(8, 3)), R(2, 3, 16, 16)),
    "resnet": (nn.Sequential(Block(3, 4, 2), Block(4, 4, 1)), R(2, 3, 8, 8)), "attention": (Of(lambda m, x: m.a(x, x, x), a=nn.MultiheadAttention(8, 2, batch_first=True)), R(2, 5, 8)),
    "encoder": (nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), R(2, 5, 8)),
    "views": (Of(lambda m, x: x.view(x.size(0), -1).unsqueeze(1).expand(-1, 2, -1).transpose(1, 2).reshape(-1, 2).permute(1, 0)), R(2, 3, 4)),
    "sizes": (Of(lambda m, x: torch.cat([x.flatten(1), x.new_ones(x.shape[0], 1)], 1).repeat(2, 1)), R(2, 3, 4)), "arange": (Of(lambda m, x: x + torch.arange(x.size(0), device=x.device).unsqueeze(1)), R(2, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    model, x = LAYERS[name]
    model.eval()
    compare(model, [x], torch.onnx.export(model, x))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    function, x = FUNCTIONS[name]
    model = Of(lambda m, x: function(x))
    compare(model, [x], torch.onnx.export(model, (x,)))


@pytest.mark.parametrize("function, arguments", [
    (lambda a, b: torch.einsum("bij,bjk->bik", a, b) + torch.bmm(a, b) + a @ b, (R(2, 3, 4), R(2, 4, 5))),
    (lambda a, b: (a.gather(1, b), a.scatter(1, b, 0.0), torch.index_select(a, 0, b[0]), F.one_hot(b, 4)), (R(3, 4), torch.randint(3, (3, 2)))),
    (lambda a, b: torch.maximum(a, b) + torch.minimum(a, b) * (a >= b), (R(3), R(2, 3)))])
def test_two_arguments(function, arguments):
    compare(Two(function), arguments, torch.onnx.export(Two(function), arguments, input_names=["a", "b"]))


def test_transformer():
    model, arguments = Seq2Seq().eval(), (R(2, 5, 8), R(2, 4, 8))
    compare(model, arguments, torch.onnx.export(model, arguments))


@pytest.mark.parametrize("name", DYNAMIC)
@pytest.mark.parametrize("opset", [13, 18])
def test_batches_of_other_sizes(name, opset):
    model, x = DYNAMIC[name]
    model.eval()
    program = torch.onnx.export(model, x, input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "batch"}}, opset_version=opset)
    assert program.model_proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch" and program.model_proto.graph.output[0].name == "y"
    for batch in (x, torch.cat([x, x, x]), x[:1]):
        compare(model, [batch], program)


def test_gpt_of_other_lengths():
    model = GPT().eval()
    program = torch.onnx.export(model, torch.zeros(1, 5, dtype=torch.long), dynamic_axes={"ids": [0, 1]})
    for shape in ((1, 5), (3, 9), (2, 1)):
        compare(model, [torch.randint(11, shape)], program)


@pytest.mark.parametrize("opset", [11, 13, 17, 18, 20, 21])
def test_versions(opset):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.LayerNorm([4, 4, 4]), nn.Upsample(scale_factor=2), nn.Flatten(), nn.LSTM(256, 3)).eval()
    x = R(2, 1, 6, 6)
    program = torch.onnx.export(model, x, opset_version=opset)
    assert program.model_proto.opset_import[0].version == opset
    compare(model, [x], program)


def test_file(tmp_path):
    model, path = nn.Linear(3, 2), tmp_path / "model.onnx"
    model.train()
    torch.onnx.export(model, torch.ones(1, 3), path, input_names=["x"], output_names=["y"], verify=True)
    assert model.training and not torch.onnx.is_in_onnx_export()
    proto = onnx.load(path)
    assert [i.name for i in proto.graph.input] == ["x"] and {i.name for i in proto.graph.initializer} == {"weight", "bias"}
    torch.onnx.export(model, torch.ones(1, 3), path, export_params=False)
    assert not onnx.load(path).graph.initializer
    torch.onnx.export(model, torch.ones(1, 3), path, keep_initializers_as_inputs=True)
    proto = onnx.load(path)
    assert len(proto.graph.input) == 3 and len(proto.graph.initializer) == 2
    torch.onnx.export(model, torch.ones(1, 3)).save(path, external_data=True)
    assert (tmp_path / "model.onnx.data").exists() and len(onnx.load(path).graph.initializer) == 2


def test_refusals():
    x = R(2, 3)
    for model, words in ((Of(lambda m, x: x[x > 0]), "mask as an index"), (Of(lambda m, x: torch.linalg.svd(x)[1]), "svd"), (Of(lambda m, x: torch.where(x > 0)), "depends on the elements")):
        with pytest.raises(RuntimeError, match=words):
            torch.onnx.export(model, x)
    with pytest.raises(RuntimeError, match="evaluation mode"):
        torch.onnx.export(nn.Dropout(), x, training=torch.onnx.TrainingMode.TRAINING)
    with pytest.raises(RuntimeError, match="opset_version"):
        torch.onnx.export(nn.ReLU(), x, opset_version=7)
    with pytest.raises(RuntimeError, match="no example"):
        torch.onnx.export(Two(torch.add), x)
    with pytest.raises(RuntimeError, match="exceeded"):
        torch.onnx.export(nn.ReLU(), x, input_names=["a", "b"])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.onnx.export(nn.ReLU(), x, input_names=["a"], dynamic_axes={"z": [0]})
    assert any("not a valid input/output name" in str(w.message) for w in seen)
    assert nn.ReLU()(x).shape == x.shape


def test_is_told_while_it_exports():
    seen = []
    torch.onnx.export(Of(lambda m, x: seen.append(torch.onnx.is_in_onnx_export()) or x + 1), R(2))
    assert seen == [True] and not torch.onnx.is_in_onnx_export()
