"""Steps of a program that only add, subtract, multiply and divide become one list of operations. Note [Chains of arithmetic] in tensor/kernels/chain.h."""
import ast
import functools
import math
import struct

from ..tensor import _fuse, optable, render

_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


class Unfit(Exception):
    """The recording is no program of one loop."""


@functools.cache
def _parsed(kernel):
    """(tree of the kernel's text, names of its operands), or None where it does more than arithmetic of its operands' type."""
    row, which = optable.ROWS[kernel >> 2], kernel & 3
    found = render.kernel_text(row, which, "f")
    if found is None or row.types.strip(".") or row.let or (not which and row.out != "same"):
        return None
    text, names = found
    if which:
        names = ["g", *render.saved_operands(row)[which - 1]]
    tree = ast.parse(text, mode="eval").body
    return (tree, names) if _plain(tree, {*names, "k0", "k1"}) else None


def _plain(node, names):
    if isinstance(node, ast.BinOp):
        return type(node.op) in _SIGNS and _plain(node.left, names) and _plain(node.right, names)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and _plain(node.operand, names)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "conj" and _plain(node.args[0], names)
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id in names)


def is_arithmetic(step):
    """Whether a step (kernel, loop, k0, k1, reads) can be part of a chain."""
    return step[0] >= 0 and step[1] in (_fuse.F32, _fuse.F64) and _parsed(step[0]) is not None


class _Node:
    """An operation among others: `sign` of `of`, one node or two; or a leaf, which is at hand at `spot`."""

    __slots__ = ("sign", "of", "spot", "uses")

    def __init__(self, sign, of, spot=None):
        self.sign, self.of, self.spot, self.uses = sign, of, spot, 0
        for node in of:
            node.uses += 1


def _node(tree, names, ks, number):
    """The node of a row's text, over `names` (name -> node)."""
    if isinstance(tree, ast.BinOp):
        return _Node(_SIGNS[type(tree.op)], (_node(tree.left, names, ks, number), _node(tree.right, names, ks, number)))
    if isinstance(tree, ast.UnaryOp):
        return _Node("neg", (_node(tree.operand, names, ks, number),))
    if isinstance(tree, ast.Call):
        return _node(tree.args[0], names, ks, number)
    if isinstance(tree, ast.Constant):
        return _Node(None, (), number(tree.value))
    return names[tree.id] if tree.id in names else _Node(None, (), number(ks[tree.id]))


def operations(steps, spot, number, kept):
    """The chain of some values' steps, as (values, operations) of a Program's step.

    Args:
        steps: values of one dtype in an order in which they can be made.
        spot: function (value) -> where a value that is not among `steps`, or is to be kept, lies.
        number: function (bytes) -> where a number lies.
        kept: ids of the values that others read.
    """
    pack = "=f" if steps[0].step[1] == _fuse.F32 else "=d"

    def literal(x):
        try:
            return number(struct.pack(pack, x))
        except OverflowError:                              # struct refuses what rounds to no finite float32
            return number(struct.pack(pack, math.copysign(math.inf, x)))

    made, roots = {}, []
    for value in steps:
        kernel, _, k0, k1, reads = value.step
        tree, names = _parsed(kernel)
        for read in reads:
            if id(read) not in made:
                made[id(read)] = _Node(None, (), spot(read))
        node = _node(tree, {name: made[id(read)] for name, read in zip(names, reads)}, {"k0": k0, "k1": k1}, literal)
        if id(value) in kept:
            if node.sign is None or node in (root for root, _ in roots):
                node = _Node("same", (node,))                  # what it equals has a place of its own
            roots.append((node, spot(value)))
        made[id(value)] = node
    return _Writer(roots).written


class _Writer:
    """Writes operations on one accumulator that make `roots`: [(node, where its value is to lie)]."""

    def __init__(self, roots):
        self.values, self.ops = [], []
        self.held = None                       # the node whose value is in the accumulator
        self.free = list(range(_fuse.FIRST_TEMP + _fuse.MAX_TEMPS - 1, _fuse.FIRST_TEMP - 1, -1))
        self.left = {}                         # node -> reads to come, of those in temps
        self.places = dict(roots)
        for root, _ in roots:
            if root.spot is None:
                self.make(root)

    @property
    def written(self):
        return self.values, self.ops

    def put(self, op, v):
        self.ops.append(op)
        self.values.append(v)

    @staticmethod
    def is_number(node):
        """Whether a node is a number, which operations take as quickly as a load takes another operand."""
        return _fuse.FIRST_NUMBER <= node.spot < _fuse.FIRST_TEMP

    def read(self, node):
        """Where a node that is at hand lies, which is read now."""
        if node in self.left:
            self.left[node] -= 1
            if not self.left[node]:
                self.free.append(node.spot)
        return node.spot

    def bring(self, node):
        """The node's value into the accumulator."""
        if node.spot is None:
            self.make(node)
            if node.spot is None:
                return
        spot = self.read(node)
        if self.held is not node:
            self.put(_fuse.LOAD, spot)

    def make(self, node):
        """A node's value into the accumulator, and to where it is read from again."""
        if node.sign in ("neg", "same"):
            self.bring(node.of[0])
            if node.sign == "neg":
                self.put(_fuse.NEG, 0)
        else:
            left, right = node.of
            usual, turned = _fuse.ARITHMETIC[node.sign]
            if right.spot is None and left.spot is None and left is not right:
                self.make(right)
                if right.spot is None:
                    self.keep(right, 1)
            if left is right and left.spot is None:
                self.make(left)                                # it has two uses: it is kept
            if right.spot is not None and not (left.spot is not None and self.is_number(left)):
                self.bring(left)
                self.put(usual, self.read(right))
            else:
                self.bring(right)
                self.put(turned, self.read(left))
        self.held = node
        if node in self.places:
            node.spot = self.places[node]
            self.put(_fuse.STORE, node.spot)
        elif node.uses > 1:
            self.keep(node, node.uses)

    def keep(self, node, reads):
        if not self.free:
            raise Unfit                                       # more at a time than there are temps for
        node.spot = self.free.pop()
        self.left[node] = reads
        self.put(_fuse.STORE, node.spot)
