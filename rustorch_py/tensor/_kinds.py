"""What kind of value each argument takes, by its name: PyTorch uses one name for one kind nearly everywhere.

`_function` asks for the kinds of a function when it is first called, and checks arguments by them before the function
runs: so a float where an int belongs, or an int where a bool does, is a TypeError as in PyTorch, and no function checks
that itself. An argument whose default is None takes None; a name that is not here takes anything.
"""
ANY, TENSOR, BOOL, INT, INTS, FLOAT, NUMBER, STR, DTYPE, TENSORS, TENSOR_OR_NUMBER, INTS_OR_STR, SIZE, OUT, FORMAT, INTS_OR_FLAG = range(16)
OR_NONE = 64
WORDS = ("", "Tensor", "bool", "int", "tuple of ints", "float", "Number", "str", "torch.dtype", "tuple of Tensors", "Tensor or Number",
         "tuple of ints or str", "tuple of ints", "Tensor", "torch.memory_format", "tuple of ints")

NAMES = {
    TENSOR: """A B input self LD LU LU_data LU_pivots anchor attn_mask aweights batch1 batch2 bias boundaries condition elements fweights grid imag input1
        input2 log_probs mask mat mat1 mat2 offsets per_sample_weights pivots pos_weight positive prepend append negative running_mean running_var
        sorted_sequence sorter src target targets tensor1 tensor2 test_elements vec vec1 vec2 weight weights window x1 x2""",
    BOOL: """accumulate adjoint align_corners assume_unique ceil_mode center check_errors compute_uv count_include_pad descending enable_gqa equal_nan full
        full_matrices hermitian include_last_offset include_self increasing invert is_causal keepdim largest left log_input log_target normalized onesided
        out_int32 periodic pivot replacement return_complex return_counts return_inverse right scale_grad_by_freq some sorted sparse sparse_grad stable swap
        train training requires_grad unbiased unitriangular unpack_data unpack_pivots upper with_replacement zero_infinity""",
    INT: """N blank chunks col decimals diagonal dim0 dim1 dim2 divisor_override downscale_factor edge_order end_dim groups hop_length ignore_index k length
        minlength n n_fft num_classes num_groups num_samples offset padding_idx row start_dim steps storage_offset upscale_factor win_length window_length""",
    INTS: "padding pad dilation dim dims kernel_size normalized_shape output_padding output_size s shape shifts size sizes split_sizes stride source destination",
    FLOAT: "dropout_p eps median nan neginf posinf sigma",
    NUMBER: "alpha beta initial lambd lower max_val maxnorm min_val negative_slope threshold correction dx",
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
    **{f"{name}.size": SIZE for name in "_as_strided_method as_strided_ empty_strided_ new_empty_strided normal as_strided_scatter".split()},
    **{f"{name}.stride": SIZE for name in "_as_strided_method as_strided_ empty_strided_ new_empty_strided as_strided_scatter".split()},
    **{f"{name}.normalized_shape": SIZE for name in "layer_norm native_layer_norm rms_norm".split()},
    **{f"{name}.{a}": ANY for name in "max_unpool1d max_unpool2d max_unpool3d".split() for a in "kernel_size stride padding output_size".split()},
    **{f"adaptive_{kind}_pool{n}d{more}.output_size": ANY for kind in ("avg", "max") for n in (1, 2, 3) for more in ("", "_with_indices")},
    **{f"{name}.padding": INTS_OR_STR for name in "conv1d conv2d conv3d".split()},
    **{f"fractional_max_pool{n}d{more}.{a}": ANY for n in (2, 3) for more in ("", "_with_indices") for a in ("output_size", "kernel_size")},
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
    **{f"{name}.n": TENSOR_OR_NUMBER for kind in "tuvw" for name in (f"chebyshev_polynomial_{kind}", f"shifted_chebyshev_polynomial_{kind}")},
    **{f"{name}.n": TENSOR_OR_NUMBER for name in "hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p".split()},
    "narrow.start": INT, "unfold.dimension": INT, "unfold.step": INT, "eye.m": INT, "pad.value": FLOAT, "pad.mode": STR, "gelu.approximate": STR,
    "scatter_reduce.reduce": STR, "scatter_reduce_.reduce": STR, "vecdot.y": TENSOR, "vecdot.dim": INT, "vector_norm.ord": NUMBER, "tensorinv.ind": INT,
    "polar.abs": TENSOR, "polar.angle": TENSOR, "normal.mean": TENSOR_OR_NUMBER, "normal.std": TENSOR_OR_NUMBER, "local_response_norm.k": NUMBER,
    "local_response_norm.size": ANY, "gaussian_nll_loss.full": ANY, "randint.size": ANY, "_dirichlet_grad.alpha": ANY, "type_.dtype": ANY, "polygamma.n": ANY, "polygamma_.n": INT, "polygamma.input": ANY, "where.input": TENSOR_OR_NUMBER,
    **{f"{name}.dim": INTS_OR_FLAG for name in "std var std_mean var_mean".split()},      # std(x, True) is unbiased=True
    **{f"{name}.target": ANY for name in "mse_loss l1_loss smooth_l1_loss huber_loss".split()}, "max.dim": ANY, "min.dim": ANY,
    "max.other": ANY, "min.other": ANY, "bucketize.input": TENSOR_OR_NUMBER, "searchsorted.input": TENSOR_OR_NUMBER, "isin.elements": TENSOR_OR_NUMBER,
    "isin.test_elements": TENSOR_OR_NUMBER, "lerp.weight": TENSOR_OR_NUMBER, "lerp_.weight": TENSOR_OR_NUMBER, "rrelu.upper": NUMBER, "rrelu_.upper": NUMBER,
    "hamming_window.alpha": FLOAT, "index_add.source": TENSOR, "index_add_.source": TENSOR, "index_copy.source": TENSOR, "index_copy_.source": TENSOR,
    "index_reduce.source": TENSOR, "index_reduce_.source": TENSOR, "masked_scatter.source": TENSOR, "masked_scatter_.source": TENSOR, "put.source": TENSOR,
    "put_.source": TENSOR, "set_.source": ANY, "unfold.size": INT, "scalar_tensor.s": NUMBER, "repeat_interleave.output_size": INT, "nonzero_static.size": INT,
    "scatter.src": ANY, "scatter_.src": ANY, "copy_.src": ANY, "trapz.dx": FLOAT, "cov.correction": INT, "mvlgamma.p": INT, "mvlgamma_.p": INT, "tensordot.dims": ANY, "gradient.dim": ANY,
    "from_file.size": INT, "normal.size": ANY, "cross_entropy.weight": TENSOR, "histogram.weight": TENSOR, "isclose.input": TENSOR, "squeeze.dim": INTS,
    "roll.dims": INTS, "flip.dims": INTS, "bincount.weights": TENSOR, "matrix_power.n": INT, "vander.N": INT, "diff.n": INT, "fft.n": INT,
}
OPTIONAL = set("""out memory_format output bias weight running_mean running_var attn_mask pos_weight mask window offsets per_sample_weights prepend append sorter fweights aweights weights
    dtype rounding_mode norm nan posinf neginf stable onesided return_complex divisor_override hop_length win_length s dim dims output_size side generator""".split())


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
        if kind and (name in OPTIONAL if name not in defaults else defaults[name] is None or name in OPTIONAL and name != "dim"):
            kind |= OR_NONE
        found.append(kind)
    return bytes(found) if any(found) else b""
