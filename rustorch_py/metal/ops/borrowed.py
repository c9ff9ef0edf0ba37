"""Operators whose launches are CUDA's (Note [Borrowed kernels] in metal/_text.py). What a kernel of them has not for Metal is refused when it is launched."""
from ... import tensor as _t
from ...cuda.ops import index, pool
from ...tensor._devices import provide

ADD = 2                                              # of index.index_along


def embedding_add(table, g, index_, factor, skip):
    """table (zeros) += rows of g (contiguous) at index_, each times its factor; index `skip` is left out. Sums depend on the order of arrival."""
    with _t.no_grad():
        places = index_.detach().reshape(-1)
        rows = g.detach().reshape(places.numel(), table.shape[1]).float()
        if factor is not None:
            rows = rows * factor.detach().reshape(-1, 1)
        if skip >= 0:
            rows = rows.masked_fill((places == skip).reshape(-1, 1), 0)
        wide = table.detach() if table.dtype == _t.float32 else _t.zeros(table.shape, device=table.device)
        index.index_along(wide, rows.contiguous(), ADD, places.contiguous(), 0)
        if table.dtype != _t.float32:
            table.detach().copy_(wide)


provide("metal", {f.__name__: f for f in (index.index, index.index_along, index.gather, index.move, index.fill, index.triangle, embedding_add, pool.max_pool,
                                          pool.max_pool_back, pool.average_pool, pool.plane_pick)})
