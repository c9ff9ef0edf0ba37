"""What shows beside the numbers: names of gradient nodes, order of results and gradients in memory, results written over their own inputs."""
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

BOTH = (torch, rt)


def both(fn):
    out = []
    for m in BOTH:
        try:
            out.append(fn(m))
        except Exception as error:
            out.append(type(error).__name__)
    return out


# ---- names of nodes -----------------------------------------------------------------------------------------
NAMED = """
x.abs(); x+x; x-x; x*x; x/x; x+1; x*2; x/2; -x; x**2; x.exp(); x.log(); x.sqrt(); x.rsqrt(); x.sin(); x.cos(); x.tan(); x.sigmoid(); x.tanh()
x.relu(); x.clamp(0,1); x.clamp_min(0.1); x.clamp_max(0.9); x.sum(); x.mean(); x.mean(0); x.prod(); x.max(0)[0]; x.min(0)[0]; x.amax(0); x.amin()
x.var(); x.std(); x.norm(); x.norm(dim=0); x.logsumexp(0); x.softmax(0); x.log_softmax(0); x.cumsum(0); x.cumprod(0); x.view(-1); x.reshape(-1)
x.transpose(0,1); x.permute(1,0); x.squeeze(); x.unsqueeze(0); x[0]; x[0:1]; x[x>0]; x[[0,1]]; x[...,None]; x.expand(2,3,3); x.repeat(2,1)
x.flatten(); x.clone(); x.contiguous(); x.double(); x.float(); x.to(dtype=f64); x@x; m.mm(x,x); m.dot(x[0],x[1]); m.bmm(x[None],x[None])
m.addmm(x,x,x); m.baddbmm(x[None],x[None],x[None]); m.cat([x,x]); m.stack([x,x]); x.unbind()[0]; m.where(x>0,x,x); x.masked_fill(x>0,1.)
x.gather(0,i); x.scatter(0,i,x); x.scatter_add(0,i,x); x.index_select(0,i[0]); x.index_add(0,i[0],x); x.index_copy(0,i[0],x); x.index_fill(0,i[0],1.)
x.flip(0); x.roll(1,0); x.triu(); x.tril(); x.sort()[0]; x.topk(1)[0]; x.kthvalue(1)[0]; x.median(); x.mode()[0]; x.atan2(x); x.pow(3); x.floor()
x.ceil(); x.round(); x.trunc(); x.sign(); x.erf(); x.lgamma(); x.digamma(); x.reciprocal(); x.square(); x.expm1(); x.log1p(); x.log2(); x.log10()
x.asin(); x.acos(); x.atan(); x.sinh(); x.cosh(); x.asinh(); x.acosh(); x.atanh(); x.lerp(x,0.5); x.addcmul(x,x); x.addcdiv(x,x); x.fmod(2)
x.remainder(2); m.maximum(x,x); m.minimum(x,x); m.fmax(x,x); x.hypot(x); x.masked_select(x>0); x.take(i[0]); x.as_strided((2,),(1,)); x.narrow(0,0,1)
x.select(0,0); x.movedim(0,1); x.swapaxes(0,1); x.T; x.mT; x.view_as(x); x.reshape_as(x); x.expand_as(x); x.type_as(x.detach().double()); x.det()
x.inverse(); m.linalg.inv(x); m.linalg.solve(x,x); m.linalg.norm(x); m.linalg.cholesky(spd); m.linalg.qr(x)[0]; m.linalg.svd(x)[1]
m.linalg.eigh(spd)[0]; m.linalg.det(x); m.linalg.slogdet(x)[1]; m.linalg.pinv(x); m.linalg.lstsq(x,x)[0]; m.linalg.matrix_exp(x)
m.linalg.vector_norm(x); m.linalg.matrix_norm(x); m.outer(x[0],x[0]); m.logaddexp(x,x); m.copysign(x,x); m.i0(x); m.special.erfcx(x)
m.special.xlogy(x,x); m.xlogy(x,x); m.polygamma(1,x); m.special.entr(x); m.sinc(x); m.logit(x); x.cummax(0)[0]; x.logcumsumexp(0); x.diff(); x.tile(2)
x.diag_embed(); x.clone().add_(1); x.clone().mul_(x); x.clone().relu_(); x.clone().exp_(); x.clone().clamp_(0,1); x.clone().masked_fill_(x>0,1.)
x.clone().index_put_((i[0],),x); x.clone().sub_(x); x.clone().div_(2); x.clone().pow_(2); x.clone().sqrt_(); x.clone().neg_(); x.clone().sigmoid_()
x.clone().tanh_(); x.clone().scatter_(0,i,x); F.relu(x); F.relu6(x); F.gelu(x); F.silu(x); F.mish(x); F.elu(x); F.selu(x); F.celu(x); F.leaky_relu(x)
F.prelu(x,w1); F.hardtanh(x); F.hardswish(x); F.hardsigmoid(x); F.softplus(x); F.softshrink(x); F.hardshrink(x); F.logsigmoid(x)
F.threshold(x,0.1,20); F.softmax(x,0); F.log_softmax(x,0); F.softmin(x,0); F.gumbel_softmax(x); F.dropout(x,0.5,training=False)
F.alpha_dropout(x,0.5,True); F.linear(x,x); F.linear(x,x,w1.expand(3)); F.bilinear(x,x,x[None]); F.embedding(i,x); F.layer_norm(x,(3,))
F.batch_norm(x,None,None,training=True); F.group_norm(x,3); F.normalize(x); F.local_response_norm(img,2); F.conv1d(seq,wc1); F.conv2d(img,wc2)
F.conv2d(img,wc2,bc); F.conv3d(vol,wc3); F.conv_transpose2d(img,wct); F.pad(x,(1,1)); F.fold(fd,(4,4),2,stride=2); F.unfold(img,2); F.mse_loss(x,y)
F.l1_loss(x,y); F.smooth_l1_loss(x,y); F.huber_loss(x,y); F.cross_entropy(x,i[0]); F.cross_entropy(x,i[0],label_smoothing=0.1); F.nll_loss(x,i[0])
F.nll_loss(img,lab2); F.binary_cross_entropy(p,y.sigmoid()); F.binary_cross_entropy_with_logits(x,y.sigmoid()); F.kl_div(x,y.softmax(1))
F.kl_div(x,y,log_target=True); F.poisson_nll_loss(x,p.detach()); F.gaussian_nll_loss(x,y,p); F.hinge_embedding_loss(x,y.sign())
F.margin_ranking_loss(x,x,y.sign()); F.soft_margin_loss(x,y.sign()); F.multi_margin_loss(x,i[0]); F.multilabel_margin_loss(x,i)
F.multilabel_soft_margin_loss(x,y.sigmoid()); F.cosine_embedding_loss(x,x,y.sign()[0]); F.triplet_margin_loss(x,x+1,x-1); F.ctc_loss(lp,tg,il,tl)
F.scaled_dot_product_attention(x[None,None],x[None,None],x[None,None]); F.one_hot(i); F.mse_loss(x,y,reduction='none')
F.mse_loss(x,y,reduction='sum'); F.feature_alpha_dropout(img,0.5,True); F.dropout2d(img); F.rrelu(x,training=True); c.abs(); c.angle(); m.fft.rfft(x)
m.fft.ifft(c); m.fft.irfft(c); m.fft.fft2(x); m.fft.fftshift(x); c*c; c@c; m.bernoulli(p); m.nn.TransformerEncoderLayer(4,2,8)(x4)
m.nn.Linear(3,2)(x); m.nn.Conv2d(2,3,1)(img); m.nn.BatchNorm2d(2)(img); m.nn.LayerNorm(3)(x); m.nn.Bilinear(3,3,2)(x,x); m.nanmean(x); m.nanmedian(x)
m.broadcast_tensors(x,x[0])[1]; m.hstack([x,x]); m.vstack([x,x]); m.dstack([x,x]); m.atleast_3d(x); m.column_stack([x,x]); m.tensor_split(x,2)[0]
m.hsplit(x,3)[0]; m.scatter_reduce(x,0,i,x,'sum'); x.masked_scatter(x>0,x); x.put(i[0],x[0]); m.cartesian_prod(x[0],x[1]); m.vander(x[0])
m.matrix_power(x,3); m.linalg.matrix_power(x,-1); m.cholesky_solve(x,spd); m.cholesky_inverse(spd); m.linalg.solve_triangular(spd,x,upper=False)
m.linalg.eig(x)[0]; m.linalg.eigvalsh(spd); m.linalg.svdvals(x); m.inner(x,x); m.float_power(x,2); m.true_divide(x,2)
m.div(x,2,rounding_mode='floor'); m.special.log_ndtr(x); m.erfinv(x); m.special.i1(x); m.special.i0e(x); m.nn.functional.multi_margin_loss(x,i[0])
x.unflatten(0,(1,3)); x.ravel(); x.bfloat16(); x.to(f64).sum(); x.requires_grad_().detach().requires_grad_()*1; x.adjoint(); x.swapdims(0,1); x.sgn()
x.positive(); +x; x.absolute(); x.arctan(); x.negative(); x.true_divide(x); x.multiply(x); x.subtract(1); x.divide(x,rounding_mode='trunc'); abs(x)
x.__getitem__((0,1)); x[:,1]; x[0,1]; x[i]; x[0,i[0]]; x[:, [0,2]]; x[m.tensor(True)]; x.index_put((i[0],),x[0]); x.view(1,3,3)
x.movedim((0,1),(1,0)); x.mean((0,1),keepdim=True); x.var(0,unbiased=False); x.std(0); x.sum(dtype=f64); x.norm(1); x.norm(float('inf'))
x.norm(3,dim=0)
"""


def tensors(m):
    rng = np.random.RandomState(0)

    def t(*shape):
        return m.from_numpy((rng.rand(*shape) * 0.8 + 0.1).astype("float32"))
    x = t(3, 3).requires_grad_()
    return dict(m=m, F=m.nn.functional, x=x, f64=m.float64, i=m.tensor([[0, 1, 2], [1, 0, 2], [2, 1, 0]]), y=t(3, 3), p=t(3, 3).requires_grad_(),
                w1=t(1).requires_grad_(), b3=t(3).requires_grad_(), img=t(1, 2, 4, 4).requires_grad_(), seq=t(1, 2, 6).requires_grad_(),
                vol=t(1, 1, 4, 4, 4).requires_grad_(), wc1=t(2, 2, 2).requires_grad_(), wc2=t(3, 2, 2, 2).requires_grad_(), bc=t(3).requires_grad_(),
                wc3=t(1, 1, 2, 2, 2).requires_grad_(), wct=t(2, 3, 2, 2).requires_grad_(), fd=t(1, 8, 4).requires_grad_(), lab2=m.zeros(1, 4, 4, dtype=m.int64),
                x4=t(3, 2, 4).requires_grad_(), lp=t(5, 1, 3).log_softmax(2).detach().requires_grad_(), tg=m.tensor([[1, 2]]), il=m.tensor([5]), tl=m.tensor([2]),
                spd=x @ x.t() + m.eye(3) * 3, c=m.complex(x, x))


def test_names_of_nodes():
    wrong = []
    for call in NAMED.replace("\n", ";").split(";"):
        if call.strip():
            theirs, ours = both(lambda m: eval(call, tensors(m)).grad_fn.name())
            if theirs != ours:
                wrong.append((call, theirs, ours))
    assert not wrong, wrong


# ---- order in memory ---------------------------------------------------------------------------------------------
ORDERED = ["F.batch_norm(x, None, None, training=True)", "F.batch_norm(x, m.zeros(4), m.ones(4))", "F.group_norm(x, 2)", "F.interpolate(x, scale_factor=2)",
           "F.interpolate(x, scale_factor=2, mode='bilinear')", "F.interpolate(x, scale_factor=2, mode='bicubic')", "F.pad(x, (1, 1))", "F.pad(x, (1, 1, 1, 1))",
           "F.pad(x, (1, 1, 1, 1), mode='reflect')", "F.pad(x, (1, 1, 1, 1), mode='replicate')", "F.relu(x)", "x + x", "x * w", "F.gelu(x)", "F.silu(x)", "m.cat([x, x], 1)",
           "m.cat([x, x], 0)", "m.cat([x, x.contiguous()], 1)", "x.clone()", "x.double()", "F.max_pool2d(x, 2)", "F.avg_pool2d(x, 2)", "F.conv2d(x, wc)", "F.leaky_relu(x)", "m.where(x > 0, x, x)",
           "m.nn.BatchNorm2d(4)(x)", "m.nn.BatchNorm2d(4).eval()(x)", "m.nn.GroupNorm(2, 4)(x)", "m.nn.Upsample(scale_factor=2)(x)", "m.nn.ZeroPad2d(1)(x)", "x[:, 1:3].clone()"]


@pytest.mark.parametrize("order", ["last", "row", "other"])
def test_order_of_results_and_leaf_gradients(order):
    def run(m, call):
        rng = np.random.RandomState(0)
        x = m.from_numpy(rng.rand(2, 4, 5, 6).astype("float32"))
        x = x.to(memory_format=m.channels_last) if order == "last" else x.permute(3, 0, 2, 1).contiguous().permute(1, 3, 2, 0) if order == "other" else x
        x = x.detach().requires_grad_()
        out = eval(call, dict(m=m, F=m.nn.functional, x=x, w=m.ones(1, 4, 1, 1), wc=m.ones(4, 4, 2, 2)))
        (out * out).sum().backward()
        first = x.grad.stride()
        (out.detach() * x.mean()).sum().backward()
        return out.stride(), first, x.grad.stride()
    wrong = []
    for call in ORDERED:
        theirs, ours = both(lambda m: run(m, call))
        if order == "other" and ours[0] != theirs[0]:                    # strides that PyTorch's kernels happen to choose
            theirs, ours = theirs[1:], ours[1:]
        if theirs != ours:
            wrong.append((call, theirs, ours))
    assert not wrong, wrong


def test_gradients_of_parameters_keep_their_order():
    for m in BOTH:
        conv = m.nn.Conv2d(4, 8, 3).to(memory_format=m.channels_last)
        conv(m.ones(2, 4, 8, 8)).sum().backward()
        assert conv.weight.grad.stride() == conv.weight.stride()
        before = conv.weight.grad.clone()
        conv(m.ones(2, 4, 8, 8)).sum().backward()
        assert m.equal(conv.weight.grad, 2 * before) and conv.weight.grad.stride() == conv.weight.stride()
        w = m.ones(3, 4).t().requires_grad_()
        (m.ones(2, 4) @ w).sum().backward()
        assert w.grad.stride() == w.stride()


# ---- results over inputs ---------------------------------------------------------------------------------------------
OVER = ["m.add(x[:9], 1, out=x[1:])", "m.exp(x[:9], out=x[1:])", "m.abs(x[:9], out=x[1:])", "m.sqrt(x, out=x)", "m.mul(x, x, out=x)", "m.add(x[:5], x[5:], out=x[5:])", "m.add(x[:5], x[5:], out=x[:5])",
        "m.where(x[:9] > 2, x[:9], -x[:9], out=x[1:])", "m.clamp(x[:9], 1, 3, out=x[1:])", "m.add(q.t(), 1, out=q)", "m.add(q, q.t(), out=q)", "m.pow(x[:9], 2, out=x[1:])",
        "m.lerp(x[:9], x[1:], 0.5, out=x[1:])", "m.addcmul(x[:9], x[1:], x[1:], out=x[1:])", "m.bitwise_and(k[:9], 3, out=k[1:])",
        "x[1:].add_(x[:9])", "x[1:].mul_(x[:9])", "q.add_(q.t())", "q.mul_(q[0])", "x[::2].add_(x[1::2])", "x[:5].add_(x[5:])", "x.add_(x)", "x.mul_(x)", "x[1:].lerp_(x[:9], 0.5)",
        "x[1:].addcmul_(x[:9], x[:9])", "x.addcmul_(x, x)", "x[1:].clamp_(x[:9])", "m.add(m.ones(3), 1, out=m.ones(3).expand(2, 3))", "m.sub(q, q[0], out=q)", "m.eq(x[:9], x[1:], out=b[:9])",
        "m.add(x.long(), 1, out=x)", "x.lerp_(x, 0.5)", "x[:5].div_(x[5:])", "q[:, :2].add_(q[:, 2:])", "m.neg(q[:, :2], out=q[:, 2:])"]


@pytest.mark.parametrize("call", OVER)
def test_results_over_inputs(call):
    def run(m):
        space = dict(m=m, x=m.arange(10.0), k=m.arange(10), q=m.arange(16.0).reshape(4, 4), b=m.zeros(10, dtype=m.bool))
        eval(call, space)
        return [space[n].tolist() for n in "xkqb"]
    theirs, ours = both(run)
    if theirs == "RuntimeError":
        assert ours == "ShapeError", ours
    else:
        assert ours == theirs


@pytest.mark.parametrize("call", ["m.add(q[:, :3], 1, out=q[:, 1:])", "q[:, 1:].mul_(q[:, :3])", "m.sub(q, q[:, :1], out=q)", "q.sub_(q[:, :1])", "m.where(q[:, :3] > 2, q[:, :3], 0.0, out=q[:, 1:])"])
def test_overlaps_that_are_not_refused_read_before_they_write(call):
    q, copy = rt.arange(400.0).reshape(100, 4), rt.arange(400.0).reshape(100, 4)
    eval(call, dict(m=rt, q=q))
    want = {"m.add(": lambda: copy[:, 1:].copy_(copy[:, :3].clone() + 1), "q[:, 1": lambda: copy[:, 1:].copy_(copy[:, 1:] * copy[:, :3].clone()),
            "m.sub(": lambda: copy.sub_(copy[:, :1].clone()), "q.sub_": lambda: copy.sub_(copy[:, :1].clone()),
            "m.wher": lambda: copy[:, 1:].copy_(rt.where(copy[:, :3] > 2, copy[:, :3], 0.0))}[call[:6]]
    want()
    assert rt.equal(q, copy)


def test_overlap_in_place_keeps_gradients():
    q = rt.arange(8.0).reshape(4, 2).requires_grad_()
    y = q * 1
    y[:, :1].mul_(y[:, 1:])
    y.sum().backward()
    assert q.grad.tolist() == [[1.0 + 2 * i, 1.0 + 2 * i] for i in range(4)]


def test_broadcast_to_takes_sizes():
    assert rt.ones(1).broadcast_to(2, 3).shape == rt.ones(1).broadcast_to((2, 3)).shape == (2, 3)
