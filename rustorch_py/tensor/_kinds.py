"""What kind of value each argument takes, by its name: PyTorch uses one name for one kind nearly everywhere.

`_function` asks for the kinds of a function when it is first called, and checks arguments by them before the function
runs: so a float where an int belongs, or an int where a bool does, is a TypeError as in PyTorch, and no function checks
that itself. An argument whose default is None takes None; a name that is not here takes anything.
"""
ANY, TENSOR, BOOL, INT, INTS, FLOAT, NUMBER, STR, DTYPE, TENSORS, TENSOR_OR_NUMBER, INTS_OR_STR, SIZE, OUT, FORMAT, INTS_OR_FLAG, TENSOR_OR_INT, TENSOR_OR_INTS, REAL = range(19)
OR_NONE = 64
NOT_NONE = 128                               # None is refused although it is the default
WORDS = ("", "Tensor", "bool", "int", "tuple of ints", "float", "Number", "str", "torch.dtype", "tuple of Tensors", "Tensor or Number",
         "tuple of ints or str", "tuple of ints", "Tensor", "torch.memory_format", "tuple of ints", "Tensor or int", "Tensor, int or tuple of ints", "Number")

NAMES = {
    TENSOR: """A B L input self LD LU LU_data LU_pivots anchor attn_mask aweights batch1 batch2 bias boundaries condition elements fweights grid imag input1
        input2 log_probs mask mat mat1 mat2 offsets per_sample_weights pivots pos_weight positive prepend append negative running_mean running_var
        sorted_sequence sorter src target targets tensor1 tensor2 test_elements vec vec1 vec2 weight weights window x1 x2""",
    BOOL: """accumulate as_tuple density adjoint align_corners assume_unique ceil_mode center check_errors compute_uv count_include_pad descending enable_gqa equal_nan full
        full_matrices hermitian include_last_offset include_self increasing invert is_causal keepdim largest left log_input log_target normalized onesided
        out_int32 periodic pivot replacement return_complex return_counts return_inverse right scale_grad_by_freq some sorted sparse sparse_grad stable swap
        train training requires_grad unbiased unitriangular unpack_data unpack_pivots upper with_replacement zero_infinity""",
    INT: """N blank chunks col decimals diagonal dim0 dim1 dim2 divisor_override downscale_factor edge_order end_dim groups hop_length ignore_index k length
        minlength n n_fft num_classes num_groups num_samples offset padding_idx row start_dim steps storage_offset upscale_factor win_length window_length""",
    INTS: "padding pad dilation dim dims kernel_size normalized_shape output_padding output_size s shape shifts size sizes split_sizes stride source destination",
    FLOAT: "dropout_p eps median nan neginf posinf sigma momentum max_norm norm_type",
    NUMBER: "alpha beta initial lower max_val min_val negative_slope correction dx fill_value",
    REAL: "lambd maxnorm threshold",
    STR: "UPLO indexing interpolation norm rounding_mode side",
    DTYPE: "dtype",
    TENSORS: "tensors",
    TENSOR_OR_NUMBER: "exponent other x y",
    OUT: "out",
    FORMAT: "memory_format",
}
KINDS = {name: kind for kind, names in NAMES.items() for name in names.split()}

# A number may stand for the first tensor, as in PyTorch's parser
NUMBERS_AS_TENSORS = set("""add sub mul div floor_divide remainder fmod pow eq ne lt le gt ge where result_type xlogy xlog1py zeta bitwise_and bitwise_or
    bitwise_xor bitwise_left_shift bitwise_right_shift float_power""".split())
# Functions in which `other` is a tensor and no number
_TENSOR_OTHER = """allclose atan2 atan2_ cross dist equal expand_as fmax fmin gcd gcd_ hypot hypot_ igamma igamma_ igammac igammac_ inner is_same_size isclose
    kron lcm lcm_ ldexp ldexp_ logaddexp logaddexp2 logical_and logical_and_ logical_or logical_or_ logical_xor logical_xor_ matmul maximum minimum nextafter
    nextafter_ reshape_as type_as vdot view_as"""
# Functions in which `dim` is one dimension
_ONE_DIM = """argmax argmin argsort cat chunk cosine_similarity cross cummax cummin cumprod cumprod_ cumsum cumsum_ gather glu index_add index_add_ index_copy
    index_copy_ index_fill index_fill_ index_reduce index_reduce_ index_select kthvalue log_softmax logcumsumexp max median min mode msort nanmedian narrow
    prod renorm renorm_ scatter scatter_ scatter_add scatter_add_ scatter_reduce scatter_reduce_ select select_scatter slice_scatter softmax sort split_with_sizes
    split stack take_along_dim tensor_split topk trapezoid cumulative_trapezoid unbind unflatten unsqueeze unsqueeze_ diff aminmax cross softmin"""

# Arguments that differ from the rule of their name: "function.argument"
OTHERS = {
    **{f"{name}.other": TENSOR for name in _TENSOR_OTHER.split()},
    **{f"{name}.dim": INT for name in _ONE_DIM.split()},
    **{f"{name}.size": SIZE for name in "as_strided as_strided_ empty_strided new_empty_strided normal as_strided_scatter".split()},
    **{f"{name}.stride": SIZE for name in "as_strided as_strided_ empty_strided new_empty_strided as_strided_scatter".split()},
    **{f"{name}.normalized_shape": SIZE for name in "layer_norm native_layer_norm rms_norm".split()},
    **{f"{name}.{a}": ANY for name in "max_unpool1d max_unpool2d max_unpool3d".split() for a in "kernel_size stride padding".split() if name + a != "max_unpool3dstride"},
    **{f"max_unpool{n}d.output_size": ANY for n in (1, 2, 3)}, "interpolate.align_corners": ANY, "interpolate.size": ANY, "upsample_bilinear.size": ANY,
    "gaussian_nll_loss.eps": REAL, "gaussian_nll_loss.target": TENSOR_OR_NUMBER, "softplus.beta": REAL, "requires_grad_.requires_grad": BOOL | NOT_NONE,
    **{f"multilabel_soft_margin_loss.{a}": TENSOR_OR_NUMBER for a in ("target", "weight")}, "normalize.dim": INTS | OR_NONE, "stft.center": ANY,
    **{f"multi_head_attention_forward.{a}": ANY for a in ("training", "dropout_p")}, **{f"triplet_margin_{a}loss.margin": FLOAT for a in ("", "with_distance_")},
    **{f"adaptive_{kind}_pool{n}d{more}.output_size": INTS | NOT_NONE if n == 1 else ANY for kind in ("avg", "max") for n in (1, 2, 3) for more in ("", "_with_indices")},
    **{f"{name}.padding": INTS_OR_STR for name in "conv1d conv2d conv3d".split()},
    **{f"fractional_max_pool{n}d{more}.{a}": INTS for n in (2, 3) for more in ("", "_with_indices") for a in ("output_size", "kernel_size")},
    **{f"native_group_norm.{a}": INT for a in ("N", "C", "HxW", "group_")},
    **{f"{name}.value": NUMBER for name in "addcmul addcmul_ addcdiv addcdiv_ threshold threshold_".split()},
    **{f"{name}.value": TENSOR_OR_NUMBER for name in "masked_fill masked_fill_ index_fill index_fill_ fill fill_".split()},
    **{f"{name}.{a}": FLOAT for name in ("isclose", "allclose") for a in ("rtol", "atol")},
    **{f"{name}.p": FLOAT for name in "cdist pdist pairwise_distance triplet_margin_loss".split()},
    **{f"{name}.p": NUMBER for name in "dist renorm renorm_".split()},
    **{f"{name}.index": INT for name in ("select", "select_scatter")},
    **{f"{name}.x": TENSOR for name in ("vecdot", "vector_norm")},
    **{f"{name}.{a}": kind for name in ("grid_sampler", "grid_sampler_2d", "grid_sampler_3d") for a, kind in
       (("grid", TENSOR), ("interpolation_mode", INT), ("padding_mode", INT), ("align_corners", BOOL))},
    **{f"slice_scatter.{a}": INT for a in ("start", "end", "step")},
    **{f"{name}.{a}": TENSOR for name in "gather scatter scatter_ scatter_add scatter_add_ scatter_reduce scatter_reduce_ index_add index_add_ index_copy index_copy_ index_fill index_fill_ index_reduce index_reduce_ index_select put put_ take".split() for a in ("index",)},
    **{f"{name}.indices": TENSOR for name in "unravel_index take_along_dim max_unpool1d max_unpool2d max_unpool3d".split()},
    **{f"{name}.indices_or_sections": INTS for name in "hsplit vsplit dsplit".split()}, "tensor_split.indices_or_sections": TENSOR_OR_INTS,
    **{f"{name}.dim": TENSOR_OR_INT | NOT_NONE for name in ("max", "min")}, **{f"{name}.dim": INT | NOT_NONE for name in ("median", "nanmedian", "prod")},
    **{f"{name}.dim": INTS | NOT_NONE for name in ("squeeze", "squeeze_")}, **{f"{name}.unbiased": BOOL | NOT_NONE for name in "std var std_mean var_mean".split()},
    "argsort.stable": BOOL | NOT_NONE, "eye.m": INT | NOT_NONE, "flip.dims": SIZE, "tile.dims": SIZE, "broadcast_to.size": SIZE, "normal.size": SIZE,
    **{f"{name}.x": TENSOR | NOT_NONE for name in ("trapezoid", "cumulative_trapezoid")}, **{f"{name}.{a}": ANY for name in ("split", "split_method") for a in ("split_size", "split_size_or_sections")}, "split_with_sizes.split_sizes": SIZE,
    **{f"{name}.{a}": ANY for name in ("unfold", "fold") for a in ("output_size", "kernel_size", "dilation", "padding", "stride")}, "lp_pool2d.kernel_size": ANY, "lp_pool3d.kernel_size": ANY,
    **{f"{name}.{a}": TENSOR_OR_NUMBER for name in "clamp_min clamp_max clamp_min_ clamp_max_".split() for a in ("min", "max")},
    **{f"{name}_copy.size": SIZE for name in ("expand", "view")}, "permute_copy.dims": SIZE, **{f"{name}.dim": INTS | OR_NONE for name in ("amax", "amin")}, "linalg_pinv.rcond": TENSOR_OR_NUMBER | NOT_NONE, "randint.low": INT, "lerp.weight": TENSOR_OR_NUMBER, **{f"{name}.other": TENSOR for name in ("max", "min")},
    **{f"{name}.margin": FLOAT for name in "margin_ranking_loss cosine_embedding_loss hinge_embedding_loss".split()},
    **{f"{name}.{a}": FLOAT for name in "normal_ log_normal_ cauchy_ uniform_ geometric_ exponential_".split() for a in "mean std median sigma p lambd".split()},
    **{f"{name}.{a}": REAL for name in ("histc", "threshold", "threshold_") for a in ("min", "max", "value")},
    **{f"{name}.{a}": SIZE for name in ("empty_permuted",) for a in ("size", "physical_layout")},
    **{f"arange.{a}": REAL | NOT_NONE for a in ("start", "end", "step")},
    **{f"{name}.{a}": TENSOR_OR_NUMBER for name in ("linspace", "logspace") for a in ("start", "end")},
    **{f"{name}.transpose": BOOL for name in ("ormqr", "triangular_solve")},
    **{f"{name}.non_blocking": BOOL for name in ("to", "copy_")}, "to.copy": BOOL,
    **{f"{name}.{a}": TENSOR for name in ("lerp", "lerp_") for a in ("end",)},
    **{f"{name}.fill_value": INT for name in ("nonzero_static",)}, "logspace.base": FLOAT, "constant_pad_nd.value": NUMBER, "complex.real": TENSOR, "heaviside.values": TENSOR,
    "combinations.r": INT, "histc.bins": INT, "histogram.bins": TENSOR_OR_INT, "repeat_interleave.repeats": TENSOR_OR_INT, "narrow_copy.start": INT,
    "instance_norm.use_input_stats": BOOL, "huber_loss.delta": FLOAT, "lstsq.driver": STR, "lstsq.rcond": FLOAT, "pinv.rcond": TENSOR_OR_NUMBER,
    "index_reduce.reduce": STR, "index_reduce_.reduce": STR, "scatter.reduce": STR | NOT_NONE, "scatter_.reduce": STR | NOT_NONE, "quantile.q": TENSOR_OR_NUMBER, "nanquantile.q": TENSOR_OR_NUMBER,
    "dot.tensor": TENSOR, "fill_diagonal_.wrap": BOOL, "one_hot.tensor": TENSOR, "scaled_dot_product_attention.query": TENSOR, "scaled_dot_product_attention.key": TENSOR,
    "scaled_dot_product_attention.value": TENSOR, "scaled_dot_product_attention.scale": FLOAT, "to.dtype": ANY, "normalize.p": REAL | OR_NONE,
    "rsub.other": TENSOR_OR_NUMBER, "tensordot.a": TENSOR, "tensordot.b": TENSOR, "ormqr.tau": TENSOR, "householder_product.tau": TENSOR, "index_put.values": TENSOR, "index_put_.values": TENSOR,
    "narrow.start": INT, "unfold.dimension": INT, "unfold.step": INT, "pad.value": FLOAT, "pad.mode": STR, "gelu.approximate": STR,
    "scatter_reduce.reduce": STR, "scatter_reduce_.reduce": STR, "vecdot.y": TENSOR, "vecdot.dim": INT, "vector_norm.ord": REAL, "tensorinv.ind": INT,
    "polar.abs": TENSOR, "polar.angle": TENSOR, "normal.mean": TENSOR_OR_NUMBER, "normal.std": TENSOR_OR_NUMBER, "local_response_norm.k": NUMBER,
    "local_response_norm.size": ANY, "gaussian_nll_loss.full": ANY, "randint.size": ANY, "_dirichlet_grad.alpha": ANY, "type.dtype": ANY, "result_type.tensor1": TENSOR_OR_NUMBER, "result_type.tensor2": TENSOR_OR_NUMBER, "polygamma.n": ANY, "polygamma_.n": INT, "polygamma.input": ANY, "where.input": TENSOR_OR_NUMBER,
    **{f"{name}.dim": INTS_OR_FLAG for name in "std var std_mean var_mean".split()},      # std(x, True) is unbiased=True
    **{f"{name}.target": ANY for name in "mse_loss l1_loss smooth_l1_loss huber_loss".split()}, 
    "bucketize.input": TENSOR_OR_NUMBER, "searchsorted.input": TENSOR_OR_NUMBER, "isin.elements": TENSOR_OR_NUMBER,
    "isin.test_elements": TENSOR_OR_NUMBER, "lerp_.weight": TENSOR_OR_NUMBER, "rrelu.upper": NUMBER, "rrelu_.upper": NUMBER,
    **{f"{name}.{a}": kind for name in "bartlett blackman cosine exponential gaussian general_cosine general_hamming hamming hann kaiser nuttall".split()
       for a, kind in (("dtype", ANY), ("alpha", ANY), ("beta", ANY), ("requires_grad", BOOL | OR_NONE))},
    **{f"{kind}_polynomial_{letter}.{a}": TENSOR_OR_NUMBER for kind, letters in (("chebyshev", "tuvw"), ("shifted_chebyshev", "tuvw"), ("laguerre", "l"), ("legendre", "p"))
       for letter in letters for a in ("input", "n")},
    **{f"hermite_polynomial_{name}.{a}": TENSOR_OR_NUMBER for name in ("h", "he") for a in ("input", "n")},
    "hamming_window.alpha": FLOAT, "index_add.source": TENSOR, "index_add_.source": TENSOR, "index_copy.source": TENSOR, "index_copy_.source": TENSOR,
    "index_reduce.source": TENSOR, "index_reduce_.source": TENSOR, "masked_scatter.source": TENSOR, "masked_scatter_.source": TENSOR, "put.source": TENSOR,
    "put_.source": TENSOR, "set_.source": ANY, "unfold.size": INT, "scalar_tensor.s": NUMBER, "repeat_interleave.output_size": INT, "nonzero_static.size": INT,
    "scatter.src": ANY, "scatter_.src": ANY, "copy_.src": ANY, "trapz.dx": FLOAT, "cov.correction": INT, "mvlgamma.p": INT, "mvlgamma_.p": INT, "tensordot.dims": ANY, "istft.return_complex": BOOL | NOT_NONE, "cross_entropy.label_smoothing": FLOAT, "multi_margin_loss.margin": NUMBER, "smooth_l1_loss.beta": FLOAT,
    **{f"{name}{form}.{a}": REAL for name, a in (("elu", "alpha"), ("celu", "alpha"), ("leaky_relu", "negative_slope")) for form in ("", "_")}, "gradient.dim": ANY,
    "from_file.size": INT, "cross_entropy.weight": TENSOR, "histogram.weight": TENSOR, "isclose.input": TENSOR, 
    "roll.dims": INTS, "embedding.norm_type": ANY, "bincount.weights": TENSOR, "matrix_power.n": INT, "vander.N": INT, "diff.n": INT, "fft.n": INT,
}
OPTIONAL = set("""out memory_format output bias weight running_mean running_var attn_mask pos_weight mask window offsets per_sample_weights prepend append sorter fweights aweights weights
    dtype rounding_mode norm nan posinf neginf stable onesided return_complex divisor_override hop_length win_length s dim dims output_size side generator
    max_norm driver rcond scale momentum fill_value requires_grad""".split())


# ---- what is asked of dtypes ------------------------------------------------------------------------------
# Letters: b bool, i integers, u uint8, h float16, g bfloat16, f the wider floats, c complex. float16 and bfloat16 are asked about on the CPU only.
# Functions whose first tensor has one of these dtypes. PyTorch has no loop for others.
TAKES = {
    "bif": """airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 erfcx log_ndtr modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 ndtri
        scaled_modified_bessel_k0 scaled_modified_bessel_k1 spherical_bessel_j0""",
    "bighf": "ndtr abs_",
    "f": "polar ctc_loss multi_margin_loss multilabel_margin_loss",
    "if": "avg_pool3d",
    "gf": "rrelu",
    "hgf": """cdist adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d glu grid_sample grid_sampler
        grid_sampler_2d grid_sampler_3d fractional_max_pool2d fractional_max_pool3d binary_cross_entropy prelu instance_norm batch_norm pdist
        scaled_dot_product_attention igamma_ igammac_ binary_cross_entropy_with_logits kl_div""",
    "hgfc": "vecdot",
    "uhgf": "interpolate upsample_nearest upsample_bilinear",
    "ihgfc": "cumsum_ cumprod_ softsign tanhshrink l1_loss cross linalg_cross gradient",
    "ihgf": "mvlgamma mvlgamma_",
}
# Arguments that must be of one dtype
ALIKE = {
    "input other": "cross linalg_cross vecdot",
    "x y": "vecdot",
    "x1 x2": "cdist",
    "input grid": "grid_sample grid_sampler grid_sampler_2d grid_sampler_3d",
    "input1 input2 weight bias": "bilinear",
    "input weight": "prelu",
    "input target": "binary_cross_entropy",
    "running_mean running_var": "batch_norm",
    "input tau": "ormqr",
    "abs angle": "polar",
    "input out": "gelu softplus hardshrink softshrink round",
    "query key value": "scaled_dot_product_attention",
}
# Further arguments of certain dtypes
ALSO_TAKES = {"kl_div.target": "hgf", "l1_loss.target": "ihgfc", "trapezoid.x": "ihgfc", "trapz.x": "ihgfc", "cumulative_trapezoid.x": "ihgfc", "ldexp.other": "bihgfc", "repeat_interleave.repeats": "i"}
# Numbers of the result's dtype: no complex number for real tensors; in some functions no bool but for tensors of bool
SCALARS = {name: ("alpha", "beta", "value", "weight") for name in "lerp lerp_ constant_pad_nd addr addr_ addcmul addcmul_ addcdiv addcdiv_ rsub addmm addmm_ addmv addmv_ baddbmm baddbmm_ addbmm addbmm_".split()}

BOOL_FOR_BOOL = {"addr", "addr_", "rsub"}


def demand_of(fn, names):
    """Return what a function asks of its arguments' dtypes: (takes, alike, scalars) of `_function.Demand`; None: nothing."""
    op = fn.__name__
    takes = {name: also for name in names if (also := ALSO_TAKES.get(f"{op}.{name}"))}
    first = next((letters for letters, ops in TAKES.items() if op in ops.split()), None)
    if first is not None and names:
        takes[names[0]] = first
    alike = next((group.split() for group, ops in ALIKE.items() if op in ops.split() and group.split()[0] in names), ())
    scalars = SCALARS.get(op, ())
    return (takes, alike, scalars, op in BOOL_FOR_BOOL) if takes or alike or scalars else None


def kinds_of(fn, names):
    """Return the kinds of a function's arguments as bytes, one for each of `names`; empty where anything goes."""
    op = fn.__name__
    plain = fn.__defaults__ or ()
    first = fn.__code__.co_argcount - len(plain)
    defaults = dict(zip(names[first:fn.__code__.co_argcount], plain)) | (fn.__kwdefaults__ or {})
    found = bytearray()
    for place, name in enumerate(names):
        kind = OTHERS.get(f"{op}.{name}")
        if kind is None:
            kind = KINDS.get(name, ANY)
        if place == 0 and kind == TENSOR and op in NUMBERS_AS_TENSORS:
            kind = TENSOR_OR_NUMBER
        if kind & NOT_NONE:
            kind &= ~NOT_NONE
        elif kind and (name in OPTIONAL if name not in defaults else defaults[name] is None or name in OPTIONAL and name != "dim"):
            kind |= OR_NONE
        found.append(kind)
    return bytes(found) if any(found) else b""
