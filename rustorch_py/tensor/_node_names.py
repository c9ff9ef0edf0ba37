"""What the nodes of composed functions are called: PyTorch's names, where a function of ours is made of others.

The last node of such a function goes by the name here (``grad_fn=<GluBackward0>``); those below it keep their own, where PyTorch has one node.
"""


def _tensor_from(args, place):
    from ._tensor import Tensor
    return any(isinstance(a, Tensor) for a in args[place:])


def _numbered(stem, place, tensor=1):
    """The stem with Backward0 or Backward1, by whether the argument at `place` is a tensor or a number; `tensor`: the number of the former."""
    return lambda args, out: f"{stem}Backward{int(_tensor_from(args, place) == bool(tensor))}"


def _by_rank(stem):
    """Stem2DBackward0 and the like, by the number of dimensions behind samples and channels."""
    return lambda args, out: f"{stem}{out.dim() - 2}DBackward0"


def _mode(args, default):
    return next((a for a in args if isinstance(a, str)), default)


def _resized(args, out):
    mode, n = _mode(args, "nearest"), out.dim() - 2
    if mode == "area":
        return "SqueezeBackward1" if n == 1 else f"AdaptiveAvgPool{n}DBackward0"
    return f"Upsample{''.join(part.capitalize() for part in mode.split('-'))}{n}DBackward0"


def _padded(args, out):
    kind = {"reflect": "ReflectionPad", "replicate": "ReplicationPad"}.get(_mode(args, "constant"))
    if _mode(args, "constant") == "circular":                  # PyTorch fills a new array, slice by slice
        return "torch::autograd::CopySlices"
    sizes = next((a for a in args if isinstance(a, (tuple, list))), ())
    return kind and sizes and f"{kind}{len(sizes) // 2}DBackward0" or None


def _instead(**names):
    """Another name where the last node has one of these: it was recorded by another form of the operator, which PyTorch has inside of the function."""
    return lambda args, out: names.get(out.grad_fn.name())


def _norm_of_matrix(args, out):
    order = args[1] if len(args) > 1 else "fro"
    last = out.grad_fn.name()
    if order == "nuc":
        return "PermuteBackward0" if last == "UnsqueezeBackward0" else None
    return "AmaxBackward0" if last == "SqueezeBackward1" and order == float("inf") else None


def _adaptive(n):
    return lambda args, out: "MeanBackward1" if all(s == 1 for s in out.shape[-n:]) else f"AdaptiveAvgPool{n}DBackward0"


NAMES = {
    # whole functions
    **{name: "".join(part.capitalize() for part in name.split("_")) + "Backward0" for name in """addmv addbmm addr mv block_diag cdist cholesky
        aminmax glu mode mvlgamma dist ormqr roll index_reduce renorm logsumexp trace pixel_shuffle pixel_unshuffle channel_shuffle nansum kthvalue cummax
        cummin triangular_solve frexp ldexp lu_unpack native_group_norm diagonal_scatter select_scatter slice_scatter as_strided_scatter narrow_copy nan_to_num pdist soft_margin_loss multi_margin_loss multilabel_margin_loss embedding_bag binary_cross_entropy var_mean std_mean rot90 rsub
        polar complex view_as_real view_as_complex""".split()},
    # copies of views
    **{f"{name}_copy": "".join(part.capitalize() for part in name.split("_")) + "Backward0_copy" for name in
       "expand permute transpose t unsqueeze unfold unbind as_strided view alias diagonal split_with_sizes".split()},
    "squeeze_copy": lambda args, out: f"SqueezeBackward{int(len(args) > 1)}_copy",
    # PyTorch's other spellings
    "addmv_": "AddmvBackward0", "cross": "LinalgCrossBackward0", "linalg_cross": "LinalgCrossBackward0", "linalg_diagonal": "DiagonalBackward0", "linalg_lu_solve": "LinalgLuSolveBackward0",
    "linalg_pinv": "LinalgPinvBackward0", "complex_": "ComplexBackward0", "vdot": "VdotBackward0",
    "fft": lambda args, out: None if args[0].dtype.is_complex else "FftR2CBackward0", "ifft": lambda args, out: None if args[0].dtype.is_complex else "ConjBackward0",
    **{name: _instead(FftR2CBackward0="ConjBackward0") for name in ("ihfft", "ihfft2", "ihfftn")}, "unsafe_chunk": "UnsafeSplitBackward0", "unsafe_split": "UnsafeSplitBackward0",
    "unsafe_split_with_sizes": "UnsafeSplitWithSizesBackward0", "diag": lambda args, out: "DiagEmbedBackward0" if args[0].dim() == 1 else "DiagonalBackward0_copy",
    "diagonal": "DiagonalBackward0", "real": "SelectBackward0", "imag": "SelectBackward0", "lu_solve": "LinalgLuSolveBackward0", "lu": "LinalgLuBackward0",
    "pinv": "LinalgPinvBackward0", "pinverse": "LinalgPinvBackward0", "householder_product": "LinalgHouseholderProductBackward0", "lstsq": "LinalgLstsqBackward0",
    "solve": "LinalgSolveExBackward0", "solve_ex": "LinalgSolveExBackward0", "kron": "UnsafeViewBackward0",
    "rrelu": "RreluWithNoiseBackward0", "rms_norm": "MulBackward0", "ndtr": "MulBackward1",
    "cosine_similarity": "SumBackward1", "pairwise_distance": "NormBackward1", "vecdot": lambda args, out: "SumBackward1" if out.dim() else "VdotBackward0",
    "binary_cross_entropy_with_logits": "BinaryCrossEntropyWithLogitsBackward0", "softmin": "SoftmaxBackward0",
    "grid_sample": lambda args, out: f"GridSampler{out.dim() - 2}DBackward0", "grid_sampler_2d": "GridSampler2DBackward0", "grid_sampler_3d": "GridSampler3DBackward0",
    "atleast_1d": "ViewBackward0",
    # pools: those of one dimension are those of two, squeezed
    **{name: "SqueezeBackward1" for name in "max_pool1d avg_pool1d adaptive_avg_pool1d adaptive_max_pool1d max_unpool1d max_pool1d_with_indices adaptive_max_pool1d_with_indices".split()},
    **{f"max_pool{n}d{more}": f"MaxPool{n}DWithIndicesBackward0" for n in (2, 3) for more in ("", "_with_indices")},
    **{f"adaptive_max_pool{n}d{more}": f"AdaptiveMaxPool{n}DBackward0" for n in (2, 3) for more in ("", "_with_indices")},
    **{f"fractional_max_pool{n}d{more}": f"FractionalMaxPool{n}DBackward0" for n in (2, 3) for more in ("", "_with_indices")},
    **{f"avg_pool{n}d": f"AvgPool{n}DBackward0" for n in (2, 3)}, **{f"max_unpool{n}d": f"MaxUnpool{n}DBackward0" for n in (2, 3)},
    **{f"adaptive_avg_pool{n}d": _adaptive(n) for n in (2, 3)},
    "upsample_nearest": _by_rank("UpsampleNearest"), "upsample_bilinear": "UpsampleBilinear2DBackward0",
    # the last step of what they are made of in PyTorch
    "combinations": "StackBackward0", "ravel": "ViewBackward0", "instance_norm": "ViewBackward0", "logdet": "WhereBackward0", "tensorinv": "ReshapeAliasBackward0",
    "max": _instead(AmaxBackward0="MaxBackward1"), "min": _instead(AminBackward0="MinBackward1"), "ctc_loss": _instead(MaskedFillBackward0="WhereBackward0"),
    "inner": _instead(DotBackward0="ViewBackward0"), "tensordot": _instead(MmBackward0="ViewBackward0"), "multi_dot": _instead(MmBackward0="ViewBackward0"),
    "stft": _instead(SqueezeBackward1="SqueezeBackward4", TransposeBackward0="TransposeBackward1", ComplexViewBackward="ViewAsRealBackward0"),
    **{name: _instead(SqueezeBackward1="SqueezeBackward4") for name in ("quantile", "nanquantile")},
    **{name: lambda args, out: "DivBackward1" if _tensor_from(args, 1) else "MulBackward1" for name in ("trapezoid", "trapz")},
    "cumulative_trapezoid": lambda args, out: "DivBackward1" if _tensor_from(args, 1) else "CumsumBackward0",
    "repeat_interleave": lambda args, out: None if _tensor_from(args, 1) else "ViewBackward0",
    "round": lambda args, out: "RoundBackward1" if len(args) > 1 else None, "matrix_norm": _norm_of_matrix,
    "cond": lambda args, out: "SqueezeBackward1" if out.grad_fn.name() == "DivBackward0" and (len(args) < 2 or args[1] in (None, 2, -2)) else None,
    "normal": lambda args, out: f"NormalBackward{(1 if _tensor_from(args[:1], 0) else 0) + (2 if _tensor_from(args[1:], 0) else 0)}",
    # a number or a tensor
    "masked_fill": _numbered("MaskedFill", 2), "index_fill": _numbered("IndexFill", 3), "scatter": _numbered("Scatter", 3, 0), "clamp": _numbered("Clamp", 1, 0),
    "clip": _numbered("Clamp", 1, 0), "interpolate": _resized, "pad": _padded, "float_power": _numbered("Pow", 1),
}
