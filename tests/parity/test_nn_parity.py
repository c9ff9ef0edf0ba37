"""Compare every layer with PyTorch: initial weights, repr, state_dict, forward, gradients."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

RNG = np.random.default_rng(7)


def f(*shape):
    """Float input."""
    return RNG.standard_normal(shape).astype(np.float32)


def p(*shape):
    """Probabilities."""
    return RNG.uniform(0.05, 0.95, shape).astype(np.float32)


def i(high, *shape):
    """Class indices."""
    return RNG.integers(0, high, shape)


def s(*shape):
    """Signs."""
    return np.where(RNG.standard_normal(shape) > 0, 1.0, -1.0).astype(np.float32)


def case(name, args=(), kwargs=None, inputs=(), call=None, **options):
    """Describe a comparison; ``call`` are forward's keyword arguments."""
    label = name + (f"{args}" if args else "") + (f"{kwargs}" if kwargs else "")
    return pytest.param(name, args, kwargs or {}, inputs, call or {}, options, id=label.replace(" ", ""))


X = f(4, 6)
IMG = f(2, 4, 9, 8)
SEQ = f(2, 4, 12)
VOL = f(2, 4, 6, 5, 7)

CASES = [
    # affine
    case("Identity", inputs=(X,)),
    case("Linear", (6, 3), inputs=(X,)),
    case("Linear", (6, 3), {"bias": False}, (f(2, 5, 6),)),
    case("Linear", (6, 3), inputs=(f(6),)),
    case("Bilinear", (6, 5, 3), inputs=(X, f(4, 5))),
    case("Bilinear", (6, 5, 3), {"bias": False}, (f(2, 3, 6), f(2, 3, 5))),
    case("Flatten", inputs=(IMG,)),
    case("Flatten", (0, 2), inputs=(IMG,)),
    case("Unflatten", (1, (2, 3)), inputs=(X,)),
    # activations
    *[case(n, inputs=(X,)) for n in (
        "ReLU", "ReLU6", "Sigmoid", "Tanh", "LogSigmoid", "Softsign", "Tanhshrink", "SiLU", "Mish", "SELU", "GELU",
        "ELU", "CELU", "GLU", "Hardshrink", "Softshrink", "LeakyReLU", "Softplus", "PReLU", "Hardsigmoid", "Hardswish",
        "Hardtanh", "RReLU")],
    case("GELU", kwargs={"approximate": "tanh"}, inputs=(X,)),
    case("ELU", (0.5,), inputs=(X,)),
    case("CELU", (0.5,), inputs=(X,)),
    case("LeakyReLU", (0.2,), inputs=(X,)),
    case("Softplus", (2.0, 1.0), inputs=(X,)),
    case("Threshold", (0.1, 20.0), inputs=(X,)),
    case("Hardtanh", (-0.5, 0.7), inputs=(X,)),
    case("PReLU", (4,), inputs=(IMG,)),
    case("GLU", (1,), inputs=(IMG,)),
    *[case(n, kwargs={"inplace": True}, inputs=(X,), leaf=False) for n in (
        "ReLU", "ReLU6", "SiLU", "Mish", "SELU", "ELU", "CELU", "LeakyReLU", "Hardtanh", "Hardswish", "Hardsigmoid")],
    *[case(n, (d,), inputs=(IMG,)) for n in ("Softmax", "LogSoftmax", "Softmin") for d in (0, 1, -1)],
    case("Softmax2d", inputs=(IMG,)),
    # convolutions
    case("Conv1d", (4, 6, 3), inputs=(SEQ,)),
    case("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}, (SEQ,)),
    case("Conv2d", (4, 6, 3), inputs=(IMG,)),
    case("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}, (IMG,)),
    case("Conv2d", (4, 8, 3), {"groups": 4, "bias": False}, (IMG,)),
    case("Conv2d", (4, 6, 3), inputs=(f(4, 9, 8),)),
    case("Conv2d", (4, 6, (3, 4)), {"padding": "same"}, (IMG,)),
    case("Conv2d", (4, 6, 3), {"padding": "valid"}, (IMG,)),
    *[case("Conv2d", (4, 6, 3), {"padding": 2, "padding_mode": m}, (IMG,)) for m in ("reflect", "replicate", "circular")],
    case("Conv2d", (4, 6, (3, 4)), {"padding": "same", "padding_mode": "circular"}, (IMG,)),
    case("Conv3d", (4, 6, 3), {"padding": 1, "stride": 2}, (VOL,)),
    case("ConvTranspose1d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (SEQ,)),
    case("ConvTranspose2d", (4, 6, 3), inputs=(IMG,)),
    case("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2, "dilation": 2}, (IMG,)),
    case("ConvTranspose2d", (4, 6, 3), {"stride": 2}, (IMG,), {"output_size": [20, 18]}),
    case("ConvTranspose3d", (4, 6, 3), {"stride": 2, "output_padding": 1}, (VOL,)),
    case("Unfold", ((2, 3),), {"padding": 1, "stride": 2, "dilation": 2}, (IMG,)),
    case("Unfold", (2,), inputs=(IMG,)),
    case("Fold", ((5, 6), (2, 2)), inputs=(f(2, 12, 20),)),
    case("Fold", ((5, 6), (2, 3)), {"padding": 1, "stride": 2}, (f(2, 12, 9),)),
    # pooling
    case("MaxPool1d", (3,), inputs=(SEQ,)),
    case("MaxPool2d", (2,), inputs=(IMG,)),
    case("MaxPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}, (IMG,)),
    case("MaxPool2d", ((3, 2),), {"stride": (2, 1), "dilation": 2}, (IMG,)),
    case("MaxPool2d", (2,), {"return_indices": True}, (IMG,)),
    case("MaxPool3d", (2,), inputs=(VOL,)),
    case("AvgPool1d", (3,), inputs=(SEQ,)),
    case("AvgPool2d", (2,), inputs=(IMG,)),
    case("AvgPool2d", (3, 2, 1), {"count_include_pad": False, "ceil_mode": True}, (IMG,)),
    case("AvgPool2d", (3,), {"divisor_override": 5}, (IMG,)),
    case("AvgPool3d", (2,), inputs=(VOL,)),
    case("LPPool1d", (2, 3), inputs=(SEQ,)),
    case("LPPool2d", (3, 2), {"stride": 1}, (np.abs(IMG),)),
    case("LPPool3d", (2, 2), inputs=(VOL,)),
    case("AdaptiveAvgPool1d", (5,), inputs=(SEQ,)),
    case("AdaptiveAvgPool2d", (1,), inputs=(IMG,)),
    case("AdaptiveAvgPool2d", ((4, None),), inputs=(IMG,)),
    case("AdaptiveAvgPool3d", ((2, 3, 4),), inputs=(VOL,)),
    case("AdaptiveMaxPool1d", (5,), inputs=(SEQ,)),
    case("AdaptiveMaxPool2d", ((3, 4),), inputs=(IMG,)),
    case("AdaptiveMaxPool2d", ((3, 4), True), inputs=(IMG,)),
    case("AdaptiveMaxPool3d", (2,), inputs=(VOL,)),
    case("FractionalMaxPool2d", (2,), {"output_size": (4, 3)}, (IMG,)),
    case("FractionalMaxPool2d", (2,), {"output_ratio": 0.5}, (IMG,)),
    case("FractionalMaxPool3d", (2,), {"output_size": (3, 2, 3)}, (VOL,)),
    # normalization
    case("BatchNorm1d", (6,), inputs=(X,)),
    case("BatchNorm1d", (4,), inputs=(SEQ,)),
    case("BatchNorm2d", (4,), inputs=(IMG,)),
    case("BatchNorm2d", (4,), {"affine": False, "momentum": None}, (IMG,)),
    case("BatchNorm2d", (4,), {"track_running_stats": False}, (IMG,)),
    case("BatchNorm2d", (4,), {"bias": False}, (IMG,)),
    case("BatchNorm3d", (4,), inputs=(VOL,)),
    case("SyncBatchNorm", (4,), inputs=(IMG,)),
    case("LayerNorm", (6,), inputs=(X,)),
    case("LayerNorm", ((9, 8),), {"bias": False}, (IMG,)),
    case("LayerNorm", (8,), {"elementwise_affine": False}, (IMG,)),
    case("GroupNorm", (2, 4), inputs=(IMG,)),
    case("GroupNorm", (4, 4), {"affine": False}, (SEQ,)),
    case("InstanceNorm1d", (4,), inputs=(SEQ,)),
    case("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, (IMG,)),
    case("InstanceNorm2d", (4,), inputs=(f(4, 9, 8),)),
    case("InstanceNorm3d", (4,), inputs=(VOL,)),
    case("RMSNorm", (6,), inputs=(X,)),
    case("RMSNorm", ((9, 8),), {"eps": 1e-3, "elementwise_affine": False}, (IMG,)),
    case("LocalResponseNorm", (2,), inputs=(IMG,)),
    case("LocalResponseNorm", (3,), {"alpha": 0.1, "k": 2.0}, (SEQ,)),
    # dropout
    *[case(n, (0.3,), inputs=(x,)) for n, x in (
        ("Dropout", X), ("Dropout1d", SEQ), ("Dropout2d", IMG), ("Dropout3d", VOL), ("AlphaDropout", X),
        ("FeatureAlphaDropout", IMG))],
    case("Dropout", (0.5, True), inputs=(X,), leaf=False),
    case("Dropout2d", (0.5, True), inputs=(IMG,), leaf=False),
    # padding
    *[case(f"{k}Pad1d", (a,), inputs=(SEQ,)) for k in ("Zero", "Reflection", "Replication", "Circular") for a in (2, (1, 3))],
    *[case(f"{k}Pad2d", (a,), inputs=(IMG,)) for k in ("Zero", "Reflection", "Replication", "Circular") for a in (2, (1, 3, 0, 2))],
    *[case(f"{k}Pad3d", (a,), inputs=(VOL,)) for k in ("Zero", "Reflection", "Replication", "Circular") for a in (1, (1, 3, 0, 2, 2, 1))],
    case("ConstantPad1d", (2, 3.5), inputs=(SEQ,)),
    case("ConstantPad2d", ((-1, 2, 1, -2), 1.5), inputs=(IMG,)),
    case("ConstantPad3d", (1, -1.0), inputs=(VOL,)),
    # images
    case("PixelShuffle", (2,), inputs=(f(2, 8, 3, 4),)),
    case("PixelUnshuffle", (2,), inputs=(f(2, 3, 4, 6),)),
    case("ChannelShuffle", (2,), inputs=(IMG,)),
    case("Upsample", kwargs={"scale_factor": 2}, inputs=(SEQ,)),
    case("Upsample", kwargs={"size": (5, 13)}, inputs=(IMG,)),
    case("Upsample", kwargs={"scale_factor": 1.7, "mode": "nearest-exact"}, inputs=(IMG,)),
    case("Upsample", kwargs={"scale_factor": 2.3, "mode": "linear"}, inputs=(SEQ,)),
    *[case("Upsample", kwargs={"size": z, "mode": m, "align_corners": a}, inputs=(IMG,))
      for m in ("bilinear", "bicubic") for a in (True, False) for z in ((5, 13), (20, 3))],
    case("Upsample", kwargs={"scale_factor": (0.6, 1.4), "mode": "bilinear"}, inputs=(IMG,)),
    case("Upsample", kwargs={"scale_factor": 2, "mode": "trilinear"}, inputs=(VOL,)),
    case("Upsample", kwargs={"size": 4, "mode": "area"}, inputs=(IMG,)),
    case("UpsamplingNearest2d", (None, 2), inputs=(IMG,)),
    case("UpsamplingBilinear2d", (7,), inputs=(IMG,)),
    # distances
    case("CosineSimilarity", inputs=(X, f(4, 6))),
    case("PairwiseDistance", inputs=(X, f(4, 6))),
    case("PairwiseDistance", (1.0,), {"keepdim": True}, (X, f(4, 6))),
    # tables
    case("Embedding", (10, 4), inputs=(i(10, 3, 5),)),
    case("Embedding", (10, 4), {"padding_idx": -2}, (i(10, 30),)),
    case("Embedding", (10, 4), {"max_norm": 1.0, "scale_grad_by_freq": True}, (i(10, 30),)),
    *[case("EmbeddingBag", (10, 4), {"mode": m}, (i(10, 3, 5),)) for m in ("sum", "mean", "max")],
    case("EmbeddingBag", (10, 4), {"mode": "mean", "padding_idx": 2}, (i(10, 12), np.array([0, 3, 3, 7]))),
    case("EmbeddingBag", (10, 4), {"mode": "sum", "include_last_offset": True}, (i(10, 12), np.array([0, 3, 12]))),
    # losses
    *[case(n, kwargs={"reduction": r}, inputs=(X, f(4, 6))) for n in (
        "L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss") for r in ("mean", "sum", "none")],
    case("SmoothL1Loss", kwargs={"beta": 0.3}, inputs=(X, f(4, 6))),
    case("HuberLoss", kwargs={"delta": 0.3}, inputs=(X, f(4, 6))),
    *[case("CrossEntropyLoss", kwargs={"reduction": r}, inputs=(X, i(6, 4))) for r in ("mean", "sum", "none")],
    case("CrossEntropyLoss", kwargs={"label_smoothing": 0.1, "ignore_index": 2}, inputs=(X, np.array([2, 0, 5, 1]))),
    case("CrossEntropyLoss", inputs=(IMG, i(4, 2, 9, 8))),
    case("CrossEntropyLoss", inputs=(X, p(4, 6)), kwargs={"label_smoothing": 0.2}),
    case("CrossEntropyLoss", inputs=(f(6), np.array(3))),
    *[case("NLLLoss", kwargs={"reduction": r}, inputs=(X, i(6, 4))) for r in ("mean", "sum", "none")],
    case("NLLLoss", inputs=(IMG, i(4, 2, 9, 8))),
    *[case("BCELoss", kwargs={"reduction": r}, inputs=(p(4, 6), p(4, 6))) for r in ("mean", "sum", "none")],
    *[case("BCEWithLogitsLoss", kwargs={"reduction": r}, inputs=(X, p(4, 6))) for r in ("mean", "sum", "none")],
    *[case("KLDivLoss", kwargs={"reduction": r}, inputs=(X, p(4, 6))) for r in ("batchmean", "sum", "none", "mean")],
    case("KLDivLoss", kwargs={"log_target": True, "reduction": "sum"}, inputs=(X, f(4, 6))),
    case("PoissonNLLLoss", inputs=(X, p(4, 6) * 4)),
    case("PoissonNLLLoss", kwargs={"log_input": False, "full": True}, inputs=(p(4, 6), i(5, 4, 6).astype(np.float32))),
    case("GaussianNLLLoss", inputs=(X, f(4, 6), p(4, 6))),
    case("GaussianNLLLoss", kwargs={"full": True}, inputs=(X, f(4, 6), p(4, 1))),
    case("HingeEmbeddingLoss", inputs=(X, s(4, 6))),
    case("SoftMarginLoss", inputs=(X, s(4, 6))),
    case("MultiLabelMarginLoss", inputs=(X, np.array([[1, 3, -1, 0, 2, 4], [0, -1, 1, 2, 3, 4], [5, 4, 3, 2, 1, 0], [-1] * 6]))),
    case("MultiLabelSoftMarginLoss", inputs=(X, i(2, 4, 6).astype(np.float32))),
    case("MultiMarginLoss", inputs=(X, i(6, 4))),
    case("MultiMarginLoss", kwargs={"p": 2, "margin": 0.5, "reduction": "none"}, inputs=(X, i(6, 4))),
    case("CosineEmbeddingLoss", kwargs={"margin": 0.1}, inputs=(X, f(4, 6), s(4))),
    case("MarginRankingLoss", kwargs={"margin": 0.2}, inputs=(f(9), f(9), s(9))),
    case("TripletMarginLoss", inputs=(X, f(4, 6), f(4, 6))),
    case("TripletMarginLoss", kwargs={"swap": True, "p": 1.0, "margin": 3.0}, inputs=(X, f(4, 6), f(4, 6))),
    case("TripletMarginWithDistanceLoss", inputs=(X, f(4, 6), f(4, 6))),
    case("CTCLoss", inputs=(np.log(p(9, 3, 5)), i(4, 3, 4) + 1, np.array([9, 8, 7]), np.array([4, 2, 3]))),
    case("CTCLoss", kwargs={"reduction": "sum"},
         inputs=(np.log(p(9, 2, 5)), i(4, 5) + 1, np.array([9, 9]), np.array([3, 2]))),
    case("LinearCrossEntropyLoss", (6, 5), inputs=(X, i(5, 4))),
    case("AdaptiveLogSoftmaxWithLoss", (8, 20, [4, 10]), {"div_value": 2.0}, (f(6, 8), np.array([0, 3, 5, 9, 12, 19]))),
    # recurrent layers
    *[case(n, (6, 5), k, (f(7, 3, 6),)) for n in ("RNN", "LSTM", "GRU") for k in (
        {}, {"num_layers": 2, "bidirectional": True}, {"bias": False}, {"num_layers": 3, "dropout": 0.4})],
    *[case(n, (6, 5), {"batch_first": True}, (f(3, 7, 6), f(1, 3, 5))) for n in ("RNN", "GRU")],
    case("RNN", (6, 5), {"nonlinearity": "relu"}, (f(7, 6),)),
    case("LSTM", (6, 5), {"proj_size": 3, "num_layers": 2}, (f(7, 3, 6),)),
    case("LSTM", (6, 5), inputs=(f(7, 6),)),
    *[case(n, (6, 5), inputs=(f(3, 6),)) for n in ("RNNCell", "LSTMCell", "GRUCell")],
    *[case(n, (6, 5), {"bias": False}, (f(6), f(5))) for n in ("RNNCell", "GRUCell")],
    # attention
    case("MultiheadAttention", (8, 2), inputs=(f(5, 3, 8), f(7, 3, 8), f(7, 3, 8))),
    case("MultiheadAttention", (8, 2), {"kdim": 4, "vdim": 6, "bias": False}, (f(5, 3, 8), f(7, 3, 4), f(7, 3, 6))),
    case("MultiheadAttention", (8, 4), {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
         (f(3, 5, 8), f(3, 7, 8), f(3, 7, 8))),
    case("MultiheadAttention", (8, 2), {"dropout": 0.3}, (f(5, 3, 8), f(7, 3, 8), f(7, 3, 8)), {"need_weights": False}),
    case("MultiheadAttention", (8, 2), inputs=(f(5, 8), f(7, 8), f(7, 8)), call={"average_attn_weights": False}),
    *[case("TransformerEncoderLayer", (8, 2, 16), k, (f(5, 3, 8),)) for k in (
        {}, {"norm_first": True, "activation": "gelu"}, {"batch_first": True, "dropout": 0.0, "bias": False})],
    case("TransformerDecoderLayer", (8, 2, 16), inputs=(f(5, 3, 8), f(7, 3, 8))),
    case("TransformerDecoderLayer", (8, 2, 16), {"norm_first": True}, (f(5, 3, 8), f(7, 3, 8))),
    case("Transformer", (8, 2, 2, 2, 16), inputs=(f(5, 3, 8), f(7, 3, 8))),
]


def build(lib, name, args, kwargs):
    """Make a layer from seed 11."""
    lib.manual_seed(11)
    return getattr(lib.nn, name)(*args, **kwargs)


def run(lib, module, inputs, call, leaf):
    """Return output arrays, gradients by input and parameter."""
    leaves, args = [], []
    for x in inputs:
        t = lib.from_numpy(np.array(x))
        if x.dtype == np.float32 and not np.isin(x, (-1, 1)).all():  # signs are labels
            t.requires_grad_(True)
            leaves.append(t)
            if not leaf:
                t = t * 1
        args.append(t)
    lib.manual_seed(5)
    out = module(*args, **call)
    outs = flat(out)
    loss = sum((o * lib.from_numpy(weights(o.shape))).sum() for o in outs if o.is_floating_point())
    if getattr(loss, "requires_grad", False):
        loss.backward()
    grads = {f"input{k}": t.grad for k, t in enumerate(leaves)}
    grads.update({k: q.grad for k, q in module.named_parameters()})
    return outs, grads


def flat(out):
    """List the tensors of a nested result."""
    if isinstance(out, (tuple, list)):
        return [t for o in out for t in flat(o)]
    return [] if out is None else [out]


def weights(shape):
    """Return fixed factors, so that a sum has a telling gradient."""
    n = int(np.prod(shape)) if len(shape) else 1
    return (np.cos(np.arange(n, dtype=np.float32)) + 1.5).reshape(tuple(shape))


def same(a, b, what, exact=False):
    """Compare tensors of both libraries, or Nones."""
    assert (a is None) == (b is None), f"{what}: ours {a is None} None, PyTorch's {b is None}"
    if a is None:
        return
    a, b = a.detach().numpy(), b.detach().numpy()
    assert a.dtype == b.dtype, what
    assert a.shape == b.shape, what
    if exact:
        np.testing.assert_array_equal(a, b, err_msg=what)
    else:
        # Sums of many float32 terms round by the size of the largest.
        size = float(np.nanmax(np.abs(b[np.isfinite(b)]), initial=1.0))
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5 * max(1.0, size / 10), err_msg=what)


@pytest.mark.parametrize("name, args, kwargs, inputs, call, options", CASES)
def test_layer(name, args, kwargs, inputs, call, options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = build(rt, name, args, kwargs)
        theirs = build(torch, name, args, kwargs)
        assert repr(ours) == repr(theirs)
        state, wanted = ours.state_dict(), theirs.state_dict()
        assert list(state) == list(wanted)
        for key in wanted:
            same(state[key], wanted[key], f"initial {key}", exact=True)
        assert dict(state._metadata) == dict(wanted._metadata)
        leaf = options.get("leaf", True)
        for mode in (True, False):
            ours.train(mode), theirs.train(mode)
            outs, grads = run(rt, ours, inputs, call, leaf)
            wanted_outs, wanted_grads = run(torch, theirs, inputs, call, leaf)
            assert len(outs) == len(wanted_outs)
            for k, (a, b) in enumerate(zip(outs, wanted_outs)):
                same(a, b, f"output {k}, training {mode}")
            assert list(grads) == list(wanted_grads)
            for key in wanted_grads:
                same(grads[key], wanted_grads[key], f"gradient of {key}, training {mode}")
        state, wanted = ours.state_dict(), theirs.state_dict()
        for key in wanted:
            same(state[key], wanted[key], f"{key} after use")


def ten_steps(lib, name, args, kwargs, inputs, call):
    """Train a layer for ten steps; return its state, or None if it has nothing to learn."""
    module = build(lib, name, args, kwargs)
    parameters = list(module.parameters())
    if not parameters:
        return None
    # not Adam: it divides by the gradient's size, and lets rounding decide where that is next to zero (the bias of attention's keys)
    optimizer = lib.optim.SGD(parameters, lr=0.01, momentum=0.9)
    for step in range(10):
        lib.manual_seed(step)
        optimizer.zero_grad()
        outs = flat(module(*(lib.from_numpy(np.array(x)) for x in inputs), **call))
        loss = sum(((o - lib.from_numpy(weights(o.shape))) ** 2).mean() for o in outs if o.is_floating_point() and o.requires_grad)
        loss.backward()
        optimizer.step()
    return module.state_dict()


@pytest.mark.parametrize("name, args, kwargs, inputs, call, options", CASES)
def test_ten_steps(name, args, kwargs, inputs, call, options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, wanted = (ten_steps(lib, name, args, kwargs, inputs, call) for lib in (rt, torch))
    assert (ours is None) == (wanted is None)
    for key in wanted or ():
        a, b = ours[key].numpy(), wanted[key].numpy()
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * max(1.0, float(np.abs(b).max(initial=0))), err_msg=key)


def test_every_layer_is_here():
    covered = {c.values[0] for c in CASES}
    elsewhere = {"Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "Container", "LinearCrossEntropyOptions", "NLLLoss2d", "CrossMapLRN2d",      # test_containers, test_nn_tools
                 "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "TransformerEncoder", "TransformerDecoder"}
    lazy = {n for n in torch.nn.modules.__all__ if n.startswith("Lazy")}
    bases = {"RNNBase", "RNNCellBase"}
    missing = set(torch.nn.modules.__all__) - covered - elsewhere - lazy - bases
    assert not missing
    assert all(hasattr(rt.nn, n) for n in torch.nn.modules.__all__ if n != "Container")
