"""How products, convolutions, pools, norms, attention and recurrent layers are written in ONNX."""
import math

from .. import tensor as _t
from ..nn.modules.rnn import GRU, LSTM, RNN
from ..tensor import Tensor
from . import OnnxExporterError
from ._ops import RULES, axis_of, is_val, known, operand, rule

MODULES = {}


def _tuple(x, n):
    return [int(v) for v in x] if isinstance(x, (list, tuple)) and len(x) == n else [int(x[0] if isinstance(x, (list, tuple)) else x)] * n


# ---- products ----
@rule("matmul", "mm", "bmm", "mv", "dot")
def matmul(w, val, input, other, **kwargs):
    return w.op("MatMul", [operand(w, input, val.dtype), operand(w, other, val.dtype)], val)


@rule("linear")
def linear(w, val, input, weight, bias=None):
    if input.ndim == 2:
        return w.op("Gemm", [input, weight, bias], val, transB=1)
    out = w.op("MatMul", [input, w.op("Transpose", [weight], perm=[1, 0])], val)
    return out if bias is None else w.op("Add", [out, bias], val)


@rule("addmm", "baddbmm", "addbmm")
def addmm(w, val, input, a, b, *, beta=1, alpha=1):
    out = w.op("MatMul", [a, b])
    if alpha != 1:
        out = w.op("Mul", [out, w.const(float(alpha), val.dtype)])
    if beta != 1:
        input = w.op("Mul", [input, w.const(float(beta), val.dtype)])
    return w.op("Add", [input, out], val)


@rule("einsum")
def einsum(w, val, equation, *operands):
    operands = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else list(operands)
    if w.opset < 12:
        raise OnnxExporterError("onnx.export: einsum needs opset_version 12 or later")
    return w.op("Einsum", [operand(w, x, val.dtype) for x in operands], val, equation=equation.replace(" ", ""))


@rule("bilinear")
def bilinear(w, val, input1, input2, weight, bias=None):
    out = w.op("Einsum", [input1, weight, input2], val, equation="...i,oij,...j->...o")
    return out if bias is None else w.op("Add", [out, bias], val)


@rule("outer", "ger")
def outer(w, val, input, other):
    return w.op("Mul", [w.unsqueeze(input, [1]), w.unsqueeze(other, [0])], val)


@rule("embedding")
def embedding(w, val, input, weight, padding_idx=None, max_norm=None, *args, **kwargs):
    if max_norm is not None:
        raise OnnxExporterError("onnx.export: embedding with max_norm changes its weights, which ONNX does not")
    return w.op("Gather", [weight, input], val, axis=0)


@rule("one_hot")
def one_hot(w, val, input, num_classes=-1):
    made = w.op("OneHot", [input, w.const(val.shape[-1], _t.int64), w.const([0, 1], _t.int64)], val, axis=-1)
    return made


# ---- convolutions ----
def _pads(w, padding, n, input, weight, stride, dilation):
    if padding == "valid":
        return input, [0] * 2 * n
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:])]
        return input, [t // 2 for t in total] + [t - t // 2 for t in total]
    return input, _tuple(padding, n) * 2


def _convolution(n):
    def write(w, val, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        single = input.ndim == n + 1
        x = w.unsqueeze(input, [0], input.val.unsqueeze(0)) if single else input
        stride, dilation = _tuple(stride, n), _tuple(dilation, n)
        x, pads = _pads(w, padding, n, x, weight, stride, dilation)
        out = w.op("Conv", [x, weight, bias], val, kernel_shape=list(weight.shape[2:]), strides=stride, pads=pads, dilations=dilation, group=int(groups))
        return w.squeeze(out, [0], val) if single else out
    return write


def _transposed(n):
    def write(w, val, input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
        single = input.ndim == n + 1
        x = w.unsqueeze(input, [0], input.val.unsqueeze(0)) if single else input
        out = w.op("ConvTranspose", [x, weight, bias], val, kernel_shape=list(weight.shape[2:]), strides=_tuple(stride, n), pads=_tuple(padding, n) * 2,
                   output_padding=_tuple(output_padding, n), dilations=_tuple(dilation, n), group=int(groups))
        return w.squeeze(out, [0], val) if single else out
    return write


for _n in (1, 2, 3):
    RULES[f"conv{_n}d"], RULES[f"conv_transpose{_n}d"] = _convolution(_n), _transposed(_n)


# ---- pools ----
def _batched(n, fn):
    """Write for (C, ...) as for one sample."""
    def write(w, val, input, *args, **kwargs):
        if input.ndim == n + 2:
            return fn(w, val, input, *args, **kwargs)
        out = fn(w, val, w.unsqueeze(input, [0], input.val.unsqueeze(0)), *args, **kwargs)
        return w.squeeze(out, [0], val)
    return write


def _max_pool(n):
    def write(w, val, input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        if return_indices:
            raise OnnxExporterError("onnx.export: the indices of max_pool are counted otherwise in ONNX")
        k = _tuple(kernel_size, n)
        s = k if stride is None or stride == () or stride == [] else _tuple(stride, n)
        return w.op("MaxPool", [input], val, kernel_shape=k, strides=s, pads=_tuple(padding, n) * 2, dilations=_tuple(dilation, n), ceil_mode=int(ceil_mode))
    return write


def _avg_pool(n):
    def write(w, val, input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
        if divisor_override is not None:
            raise OnnxExporterError("onnx.export: avg_pool with divisor_override has no form in ONNX")
        k = _tuple(kernel_size, n)
        s = k if stride is None or stride == () or stride == [] else _tuple(stride, n)
        return w.op("AveragePool", [input], val, kernel_shape=k, strides=s, pads=_tuple(padding, n) * 2, ceil_mode=int(ceil_mode), count_include_pad=int(count_include_pad))
    return write


def _adaptive(n, whole, kind):
    def write(w, val, input, output_size, return_indices=False):
        if return_indices:
            raise OnnxExporterError("onnx.export: the indices of adaptive pools have no form in ONNX")
        wanted = list(val.shape[-n:])
        if wanted == [1] * n:
            return w.op(whole, [input], val)
        have = input.shape[-n:]
        if any(h % o for h, o in zip(have, wanted)):
            raise OnnxExporterError(f"onnx.export: adaptive pools are written where the output divides the input, got {tuple(have)} to {tuple(wanted)}")
        k = [h // o for h, o in zip(have, wanted)]
        return w.op(kind, [input], val, kernel_shape=k, strides=k)
    return write


for _n in (1, 2, 3):
    RULES[f"max_pool{_n}d"], RULES[f"avg_pool{_n}d"] = _batched(_n, _max_pool(_n)), _batched(_n, _avg_pool(_n))
    RULES[f"adaptive_avg_pool{_n}d"] = _batched(_n, _adaptive(_n, "GlobalAveragePool", "AveragePool"))
    RULES[f"adaptive_max_pool{_n}d"] = _batched(_n, _adaptive(_n, "GlobalMaxPool", "MaxPool"))


# ---- norms ----
@rule("batch_norm")
def batch_norm(w, val, input, *args, **kwargs):
    # torch.batch_norm has the weights before the statistics, nn.functional's after
    names = ("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    first = "weight", "bias", "running_mean", "running_var", *names[4:]
    given = {**dict(zip(first if w.function is _t.batch_norm else names, args)), **kwargs}
    mean, variance = given.get("running_mean"), given.get("running_var")
    if given.get("training") or mean is None:
        raise OnnxExporterError("onnx.export: batch_norm is written with its running statistics; export in evaluation mode")
    c = input.shape[1]
    scale = given.get("weight") or w.const(_t.ones(c, dtype=val.dtype))
    bias = given.get("bias") or w.const(_t.zeros(c, dtype=val.dtype))
    return w.op("BatchNormalization", [input, scale, bias, mean, variance], val, epsilon=float(given.get("eps", 1e-5)))


def _normalized(w, x, axes, eps, dtype):
    gap = w.op("Sub", [x, w.reduce("ReduceMean", x, axes, True)])
    spread = w.reduce("ReduceMean", w.op("Mul", [gap, gap]), axes, True)
    return w.op("Div", [gap, w.op("Sqrt", [w.op("Add", [spread, w.const(float(eps), dtype)])])])


@rule("layer_norm")
def layer_norm(w, val, input, normalized_shape, weight=None, bias=None, eps=1e-5, **kwargs):
    n = len(normalized_shape) if isinstance(normalized_shape, (list, tuple)) else 1
    if w.opset >= 17:
        scale = weight if weight is not None else w.const(_t.ones(input.shape[-n:], dtype=val.dtype))
        return w.op("LayerNormalization", [input, scale, bias], val, axis=-n, epsilon=float(eps))
    out = _normalized(w, input, list(range(input.ndim - n, input.ndim)), eps, val.dtype)
    out = out if weight is None else w.op("Mul", [out, weight])
    out = out if bias is None else w.op("Add", [out, bias])
    out.val = val
    return out


@rule("rms_norm")
def rms_norm(w, val, input, normalized_shape, weight=None, eps=None):
    n = len(normalized_shape) if isinstance(normalized_shape, (list, tuple)) else 1
    mean = w.reduce("ReduceMean", w.op("Mul", [input, input]), list(range(input.ndim - n, input.ndim)), True)
    if eps is None:
        from .._info import finfo
        eps = finfo(val.dtype).eps
    out = w.op("Div", [input, w.op("Sqrt", [w.op("Add", [mean, w.const(float(eps), val.dtype)])])], val)
    return out if weight is None else w.op("Mul", [out, weight], val)


def _per_channel(w, x, ndim):
    return x if x is None else w.reshape(x, [1, -1] + [1] * (ndim - 2))


@rule("group_norm")
def group_norm(w, val, input, num_groups, weight=None, bias=None, eps=1e-5, **kwargs):
    grouped = w.reshape(input, [0, num_groups, -1])
    out = w.op("Reshape", [_normalized(w, grouped, [2], eps, val.dtype), w.op("Shape", [input])], val)
    out = out if weight is None else w.op("Mul", [out, _per_channel(w, weight, input.ndim)], val)
    return out if bias is None else w.op("Add", [out, _per_channel(w, bias, input.ndim)], val)


@rule("instance_norm")
def instance_norm(w, val, input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5, **kwargs):
    if not use_input_stats:
        return RULES["batch_norm"](w, val, input, running_mean, running_var, weight, bias, eps=eps)
    c = input.shape[1]
    scale = weight if weight is not None else w.const(_t.ones(c, dtype=val.dtype))
    shift = bias if bias is not None else w.const(_t.zeros(c, dtype=val.dtype))
    return w.op("InstanceNormalization", [input, scale, shift], val, epsilon=float(eps))


@rule("local_response_norm")
def local_response_norm(w, val, input, size, alpha=1e-4, beta=0.75, k=1.0):
    if size % 2 == 0:
        raise OnnxExporterError(f"onnx.export: local_response_norm is written for odd sizes, got {size}")
    return w.op("LRN", [input], val, size=int(size), alpha=float(alpha), beta=float(beta), bias=float(k))


@rule("normalize")
def normalize(w, val, input, p=2.0, dim=1, eps=1e-12, out=None):
    if p not in (1, 2):
        raise OnnxExporterError(f"onnx.export: normalize is written for p=1 and 2, got {p}")
    length = w.reduce("ReduceL1" if p == 1 else "ReduceL2", input, [axis_of(dim, input.ndim)], True)
    return w.op("Div", [input, w.op("Max", [length, w.const(float(eps), val.dtype)])], val)


# ---- softmax, dropout ----
def _softmax(kind):
    def write(w, val, input, dim=None, _stacklevel=3, dtype=None, **kwargs):
        x = w.cast(input, val.dtype)
        axis = axis_of(-1 if dim is None else dim, input.ndim)
        if dim is None:
            axis = 0 if input.ndim in (0, 1, 3) else 1
        if w.opset >= 13 or axis == input.ndim - 1:
            return w.op(kind, [x], val, axis=axis)
        order = list(range(input.ndim))
        order[axis], order[-1] = order[-1], order[axis]
        out = w.op(kind, [w.op("Transpose", [x], perm=order)], axis=input.ndim - 1)
        return w.op("Transpose", [out], val, perm=order)
    return write


RULES["softmax"], RULES["log_softmax"] = _softmax("Softmax"), _softmax("LogSoftmax")


@rule("softmin")
def softmin(w, val, input, dim=None, **kwargs):
    return RULES["softmax"](w, val, w.op("Neg", [input], input.val), dim)


@rule("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "feature_dropout")
def dropout(w, val, input, p=0.5, training=None, *args, **kwargs):
    if training is None:
        training = kwargs.get("train", True)
    if training and p:
        raise OnnxExporterError("onnx.export: dropout that drops is not written; export in evaluation mode")
    return input


# ---- padding, resizing ----
@rule("pad", "constant_pad_nd")
def pad(w, val, input, pad, mode="constant", value=None):
    if mode == "circular":
        raise OnnxExporterError("onnx.export: circular padding has no form in ONNX here")
    n = len(pad) // 2
    begins, ends = [0] * input.ndim, [0] * input.ndim
    for i in range(n):
        begins[-1 - i], ends[-1 - i] = pad[2 * i], pad[2 * i + 1]
    kind = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}[mode]
    return w.op("Pad", [input, w.ints(begins + ends), operand(w, value or 0, val.dtype) if kind == "constant" else None], val, mode=kind)


@rule("interpolate", "upsample")
def interpolate(w, val, input, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None, antialias=False):
    n = input.ndim - 2
    kind = {"nearest": "nearest", "linear": "linear", "bilinear": "linear", "trilinear": "linear", "bicubic": "cubic", "nearest-exact": "nearest"}.get(mode)
    if kind is None or antialias:
        raise OnnxExporterError(f"onnx.export: interpolate is not written for mode={mode!r}{', antialias' if antialias else ''}")
    where = "align_corners" if align_corners else "asymmetric" if mode == "nearest" else "half_pixel" if mode == "nearest-exact" else "pytorch_half_pixel"
    if kind != "nearest" and not align_corners:
        where = "half_pixel"
    scales = None
    if size is None and not recompute_scale_factor:
        factors = [float(f) for f in scale_factor] if isinstance(scale_factor, (list, tuple)) else [float(scale_factor)] * n
        scales = w.const([1.0, 1.0, *factors], _t.float32)
    sizes = None
    if scales is None:
        want = list(size) if isinstance(size, (list, tuple)) else [size] * n if size is not None else list(val.shape[2:])
        shape = w.op("Shape", [input])
        lead = w.op("Slice", [shape, w.const([0], _t.int64), w.const([2], _t.int64), w.const([0], _t.int64)])
        sizes = w.op("Concat", [lead, w.ints(want)], axis=0)
    rounding = "floor" if mode == "nearest" else "round_prefer_ceil" if mode == "nearest-exact" else None
    region = w.const([], _t.float32) if w.opset < 13 else None          # had to be there
    scales = w.const([], _t.float32) if scales is None and w.opset < 13 else scales
    return w.op("Resize", [input, region, scales, sizes], val, mode=kind, coordinate_transformation_mode=where, nearest_mode=rounding,
                cubic_coeff_a=-0.75 if kind == "cubic" else None)


@rule("pixel_shuffle")
def pixel_shuffle(w, val, input, upscale_factor):
    return w.op("DepthToSpace", [input], val, blocksize=int(upscale_factor), mode="CRD")


@rule("grid_sample")
def grid_sample(w, val, input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    if w.opset < 16:
        raise OnnxExporterError("onnx.export: grid_sample needs opset_version 16 or later")
    names = {"bilinear": "linear", "bicubic": "cubic"} if w.opset >= 20 else {}
    return w.op("GridSample", [input, grid], val, mode=names.get(mode, mode), padding_mode=padding_mode, align_corners=int(bool(align_corners)))


# ---- attention ----
def _attend(w, q, k, v, mask, scale, dtype):
    """(..., L, E), (..., S, E), (..., S, D) and an addend or None: the result and the weights."""
    order = list(range(len(q.shape)))
    order[-1], order[-2] = order[-2], order[-1]
    scores = w.op("MatMul", [w.op("Mul", [q, w.const(scale, dtype)]), w.op("Transpose", [k], perm=order)])
    if mask is not None:
        scores = w.op("Add", [scores, mask])
    share = w.op("Softmax", [scores], axis=len(q.shape) - 1)
    return w.op("MatMul", [share, v]), share


def _addend(w, mask, dtype, true_is):
    """A mask as what is added to scores; bool masks: whether True keeps or leaves out."""
    if mask is None:
        return None
    value = mask if is_val(mask) else w.const(mask)
    if value.dtype is not _t.bool:
        return w.cast(value, dtype)
    zero, gone = w.const(0.0, dtype), w.const(-math.inf, dtype)
    return w.op("Where", [value, zero, gone] if true_is == "keep" else [value, gone, zero], _t.zeros(value.shape, dtype=dtype))


@rule("scaled_dot_product_attention")
def attention(w, val, query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    if dropout_p or enable_gqa:
        raise OnnxExporterError("onnx.export: scaled_dot_product_attention is written without dropout and without grouped heads")
    mask = _addend(w, attn_mask, val.dtype, "keep")
    if is_causal:
        mask = w.const(_t.full((query.shape[-2], key.shape[-2]), -math.inf, dtype=val.dtype).triu(1))
    out, _ = _attend(w, query, key, value, mask, 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale), val.dtype)
    out.val = val
    return out


@rule("multi_head_attention_forward")
def multi_head_attention(w, val, query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v, add_zero_attn, dropout_p, out_proj_weight,
                         out_proj_bias, training=True, key_padding_mask=None, need_weights=True, attn_mask=None, use_separate_proj_weight=False, q_proj_weight=None,
                         k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None, average_attn_weights=True, is_causal=False):
    if bias_k is not None or add_zero_attn or static_k is not None or static_v is not None or training and dropout_p:
        raise OnnxExporterError("onnx.export: attention is written without bias_k, add_zero_attn, given projections and dropout")
    dtype, single = query.dtype, query.ndim == 2
    if single:
        query, key, value = (w.unsqueeze(x, [1], x.val.unsqueeze(1)) for x in (query, key, value))
    length, batch, width = query.shape
    head = width // num_heads
    if use_separate_proj_weight:
        weights = q_proj_weight, k_proj_weight, v_proj_weight
    else:
        weights = w.split(in_proj_weight, [width] * 3, 0, list(in_proj_weight.val.chunk(3)))
    biases = (None,) * 3 if in_proj_bias is None else w.split(in_proj_bias, [width] * 3, 0, list(in_proj_bias.val.chunk(3)))

    def heads(x, weight, bias):
        y = w.op("MatMul", [x, w.op("Transpose", [weight], perm=[1, 0])])
        y = y if bias is None else w.op("Add", [y, bias])
        shape = w.op("Shape", [x], _t.tensor(x.shape))
        lead = w.op("Slice", [shape, w.const([0], _t.int64), w.const([2], _t.int64), w.const([0], _t.int64)])
        split = w.op("Reshape", [y, w.op("Concat", [lead, w.const([num_heads, head], _t.int64)], axis=0)])
        return w.op("Transpose", [split], _t.empty(x.shape[1], num_heads, x.shape[0], head, device="meta"), perm=[1, 2, 0, 3])
    q, k, v = (heads(x, a, b) for x, a, b in zip((query, key, value), weights, biases))
    mask = _addend(w, attn_mask, dtype, "leave")
    if mask is not None and mask.ndim == 3:
        mask = w.reshape(mask, [-1, num_heads, *mask.shape[1:]])
    padding = _addend(w, key_padding_mask, dtype, "leave")
    if padding is not None:
        padding = w.unsqueeze(padding, [0, 1, 2] if padding.ndim == 1 else [1, 2])
        mask = padding if mask is None else w.op("Add", [mask, padding])
    out, share = _attend(w, q, k, v, mask, 1 / math.sqrt(head), dtype)
    out = w.op("Transpose", [out], perm=[2, 0, 1, 3])
    shape = w.op("Shape", [query])
    out = w.op("Reshape", [out, shape])
    out = w.op("MatMul", [out, w.op("Transpose", [out_proj_weight], perm=[1, 0])])
    out = out if out_proj_bias is None else w.op("Add", [out, out_proj_bias])
    out = w.squeeze(out, [1], val[0]) if single else out
    out.val = val[0]
    if not need_weights:
        return out, None
    if average_attn_weights:
        share = w.reduce("ReduceMean", share, [1], False)
    share = w.squeeze(share, [0]) if single else share
    share.val = val[1]
    return out, share


# ---- recurrent layers ----
def _gates(weight, order):
    """Blocks of rows in ONNX's order of gates."""
    parts = weight.detach().chunk(len(order), 0)
    return _t.cat([parts[i] for i in order], 0)


def _recurrent(kind, order):
    def write(w, node, module, path, input, hx=None):
        val = node.meta["val"]
        if not isinstance(known(input), Tensor):
            raise OnnxExporterError("onnx.export: recurrent layers are written for padded tensors, not for packed sequences")
        if getattr(module, "proj_size", 0):
            raise OnnxExporterError("onnx.export: LSTM with proj_size has no form in ONNX")
        if module.training and module.dropout:
            raise OnnxExporterError("onnx.export: recurrent layers are written without dropout; export in evaluation mode")
        directions, hidden, layers = 1 + module.bidirectional, module.hidden_size, module.num_layers
        single = input.ndim == 2
        x = input
        if single:
            x = w.unsqueeze(x, [0 if module.batch_first else 1], x.val.unsqueeze(0 if module.batch_first else 1))
        if module.batch_first:
            x = w.op("Transpose", [x], x.val.transpose(0, 1), perm=[1, 0, 2])
        states = [] if hx is None else list(hx) if kind == "LSTM" else [hx]
        if single:
            states = [w.unsqueeze(s, [1], s.val.unsqueeze(1)) for s in states]
        finals = [[], []]
        for layer in range(layers):
            stacks = {"weight_ih": [], "weight_hh": [], "bias": []}
            for suffix in ("", "_reverse")[:directions]:
                for name in ("weight_ih", "weight_hh"):
                    stacks[name].append(_gates(getattr(module, f"{name}_l{layer}{suffix}"), order))
                if module.bias:
                    stacks["bias"].append(_t.cat([_gates(getattr(module, f"{name}_l{layer}{suffix}"), order) for name in ("bias_ih", "bias_hh")], 0))

            def weights(name):
                stored = w.fresh(f"{path}.{name}_l{layer}")
                return w.initializer(stored, _t.stack(stacks[name]))
            inputs = [x, weights("weight_ih"), weights("weight_hh"), weights("bias") if module.bias else None, None]
            for s in states:
                inputs.append(w.op("Slice", [s, w.const([layer * directions], _t.int64), w.const([(layer + 1) * directions], _t.int64), w.const([0], _t.int64)]))
            attributes = {"hidden_size": hidden, "direction": "bidirectional" if directions == 2 else "forward"}
            if kind == "GRU":
                attributes["linear_before_reset"] = 1
            if kind == "RNN":
                attributes["activations"] = [{"tanh": "Tanh", "relu": "Relu"}[module.nonlinearity]] * directions
            outs = w.op(kind, inputs, outputs=3 if kind == "LSTM" else 2, **attributes)
            y = outs[0]                                       # (time, directions, batch, hidden)
            if directions == 1:
                x = w.squeeze(y, [1])
            else:
                x = w.reshape(w.op("Transpose", [y], perm=[0, 2, 1, 3]), [0, 0, -1])
            for i, out in enumerate(outs[1:]):
                finals[i].append(out)
        values = [val[0], *(val[1] if kind == "LSTM" else [val[1]])]
        if module.batch_first:
            x = w.op("Transpose", [x], perm=[1, 0, 2])
        if single:
            x = w.squeeze(x, [0 if module.batch_first else 1])
        x.val = values[0]
        ends = []
        for parts, value in zip(finals, values[1:]):
            end = parts[0] if layers == 1 else w.op("Concat", parts, axis=0)
            end = w.squeeze(end, [1]) if single else end
            end.val = value
            ends.append(end)
        return x, tuple(ends) if kind == "LSTM" else ends[0]
    return write


MODULES.update({LSTM: _recurrent("LSTM", (0, 3, 1, 2)), GRU: _recurrent("GRU", (1, 0, 2)), RNN: _recurrent("RNN", (0,))})
