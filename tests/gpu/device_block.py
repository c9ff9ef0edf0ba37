"""Reductions, scans and atomic sums that kernels share (kernels/block.h, atomic.h), through a kernel of this file."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.cuda import _hand
from rustorch_py.cuda._backend import launch

assert rt.cuda.is_available()
rng = np.random.default_rng(0)

_hand._read["testblock.cuh"] = """// types: T = all
#include "block.h"
#include "atomic.h"
RT_KERNEL(RT_NAME(add_all), RtCall) {
    RT_EACH(i, a.n[0]) {
        if (T_BOOL) rt_atomic_or((rt_bool *)a.p[0] + i % a.n[1], ((const rt_bool *)a.p[1])[i]);
        else rt_atomic_add((T *)a.p[0] + i % a.n[1], ((const T *)a.p[1])[i]);
    }
}
struct Pair { int64_t key, at; };
RT_WIDE_KERNEL(RT_NAME(reduce), RtCall) {
    const int64_t me = (int64_t)blockIdx.x * blockDim.x * blockDim.y + rt_rank();
    const int64_t v = ((const int64_t *)a.p[0])[me];
    const auto add = [](int64_t x, int64_t y) { return x + y; };
    for (int turn = 0; turn < 2; turn++) {
        ((int64_t *)a.p[1])[me] = rt_block_reduce(v, add, (int64_t)0);
        const Pair best = rt_block_reduce(Pair{v, me}, [](Pair x, Pair y) { return x.key > y.key || (x.key == y.key && x.at < y.at) ? x : y; },
                                          Pair{INT64_MIN, INT64_MAX});
        ((int64_t *)a.p[2])[me] = best.at;
        int64_t before, total;
        ((int64_t *)a.p[3])[me] = rt_block_scan(v, add, (int64_t)0, &before, &total);
        ((int64_t *)a.p[4])[me] = before;
        ((int64_t *)a.p[5])[me] = total;
        ((int64_t *)a.p[6])[me] = RT_SHUFFLE_DOWN(v, 3);
        ((int64_t *)a.p[7])[me] = rt_warp_reduce(v, add, 8) + 1000 * (int64_t)RT_POPCOUNT(RT_BALLOT(v > 3));
    }
}
RT_KERNEL(RT_NAME(offsets), RtCall) {
    RT_EACH(i, a.n[0]) {
        int64_t at[2];
        rt_offsets<2>(i + a.n[2], a.n[1], a.n + 3, at);
        ((int64_t *)a.p[0])[2 * i] = at[0];
        ((int64_t *)a.p[0])[2 * i + 1] = at[1];
    }
}
""", {"T": _hand.GROUPS["all"]}


def merged(shape, *steps):
    """[size, step of each walk] a dimension, outermost first: neighbours that all walks take as one are joined."""
    rows = []
    for size, *walks in zip(shape, *steps):
        if size == 1:
            continue
        if rows and all(outer == inner * size for outer, inner in zip(rows[-1][1:], walks)):
            rows[-1] = [rows[-1][0] * size, *walks]
        else:
            rows.append([size, *walks])
    return rows or [[1] + [0] * len(steps)]


@pytest.mark.parametrize("block", [32, 64, 96, 256, (32, 8), 1024])
def test_reductions_and_scans_of_a_block(block):
    threads = block if isinstance(block, int) else block[0] * block[1]
    x = rng.integers(-9, 9, (2, threads))
    out = [rt.zeros(2 * threads, dtype=rt.int64, device="cuda") for _ in range(7)]
    launch("testblock.cuh", "reduce", ("i64",), (rt.from_numpy(x).cuda(), *out), grid=2, block=block)
    total, best, inclusive, before, totals, down, small = (o.cpu().numpy().reshape(2, threads) for o in out)
    sums, scan = x.sum(1, keepdims=True), x.cumsum(1)
    np.testing.assert_array_equal(total, sums + 0 * x)
    np.testing.assert_array_equal(totals, sums + 0 * x)
    np.testing.assert_array_equal(best, x.argmax(1)[:, None] + np.array([[0], [threads]]) + 0 * x)
    np.testing.assert_array_equal(inclusive, scan)
    np.testing.assert_array_equal(before, scan - x)
    warps = x.reshape(2, -1, 32)
    np.testing.assert_array_equal(down, np.concatenate([warps[..., 3:], warps[..., -3:]], -1).reshape(2, -1))
    want = np.repeat(x.reshape(2, -1, 8).sum(-1), 8, 1) + 1000 * np.repeat((warps > 3).sum(-1), 32, 1)
    np.testing.assert_array_equal(small, want)


@pytest.mark.parametrize("dtype", [rt.bool, rt.uint8, rt.int8, rt.int16, rt.int32, rt.int64, rt.float16, rt.bfloat16, rt.float32, rt.float64,
                                   rt.complex64, rt.complex128])
def test_atomic_sums(dtype):
    x = rt.from_numpy(rng.integers(0, 2 if dtype is rt.bool else 5, 70)).to(dtype)
    out = rt.zeros(7, dtype=dtype, device="cuda")
    launch("testblock.cuh", "add_all", (dtype,), (out, x.cuda()), (70, 7))
    want = x.reshape(10, 7).any(0) if dtype is rt.bool else x.reshape(10, 7).sum(0).to(dtype)
    assert rt.equal(out.cpu(), want)


@pytest.mark.parametrize("start", [0, 1 << 33])
def test_offsets_of_strided_tensors(start):
    shape, first, second = (1 << 20, 1 << 15, 3, 1, 4), (12 << 15, 12, 4, 99, 1), (5, 0, 7 << 33, 1, 7 << 35)
    rows = merged(shape, first, second)
    assert rows == [[1 << 20, 12 << 15, 5], [1 << 15, 12, 0], [3, 4, 7 << 33], [4, 1, 7 << 35]]
    assert merged(shape, first) == [[12 << 35, 1]] and merged((1, 1), (5, 5)) == [[1, 0]] and merged((), ()) == [[1, 0]]
    out = rt.zeros(40, 2, dtype=rt.int64, device="cuda")
    launch("testblock.cuh", "offsets", ("i64",), (out,), (40, len(rows), start, *(n for row in rows for n in row)))
    i = np.arange(start, start + 40)
    at = np.unravel_index(i, shape)
    want = np.stack([sum(x * s for x, s in zip(at, steps)) for steps in (first, second)], 1)
    np.testing.assert_array_equal(out.cpu().numpy(), want)
