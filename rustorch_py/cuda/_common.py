"""The kernels that most programs launch, and what compiles them ahead.

Note [Kernels of most programs]
A text takes the compiler a tenth of a second besides its kernels, so those that most training steps and first lines launch are compiled in
groups: the first of a group that is launched brings all of it, from the disk or in one go. Everything else is compiled when it is
first asked for. :func:`compile_all` (`rustorch warm`) fills the disk's cache with the groups and with the hand-written kernels of training
steps, so that a new machine's first step compiles nothing of them. Recorded from small operators and the steps of benchmarks/cuda.
"""
from . import _compile, _hand, _text

# of each group: what a kernel's name (:func:`._text.kernel_name`) begins with, and its endings
GROUPS = {
    "arithmetic": """
        add_fwd_f32_f32_f32_f32 d4m7 d1m7 s4m7
        sub_fwd_f32_f32_f32_f32 d4m7 d1m7
        mul_fwd_f32_f32_f32_f32 d4m7 d1m7
        div_fwd_f32_f32_f32_f32 d4m7 d1m7
        add_fwd_f32_f32_f32_f64 d2m3h4 d1m3h4
        sub_fwd_f32_f32_f32_f64 d2m3h4 d1m3h4
        mul_fwd_f32_f32_f32_f64 d2m3h4 d1m3h4
        div_fwd_f32_f32_f32_f64 d2m3h4 d1m3h4
        copy_f32_f32 d4m3 d1m3 s
        fill_4 d4m1 d1m1
        fill_8 d1m1
    """,
    "functions": """
        neg_fwd_f32_f32_f32 d4m3 d1m3
        abs_fwd_f32_f32_f32 d4m3 d1m3
        square_fwd_f32_f32_f32 d4m3 d1m3
        sqrt_fwd_f32_f32_f32 d4m3 d1m3
        exp_fwd_f32_f32_f32 d4m3 d1m3
        log_fwd_f32_f32_f32 d4m3 d1m3
        sigmoid_fwd_f32_f32_f32 d4m3 d1m3
        tanh_fwd_f32_f32_f32 d4m3 d1m3
    """,
    "choices": """
        gt_fwd_f32_b8_f32_f32 d4m7 d1m7
        gt_fwd_f32_b8_f32_i64 d2m3h4 d1m3h4
        eq_fwd_f32_b8_f32_f32 d4m7 d1m7
        where_fwd_f32_f32_b8_f32_f32 d4mf d1mf
        copy_f64_f32 d2m3 d1m3
        copy_i32_f32 d4m3 d1m3
        copy_i64_f32 d2m3 d1m3
        copy_f16_f32 d4m3 d1m3
    """,
    "networks of float32": """
        small f32
        copy_f32_f32 s4m3
        relu_fwd_f32_f32_f32 d4m3 d1m3
        relu_d0_f32_f32_f32_f32 d4m7 d1m7
        add_scaled_fwd_f32_f32_f32_f32 d4m7 d1m7
        add_fwd_i64_i64_i64_i64 d1m3h4
    """,
    "gelu of float32": """
        gelu_tanh_fwd_f32_f32_f32 d4m3 d1m3
        gelu_tanh_d0_f32_f32_f32_f32 d4m7 d1m7
        gelu_erf_fwd_f32_f32_f32 d4m3 d1m3
        gelu_erf_d0_f32_f32_f32_f32 d4m7 d1m7
    """,
    "networks of bfloat16": """
        small bf16
        copy_bf16_f32 d4m3 d1m3
        copy_f32_bf16 d4m3 d1m3
        copy_bf16_bf16 s8m3 s
        relu_fwd_f32_bf16_bf16 d8m3 d1m3
        relu_d0_f32_bf16_bf16_bf16 d8m7 d1m7
        add_fwd_f32_bf16_bf16_bf16 d8m7
        add_fwd_f32_f32_f32_bf16 d4m7
    """,
    "gelu of bfloat16": """
        gelu_tanh_fwd_f32_bf16_bf16 d8m3 d1m3
        gelu_tanh_d0_f32_bf16_bf16_bf16 d8m7 d1m7
        gelu_erf_fwd_f32_bf16_bf16 d8m3 d1m3
        gelu_erf_d0_f32_bf16_bf16_bf16 d8m7 d1m7
    """,
}
# too long for a group, so compiled when they are asked for, but by compile_all, too
SINGLE = ("reduce_sum_f32_f32_f32_a1", "reduce_sum_f32_f32_f32_a4", "reduce_sum_f32_f32_f32_l4", "reduce_sum_f32_f32_f32_l1", "combine_sum_f32_f32_f32_a1",
          "combine_sum_f32_f32_f32_l1", "reduce_sum_f32_bf16_bf16_a1", "reduce_sum_f32_bf16_bf16_a8", "combine_sum_f32_bf16_f32_a1", "product_f32", "product_bf16")
# of hand-written files: kernels, and types
HAND = (
    ("put.cuh", "put", ()),
    ("softmax.cuh", "class_loss class_loss_back softmax", ("f32",)),
    ("loss.cuh", "total", ("f32",)),
    ("optim.cuh", "few many", ("f32", "1")),
    ("conv.cuh", "conv conv_sum", ("f32",)),
    ("channel_packs.cuh", "moments_of_planes norm_packs sums_of_planes norm_back_packs", ("f32",)),
    ("norm.cuh", "channel_finish channel_sums_finish row_sums_finish", ("f32",)),
    ("pool.cuh", "pool_max pool_average pool_average_back pool_max_back", ("f32",)),
    ("create.cuh", "arange", ("i64",)),
    ("index.cuh", "one_index_get", ("c128",)),
    ("norm_short.cuh", "row_norm", ("f32", "1", "4")),
    ("attention.cuh", "attention attention_delta attention_back_q attention_back_kv", ("f32", "64")),
    ("norm_short.cuh", "row_norm_back", ("f32", "1", "2")),
    ("embedding.cuh", "add_rows", ("f32",)),
    ("random.cuh", "normal uniform dropout", ("f32",)),
    ("optim.cuh", "few", ("f32", "0")),
    ("conv.cuh", "conv conv_sum", ("bf16",)),
    ("channel_packs.cuh", "moments_of_planes norm_packs sums_of_planes norm_back_packs", ("bf16",)),
    ("norm.cuh", "channel_finish channel_moments channel_norm channel_sums channel_sums_finish channel_norm_back", ("bf16",)),
    ("pool.cuh", "pool_max pool_average pool_average_back pool_max_back", ("bf16",)),
    ("attention.cuh", "attention attention_delta attention_back_q attention_back_kv", ("bf16", "64")),
    ("softmax_short.cuh", "softmax", ("f32", "0", "4")),
    ("extreme.cuh", "arg_walk arg_chunks", ("f32", "0")),
    ("softmax_short.cuh", "softmax", ("f32", "1", "4")),
    ("softmax_short.cuh", "softmax", ("f32", "1", "8")),
    ("norm_long.cuh", "row_norm", ("f32",)),
)
_group_of = {}              # a kernel's name -> its group


def names(group):
    """Return the names of a group's kernels."""
    return [f"rt_{begin}_{end}" for begin, *ends in map(str.split, GROUPS[group].strip().splitlines()) for end in ends]


def group_of(name):
    """Return the keys of the group of a kernel's name, or None."""
    if not _group_of:
        _group_of.update((name, group) for group in GROUPS for name in names(group))
    group = _group_of.get(name)
    return None if group is None else [_text.key_of(name) for name in names(group)]


def together(keys):
    """Return {name: text} of the kernels of keys, and the text that compiles them in one go."""
    found = dict(_text.kernel_text(key) for key in keys)
    return found, "\n".join(found.values())


def texts():
    """Yield (label, text) of every image that :func:`compile_all` makes."""
    for group in GROUPS:
        yield group, together([_text.key_of(name) for name in names(group)])[1]
    for name in SINGLE:
        yield name, _text.kernel_text(_text.key_of("rt_" + name))[1]
    seen = set()
    for file, kernels, types in HAND:
        for kernel in kernels.split():
            text = _hand.hand_text(file, types, kernel)
            if text not in seen:                     # a file whose kernels are compiled together
                seen.add(text)
                yield " ".join((file, *types)) + (f" {kernel}" if _hand.alone(file) else ""), text


def _image(job):
    arch, label, text = job
    compiler = _compile.Host() if arch == "software" else _compile.Nvrtc(arch)
    compiler.image(text, label)
    return compiler.compiled


def compile_all(archs, processes, only=None):
    """Compile the kernels of most programs for architectures into the disk's cache.

    Args:
        archs: such as ``"sm_90"``; ``"software"``: the software device.
        processes: how many compile at once.
        only: a compiled regular expression; images whose label it does not find are left out.

    Returns:
        (images, compiled): how many there are, and how many of them were not in the cache before.
    """
    jobs = [(arch, label, text) for label, text in texts() if only is None or only.search(label) for arch in archs]
    jobs.sort(key=lambda job: -len(job[2]))
    if processes == 1 or len(jobs) < 2:
        return len(jobs), sum(map(_image, jobs))
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context
    with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=get_context("spawn")) as pool:       # a fork may not use CUDA
        return len(jobs), sum(pool.map(_image, jobs))
