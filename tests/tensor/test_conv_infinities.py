"""An infinity or NaN in an operand of a convolution reaches the results that it is a summand of and no others, as with PyTorch: whichever way computes them."""

import itertools

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import tensor as _t

SHAPES = {            # batch, groups, in, out channels (of a group), size, kernel, stride, padding, dilation
    "winograd": (2, 1, 32, 32, (16, 18), 3, 1, 1, 1),
    "winograd by fives": (1, 1, 24, 16, (18, 25), 5, 1, 2, 1),
    "winograd by two": (2, 1, 32, 48, (20, 20), 3, 2, 1, 1),
    "winograd, dilated": (2, 1, 32, 32, (16, 16), 3, 1, 2, 2),
    "winograd, many channels": (4, 1, 256, 256, (7, 7), 3, 1, 1, 1),
    "winograd in groups": (3, 2, 16, 32, (19, 17), 3, 1, 1, 1),
    "winograd of volumes": (1, 1, 16, 16, (5, 10, 12), 3, 1, 1, 1),
    "rows of taps": (8, 1, 6, 16, (9, 8), 5, 1, 1, 1),
    "windows": (2, 1, 8, 12, (13, 14), 3, 1, 0, 1),
    "windows by two": (2, 1, 3, 24, (21, 18), 4, 2, 1, 1),
    "windows, padded": (1, 1, 5, 8, (9, 23), 5, 1, 2, 1),
    "windows, dilated": (1, 1, 16, 24, (23, 21), 3, 1, 2, 3),
    "windows of volumes": (1, 1, 4, 8, (6, 7, 9), 2, 1, 1, 1),
    "a signal": (2, 1, 8, 16, (90,), 7, 1, 3, 1),
    "columns": (5, 1, 96, 100, (6, 6), 3, 1, 1, 1),
    "points": (3, 1, 17, 16, (7, 5), 1, 1, 0, 1),
    "points by two": (2, 1, 64, 64, (9, 9), 1, 2, 0, 1),
    "few channels of groups": (2, 3, 4, 2, (11, 12), 3, 1, 1, 1),
    "depthwise": (2, 33, 1, 1, (12, 19), 3, 1, 1, 1),
    "depthwise without padding": (2, 16, 1, 1, (12, 35), 3, 1, 0, 1),
    "depthwise by two": (1, 16, 1, 2, (14, 17), 3, 2, 1, 1),
    "depthwise by sevens": (1, 16, 1, 1, (20, 18), 7, 1, 3, 1),
    "dots of pairs": (1, 1, 32, 16, (11, 13), 3, 2, 0, 1),
    "dots of pairs, sevens": (5, 1, 16, 40, (25, 14), 7, 1, 3, 1),
}


def met(n, groups, cin, cout, size, k, stride, pad, dilation, at, of):
    """Which results hold element `at` of operand `of` (x, g) as a summand: masks of (y, gw) or of (gx, gw); and those of gw where it only meets padding."""
    nd = len(size)
    out = [(s + 2 * pad - dilation * (k - 1) - 1) // stride + 1 for s in size]
    image, channel, place = at[0], at[1], at[2:]
    here = np.zeros((n, groups * (cout if of == "x" else cin), *(out if of == "x" else size)), bool)
    taps, edge = np.zeros((k,) * nd, bool), np.zeros((k,) * nd, bool)
    group = channel // (cin if of == "x" else cout)
    others = slice(group * (cout if of == "x" else cin), (group + 1) * (cout if of == "x" else cin))
    for tap in itertools.product(range(k), repeat=nd):
        if of == "x":
            q = [p + pad - t * dilation for p, t in zip(place, tap)]
            ok = all(v % stride == 0 and 0 <= v // stride < o for v, o in zip(q, out))
            where = tuple(v // stride for v in q)
        else:
            where = tuple(p * stride - pad + t * dilation for p, t in zip(place, tap))
            ok = all(0 <= v < s for v, s in zip(where, size))
            edge[tap] = not ok
        if ok:
            here[(image, others, *where)] = True
            taps[tap] = True
    weights, padding = np.zeros((groups * cout, cin, *taps.shape), bool), np.zeros((groups * cout, cin, *taps.shape), bool)
    if of == "x":
        weights[group * cout:(group + 1) * cout, channel % cin] = taps
    else:
        weights[channel], padding[channel] = taps, edge
    return here, weights, padding


@pytest.mark.parametrize("name", SHAPES)
def test_infinities_stay_where_they_are(level, name):
    n, groups, cin, cout, size, k, stride, pad, dilation = shape = SHAPES[name]
    nd, rng = len(size), np.random.default_rng(len(name))
    out = [(s + 2 * pad - dilation * (k - 1) - 1) // stride + 1 for s in size]
    conv = {1: _t.conv1d, 2: _t.conv2d, 3: _t.conv3d}[nd]
    orders = [None] + [rt.channels_last if nd == 2 else rt.channels_last_3d] * (nd > 1)
    places = {"x": [tuple(0 for _ in size), tuple(s - 1 for s in size), tuple(s // 2 for s in size)], "g": [tuple(0 for _ in out), tuple(o - 1 for o in out)]}
    dtypes = (rt.float32, rt.float64, rt.bfloat16) if level == "avx512" else (rt.float32,)
    for dtype, order, (of, spots), odd in itertools.product(dtypes, orders, places.items(), (np.inf, np.nan)):
        for i, spot in enumerate(spots):
            at = (i % n, (i + 1) % (groups * (cin if of == "x" else cout)), *spot)
            arrays = {"x": rng.uniform(0.5, 1, (n, groups * cin, *size)), "g": rng.uniform(0.5, 1, (n, groups * cout, *out)),
                      "w": rng.uniform(0.5, 1, (groups * cout, cin, *(k,) * nd))}
            arrays[of][at] = odd
            x, g, w = (rt.tensor(arrays[a].astype("float32")).to(dtype) for a in "xgw")
            if order is not None:
                x, g = x.to(memory_format=order), g.to(memory_format=order)
            with rt.no_grad():
                y = conv(x, w, None, stride, pad, dilation, groups)
            x.requires_grad_(), w.requires_grad_()
            recorded = conv(x, w, None, stride, pad, dilation, groups)
            gx, gw = rt.autograd.grad(recorded, (x, w), g, retain_graph=True)
            alone = rt.autograd.grad(recorded, w, g)[0]
            here, weights, padding = met(*shape, at, of)
            wild = [~np.isfinite(t.detach().double().contiguous().numpy()) for t in (y, recorded, gx, gw, alone)]
            case = (dtype, order, of, at, odd)
            for got in wild[:2] if of == "x" else wild[2:3]:
                assert (got == here).all(), case
            for got in wild[3:]:
                assert (got | padding == weights | padding).all(), case


def test_a_relu_behind_hides_no_infinity(level):
    net = rt.nn.Sequential(rt.nn.Conv2d(32, 32, 3, padding=1), rt.nn.BatchNorm2d(32), rt.nn.ReLU()).eval()
    for order, odd in itertools.product((rt.contiguous_format, rt.channels_last), (np.inf, -np.inf)):
        x = rt.randn(2, 32, 16, 18)
        x[1, 3, 0, 0] = odd
        x = x.to(memory_format=order)
        with rt.no_grad():
            for _ in range(3):                     # the second and third time with kept weights
                wild = ~np.isfinite(net(x).contiguous().numpy())
                assert not wild[0].any() and not wild[1, :, 2:].any() and not wild[1, :, :, 2:].any() and wild[1].any()
