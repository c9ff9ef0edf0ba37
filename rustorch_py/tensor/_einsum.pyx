# build: cold
"""Contractions written over matrix products: einsum, tensordot, kron, bilinear, chains and powers."""
from libc.stdint cimport int64_t
from ._base cimport TensorBase, shape_tuple, as_base
from ._gemm cimport gemm, OP_N
from ._ops cimport binary, cast, deliver, reduce_sum
from . import _matmul, _strided, _view
from ..errors import DTypeError, DimError, ShapeError, TensorTypeError, TensorValueError, TooFewDimsError
include "_row_ids.pxi"


# ---- einsum ------------------------------------------------------------------------------------------
# Labels are small integers: 0..25 A-Z, 26..51 a-z; an ellipsis stands for labels 52, 53, ... counted
# so that the last ellipsis dimension of every operand has the same label.
cdef int DOTS = 1000             # marks the ellipsis until its labels are known

cdef int letter(str c) except -1:
    if "A" <= c <= "Z":
        return ord(c) - 65
    if "a" <= c <= "z":
        return ord(c) - 71
    raise ShapeError(f"einsum(): invalid subscript given at index, subscripts must be in [a-zA-Z], got {c!r}", op="einsum")


cdef list read_subscripts(str text, str what):
    """Labels of one operand; DOTS marks the dots."""
    cdef list labels = []
    cdef int i = 0, n = len(text)
    cdef bint dots = False
    while i < n:
        c = text[i]
        if c == " ":
            i += 1
            continue
        if c == ".":
            if dots or text[i:i + 3] != "...":
                raise ShapeError(f"einsum(): found '.' for {what} that is not part of any ellipsis, or a second ellipsis", op="einsum")
            dots = True
            labels.append(DOTS)
            i += 3
            continue
        labels.append(letter(c))
        i += 1
    return labels


cdef list read_sublist(object sub):
    cdef list labels = []
    for item in sub:
        if item is Ellipsis:
            if DOTS in labels:
                raise ShapeError("einsum(): a sublist can have one ellipsis only", op="einsum")
            labels.append(DOTS)
        elif isinstance(item, int) and 0 <= item < 52:
            labels.append(item)
        else:
            raise TensorValueError(f"einsum(): expected subscripts in range [0, 52), got {item!r}", op="einsum")
    return labels


def einsum(*args):
    """Sum products of operands over labelled dimensions (Einstein's notation).

    Args:
        equation: ``"ij,jk->ik"``; ``...`` stands for broadcast dimensions; without ``->`` the result has the
            labels that occur once, in alphabetical order. Or the sublist form ``einsum(a, [0, 1], b, [1, 2], [0, 2])``.
        operands: tensors, or one list of them. Contracted from left to right.
    Returns:
        tensor with the dimensions of the output labels.
    """
    cdef list operands, subs, out = None
    cdef list labels
    if not args:
        raise TensorValueError("einsum(): must specify the equation string and at least one operand, or at least one operand and "
                               "its subscripts list", op="einsum")
    if isinstance(args[0], TensorBase):
        operands = list(args[0:len(args) - len(args) % 2:2])
        subs = [read_sublist(s) for s in args[1::2]]
        if len(args) % 2:
            out = read_sublist(args[-1])
    else:
        if not isinstance(args[0], str):
            raise TensorTypeError(f"einsum(): equation must be a string, got {type(args[0]).__name__}", op="einsum")
        operands = list(args[1:])
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = list(operands[0])
        left, arrow, right = (<str>args[0]).partition("->")
        subs = [read_subscripts(part, f"operand {i}") for i, part in enumerate(left.split(","))]
        if arrow:
            out = read_subscripts(right, "the output")
    if not operands:
        raise TensorValueError("einsum(): must provide at least one operand", op="einsum")
    if len(subs) != len(operands):
        raise ShapeError(f"einsum(): {'fewer' if len(operands) < len(subs) else 'more'} operands were provided than specified in the "
                         f"equation ({len(operands)} operands, {len(subs)} subscripts)", op="einsum")
    return contract_all(operands, subs, out)


cdef object contract_all(list operands, list subs, list out):
    cdef int most = 0, i, dots
    cdef TensorBase t
    cdef dict size = {}, left
    cdef list labels, terms = []
    for i in range(len(operands)):
        t = as_base("einsum", "operands", operands[i])
        labels = subs[i]
        if DOTS in labels:
            dots = t.nd - (len(labels) - 1)
            if dots < 0:
                raise ShapeError(f"einsum(): the number of subscripts in the equation ({len(labels) - 1}) is more than the number of "
                                 f"dimensions ({t.nd}) for operand {i}", op="einsum")
            most = max(most, dots)
        elif len(labels) != t.nd:
            raise ShapeError(f"einsum(): the number of subscripts in the equation ({len(labels)}) does not match the number of "
                             f"dimensions ({t.nd}) for operand {i} and no ellipsis was given", op="einsum")
    for i in range(len(operands)):
        t = operands[i]
        labels = spell_dots(subs[i], t.nd - (len(subs[i]) - 1), most)
        terms.append(take_diagonals(t, labels))
        t, labels = terms[i]
        for d, label in enumerate(labels):
            n = t.sh[d]
            known = size.get(label, 1)
            if known != n and known != 1 and n != 1:
                raise ShapeError(f"einsum(): operands do not broadcast with remapped shapes: subscript {spell(label)} has size {n} for "
                                 f"operand {i} which does not broadcast with previously seen size {known}", op="einsum")
            size[label] = n if known == 1 else known
    if out is None:
        counts = {}
        for labels in subs:
            for label in labels:
                counts[label] = counts.get(label, 0) + 1
        out = [DOTS] if most else []
        out += sorted(label for label in counts if counts[label] == 1 and label != DOTS)
    out = spell_dots(out, most, most)
    for label in out:
        if label not in size:
            raise ShapeError(f"einsum(): output subscript {spell(label)} does not appear in the equation for any input operand", op="einsum")
    if len(set(out)) != len(out):
        raise ShapeError("einsum(): an output subscript appears more than once", op="einsum")
    # contract from left to right
    t, labels = terms[0]
    for i in range(1, len(terms)):
        later = set(out)
        for _, more in terms[i + 1:]:
            later.update(more)
        t, labels = contract_pair(t, labels, terms[i][0], terms[i][1], later, size)
    gone = tuple([d for d, label in enumerate(labels) if label not in out])
    if gone:
        t = reduce_sum(t, gone, False)
        labels = [label for label in labels if label in out]
    return arrange(t, labels, out)


cdef str spell(int label):
    return "..." if label >= 52 else chr(label + 65 if label < 26 else label + 71)


cdef list spell_dots(list labels, int dots, int most):
    cdef list result = []
    for label in labels:
        if label == DOTS:
            result.extend(range(52 + most - dots, 52 + most))
        else:
            result.append(label)
    return result


cdef tuple take_diagonals(TensorBase t, list labels):
    """Labels twice in one operand mean the diagonal."""
    cdef int i, j
    while len(set(labels)) != len(labels):
        for j in range(len(labels)):
            i = labels.index(labels[j])
            if i < j:
                break
        if t.sh[i] != t.sh[j]:
            raise ShapeError(f"einsum(): subscript {spell(labels[i])} is repeated for one operand but the sizes don't match, "
                             f"{t.sh[j]} != {t.sh[i]}", op="einsum")
        t = <TensorBase>_strided.diagonal(t, 0, i, j)
        label = labels[i]
        labels = [x for d, x in enumerate(labels) if d != i and d != j] + [label]
    return t, labels


cdef TensorBase arrange(TensorBase t, list labels, list order):
    if labels == order:
        return t
    return <TensorBase>_view.permute(t, tuple([labels.index(x) for x in order]))


cdef TensorBase fill_labels(TensorBase t, list labels, list order):
    """Permute to `order`, with size-1 dimensions for labels that t lacks."""
    cdef int d
    t = arrange(t, labels, [x for x in order if x in labels])
    for d, x in enumerate(order):
        if x not in labels:
            t = <TensorBase>_view.unsqueeze(t, d)
    return t


cdef tuple contract_pair(TensorBase a, list la, TensorBase b, list lb, set later, dict size):
    """One product: labels of both that nobody needs later are summed in it."""
    cdef list batch = [], a_only = [], b_only = [], summed = [], labels
    cdef TensorBase r
    cdef int64_t nb, na, nr, ns
    # sum early what only one side has
    gone = tuple([d for d, x in enumerate(la) if x not in later and x not in lb])
    if gone:
        a = reduce_sum(a, gone, False)
        la = [x for x in la if x in later or x in lb]
    gone = tuple([d for d, x in enumerate(lb) if x not in later and x not in la])
    if gone:
        b = reduce_sum(b, gone, False)
        lb = [x for x in lb if x in later or x in la]
    # a size of 1 against n is no contraction: it broadcasts
    for x in list(la):
        if x in lb:
            na, nb = a.sh[la.index(x)], b.sh[lb.index(x)]
            if na == nb:
                continue
            if na == 1:
                a = <TensorBase>_view.squeeze(a, la.index(x))
                la = [y for y in la if y != x]
                if x not in later:
                    b = reduce_sum(b, (lb.index(x),), False)
                    lb = [y for y in lb if y != x]
            else:
                b = <TensorBase>_view.squeeze(b, lb.index(x))
                lb = [y for y in lb if y != x]
                if x not in later:
                    a = reduce_sum(a, (la.index(x),), False)
                    la = [y for y in la if y != x]
    for x in la:
        if x not in lb:
            a_only.append(x)
        elif x in later:
            batch.append(x)
        else:
            summed.append(x)
    b_only = [x for x in lb if x not in la]
    labels = batch + a_only + b_only
    if not summed:
        return <TensorBase>binary(ROW_MUL, fill_labels(a, la, labels), fill_labels(b, lb, labels), None), labels
    nb = na = nr = ns = 1
    for x in batch:
        nb *= a.sh[la.index(x)]
    for x in a_only:
        na *= a.sh[la.index(x)]
    for x in b_only:
        nr *= b.sh[lb.index(x)]
    for x in summed:
        ns *= a.sh[la.index(x)]
    shape = tuple([a.sh[la.index(x)] for x in batch] + [a.sh[la.index(x)] for x in a_only] + [b.sh[lb.index(x)] for x in b_only])
    a = arrange(a, la, batch + a_only + summed)
    b = arrange(b, lb, batch + summed + b_only)
    if batch:
        r = gemm(shaped(a, (nb, na, ns)), OP_N, shaped(b, (nb, ns, nr)), OP_N)
    else:
        r = gemm(shaped(a, (na, ns)), OP_N, shaped(b, (ns, nr)), OP_N)
    return shaped(r, shape), labels


cdef TensorBase shaped(TensorBase t, tuple shape):
    cdef int i
    if t.nd == len(shape):
        for i in range(t.nd):
            if t.sh[i] != shape[i]:
                break
        else:
            return t
    return <TensorBase>_view.reshape(t, shape)


# ---- tensordot, kron ---------------------------------------------------------------------------------------
def tensordot(a, b, dims=2, *, out=None):
    """Contract several dimensions of two tensors.

    Args:
        a, b: tensors of one dtype.
        dims: number of a's last and b's first dimensions to contract, or two lists of dimensions.
        out: tensor to write to.
    Returns:
        tensor with a's remaining dimensions, then b's.
    """
    cdef TensorBase x = as_base("tensordot", "a", a), y = as_base("tensordot", "b", b), r
    cdef list da, db
    cdef int i, j
    if isinstance(dims, TensorBase):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise ShapeError(f"tensordot expects dims >= 0, but got dims={dims}", op="tensordot")
        if dims > min(x.nd, y.nd):
            raise ShapeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}", op="tensordot")
        da, db = list(range(x.nd - dims, x.nd)), list(range(dims))
    else:
        if not isinstance(dims, (tuple, list)) or len(dims) != 2:
            raise (TensorValueError if isinstance(dims, (tuple, list)) else TensorTypeError)(f"tensordot expects dims to be int or tuple[list[int], list[int]], but got dims={dims}", op="tensordot")
        da, db = dims
        da = [da] if isinstance(da, int) else list(da)
        db = [db] if isinstance(db, int) else list(db)
        if len(da) != len(db):
            raise ShapeError(f"both dimension lists should have same length, got {len(da)} and {len(db)}", op="tensordot")
        for i in range(len(da)):
            if not -x.nd <= da[i] < x.nd or not -y.nd <= db[i] < y.nd:
                raise DimError(f"tensordot: dimension {da[i]} of a or {db[i]} of b is out of range", op="tensordot")
        da, db = [d % x.nd for d in da], [d % y.nd for d in db]
    for i, j in zip(da, db):
        if x.sh[i] == y.sh[j]:
            continue
        if x.sh[i] == 1:
            y = cast(reduce_sum(y, (j,), True), y.dt)
        elif y.sh[j] == 1:
            x = cast(reduce_sum(x, (i,), True), x.dt)
        else:
            raise ShapeError(f"contracted dimensions need to match, but first has size {x.sh[i]} in dim {i} and second has size {y.sh[j]} "
                             f"in dim {j}", op="tensordot")
    if x.dt != y.dt:
        raise DTypeError("both inputs should have same dtype", op="tensordot")
    free_a = [i for i in range(x.nd) if i not in da]
    free_b = [i for i in range(y.nd) if i not in db]
    m = n = k = 1
    for i in free_a:
        m *= x.sh[i]
    for i in free_b:
        n *= y.sh[i]
    for i in da:
        k *= x.sh[i]
    shape = tuple([x.sh[i] for i in free_a] + [y.sh[i] for i in free_b])
    left = shaped(<TensorBase>_view.permute(x, tuple(free_a + da)), (m, k))
    right = shaped(<TensorBase>_view.permute(y, tuple(db + free_b)), (k, n))
    r = gemm(left, OP_N, right, OP_N)
    return deliver("tensordot", shaped(r, shape), out)


def kron(input, other, *, out=None):
    """Compute the Kronecker product; the tensor with fewer dimensions gets ones in front."""
    cdef TensorBase x = as_base("kron", "input", input), y = as_base("kron", "other", other)
    cdef int nd = max(x.nd, y.nd), i
    sx = (1,) * (nd - x.nd) + shape_tuple(x)
    sy = (1,) * (nd - y.nd) + shape_tuple(y)
    wide_x, wide_y = [], []
    for i in range(nd):
        wide_x += [sx[i], 1]
        wide_y += [1, sy[i]]
    r = binary(ROW_MUL, _view.reshape(x, tuple(wide_x)), _view.reshape(y, tuple(wide_y)), None)
    return deliver("kron", <TensorBase>_view.reshape(r, tuple([sx[i] * sy[i] for i in range(nd)])), out)


# ---- bilinear -----------------------------------------------------------------------------------------------
def bilinear(input1, input2, weight, bias=None):
    """Compute ``y[..., o] = input1[..., i] weight[o, i, j] input2[..., j] + bias[o]``.

    Args:
        input1: (..., in1) tensor.
        input2: (..., in2) tensor with the same leading dimensions.
        weight: (out, in1, in2) tensor.
        bias: (out) tensor or None.
    """
    cdef TensorBase a = as_base("bilinear", "input1", input1), b = as_base("bilinear", "input2", input2)
    cdef TensorBase w = as_base("bilinear", "weight", weight)
    if a.nd != b.nd:
        raise ShapeError(f"bilinear(): input dimensions do not match: got {a.nd} and {b.nd}", op="bilinear")
    if w.nd != 3:
        raise TooFewDimsError(f"bilinear(): weight must have 3 dimensions, got {w.nd}", op="bilinear")
    if bias is not None and (<TensorBase?>bias).nd != 1:
        raise TooFewDimsError(f"bilinear(): bias must have 1 dimension and {w.sh[0]} elements, got shape {list(shape_tuple(bias))}", op="bilinear")
    lead = shape_tuple(a)[:-1]
    if lead != shape_tuple(b)[:-1]:
        raise ShapeError(f"bilinear(): input batch dimensions do not match: got {list(lead)} and {list(shape_tuple(b)[:-1])}", op="bilinear")
    if a.sh[a.nd - 1] != w.sh[1] or b.sh[b.nd - 1] != w.sh[2]:
        raise ShapeError(f"bilinear(): input sizes do not match the weight's: got {a.sh[a.nd - 1]} and {b.sh[b.nd - 1]}, expected {w.sh[1]} "
                         f"and {w.sh[2]}", op="bilinear")
    rows = 1
    for n in lead:
        rows *= n
    # (rows, in1) @ (in1, out*in2), then a product with input2 row by row
    turned = _view.reshape(_view.permute(w, (1, 0, 2)), (w.sh[1], w.sh[0] * w.sh[2]))
    part = _view.reshape(gemm(shaped(a, (rows, w.sh[1])), OP_N, <TensorBase>turned, OP_N), (rows, w.sh[0], w.sh[2]))
    y = _view.reshape(gemm(<TensorBase>part, OP_N, shaped(b, (rows, w.sh[2], 1)), OP_N), lead + (w.sh[0],))
    return y if bias is None else binary(ROW_ADD, y, bias, None)


# ---- chains and powers ------------------------------------------------------------------------------------------
cdef object chain(list tensors):
    """Product of matrices in the cheapest order (Cormen et al., Introduction to Algorithms, 15.2)."""
    cdef int n = len(tensors), i, j, k, length
    if n == 2:
        return _matmul.mm(tensors[0], tensors[1])
    sizes = [(<TensorBase?>t).sh[0] for t in tensors] + [(<TensorBase?>tensors[n - 1]).sh[1]]
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            best = None
            for k in range(i, j):
                c = cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
                if best is None or c < best:
                    best = c
                    cut[i][j] = k
            cost[i][j] = best
    return chain_part(tensors, cut, 0, n - 1)


cdef object chain_part(list tensors, list cut, int i, int j):
    if i == j:
        return tensors[i]
    return _matmul.mm(chain_part(tensors, cut, i, cut[i][j]), chain_part(tensors, cut, cut[i][j] + 1, j))


def multi_dot(tensors, *, out=None):
    """Multiply two or more matrices in the order that costs least; the first and last may be vectors."""
    cdef list items = list(tensors)
    cdef TensorBase t
    cdef int n = len(items), i
    if n < 2:
        raise ShapeError(f"multi_dot(): expected at least 2 tensors but got {n}", op="multi_dot")
    for i in range(n):
        t = as_base("multi_dot", "tensors", items[i])
        if t.nd != 2 and not (t.nd == 1 and (i == 0 or i == n - 1)):
            where_ = "first" if i == 0 else "last" if i == n - 1 else "middle"
            raise ShapeError(f"multi_dot(): the {where_} tensor must be {'1D or 2D' if i in (0, n - 1) else '2D'} but got {t.nd}D", op="multi_dot")
        if t.dt != (<TensorBase>items[0]).dt:
            raise DTypeError(f"multi_dot(): all tensors must have the same dtype, tensor {i} differs from tensor 0", op="multi_dot")
    first, last = (<TensorBase>items[0]).nd == 1, (<TensorBase>items[n - 1]).nd == 1
    if first:
        items[0] = _view.unsqueeze(items[0], 0)
    if last:
        items[n - 1] = _view.unsqueeze(items[n - 1], 1)
    for i in range(n - 1):
        if (<TensorBase>items[i]).sh[1] != (<TensorBase>items[i + 1]).sh[0]:
            raise ShapeError(f"multi_dot(): tensors {i} and {i + 1} with shapes {list(shape_tuple(items[i]))} and "
                             f"{list(shape_tuple(items[i + 1]))} cannot be multiplied", op="multi_dot")
    r = chain(items)
    if last:
        r = _view.squeeze(r, 1)
    if first:
        r = _view.squeeze(r, 0)
    return deliver("multi_dot", <TensorBase>r, out)


def chain_matmul(*matrices, out=None):
    """Multiply matrices in the order that costs least."""
    if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)):
        matrices = tuple(matrices[0])
    if not matrices:
        raise ShapeError("chain_matmul(): expected one or more matrices", op="chain_matmul")
    for m in matrices:
        if as_base("chain_matmul", "matrices", m).nd != 2:
            raise ShapeError(f"chain_matmul(): expected matrices, got a {as_base('chain_matmul', 'matrices', m).nd}-D tensor", op="chain_matmul")
    if len(matrices) == 1:
        return deliver("chain_matmul", <TensorBase>matrices[0], out)
    return multi_dot(matrices, out=out)


FUNCTIONS = {"einsum": einsum, "tensordot": tensordot, "kron": kron, "bilinear": bilinear, "chain_matmul": chain_matmul}
METHODS = {"kron": kron}
