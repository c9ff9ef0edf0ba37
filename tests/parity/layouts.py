"""Calls whose results' strides, and views and copies, are compared with PyTorch's, over images that lie in several ways."""
import numpy as np

LAYOUTS = ("row", "last", "turned", "transposed", "batch", "cut")


def laid(m, layout):
    """(2, 4, 5, 6) numbers: row-major, channels innermost, in two other orders, batch inside of channels, and a slice of channels_last."""
    a = m.from_numpy(np.random.RandomState(0).rand(2, 4, 5, 6).astype("float32"))
    if layout == "last":
        return a.contiguous(memory_format=m.channels_last)
    if layout == "turned":
        return a.permute(3, 0, 2, 1).contiguous().permute(1, 3, 2, 0)
    if layout == "transposed":
        return a.mT.contiguous().mT
    if layout == "batch":
        return a.permute(1, 0, 2, 3).contiguous().permute(1, 0, 2, 3)
    return m.cat([a, a], 1).contiguous(memory_format=m.channels_last)[:, 2:6] if layout == "cut" else a


def run(m, call, layout):
    """(x, a complex c, the list of results), or the name of the exception."""
    m.manual_seed(0)
    x = laid(m, layout)
    c = m.complex(x, x)
    try:
        out = eval(call, dict(m=m, F=m.nn.functional, x=x, c=c, i=m.tensor([1, 0]), sq=x[..., :5]))
    except Exception as error:  # the kinds of errors are compared elsewhere
        return type(error).__name__
    return x, c, [t for t in (out if isinstance(out, (list, tuple)) else [out]) if isinstance(t, m.Tensor)]


def strides(m, call, layout):
    got = run(m, call, layout)
    return got if isinstance(got, str) else [(tuple(t.shape), tuple(s for s, n in zip(t.stride(), t.shape) if n > 1)) for t in got[2]]


def memory(m, call, layout):
    """For every result: which argument's memory it shares, whether it is the argument itself, and its strides then."""
    got = run(m, call, layout)
    if isinstance(got, str):
        return got
    x, c, results = got
    found = []
    for t in results:
        owner = next((n for n, s in (("x", x), ("c", c)) if t.untyped_storage().data_ptr() == s.untyped_storage().data_ptr()), None)
        found.append((owner, t is x or t is c, tuple(t.stride()) if owner else None))
    return found


CALLS = """
x.abs(); x+1; 2-x; x.exp(); x.clamp(0,1); x.clone(); x.double(); x.to(m.int32); x>0; ~(x>0); x.roll(1,2); x.roll((1,2),(1,3)); x.roll(3); x.flip(1); x.flip(0,3);
m.fliplr(x); m.rot90(x); m.rot90(x,1,(2,3)); x.cumsum(1); x.cumsum(3); x.cumprod(2); x.cummax(1)[0]; x.cummin(1)[1]; x.logcumsumexp(1); x.sort(1)[0]; x.sort(3)[1];
x.argsort(1); x.topk(2,1)[0]; x.topk(2,3)[1]; x.kthvalue(2,1)[0]; x.median(1)[0]; x.mode(1)[0]; x.sum(1); x.sum(1,keepdim=True); x.sum((2,3));
x.mean((2,3),keepdim=True); x.amax(1); x.amin((0,2)); x.max(1)[0]; x.max(1,keepdim=True)[1]; x.argmax(1); x.prod(1); x.var(1); x.std((2,3),keepdim=True);
x.norm(dim=1); x.logsumexp(1); x.all(1); x.any(2); x.nansum(1); x.softmax(1); x.softmax(3); x.log_softmax(1); F.softmin(x,1); F.normalize(x);
x.gather(1,(x[:,:2]>0).long()); x.index_select(1,i); x.index_select(0,i[:2]); x.index_select(3,i); x.take_along_dim((x[:,:2]>0).long(),1); x[:,i]; x[i[:2]]; x[:,:,i];
x[...,i]; x[:,i,i]; x[i[:2],:,i[:2]]; x[:,None,i]; x[x>0.5]; x[:,i,:,1]; x[1:,i]; x.take(i); x.scatter(1,(x[:,:2]>0).long(),x[:,:2]);
x.scatter_add(1,(x[:,:2]>0).long(),x[:,:2]); x.index_add(1,i,x[:,:2]); x.index_copy(1,i,x[:,:2]); x.index_fill(1,i,0.); x.index_put((i,),x[:2]);
x.masked_fill(x>0.5,0.); x.masked_scatter(x>0.5,x); x.scatter_reduce(1,(x[:,:2]>0).long(),x[:,:2],'sum'); x.index_reduce(1,i,x[:,:2],'amax'); x.tril(); x.triu(1);
x.diag_embed(); x.diagonal(0,1,2); x.repeat(1,2,1,1); x.repeat_interleave(2,1); x.tile(2); x.expand(2,4,5,6); m.cat([x,x],1); m.cat([x,x],3); m.stack([x,x]);
m.stack([x,x],1); m.stack([x,x],4); m.hstack([x,x]); m.vstack([x,x]); m.dstack([x,x]); m.where(x>0,x,x); m.where(x>0,x,0.); m.where(x>0,0.,x); m.lerp(x,x,0.5);
m.addcmul(x,x,x); x.fmod(0.3); m.maximum(x,x); m.atan2(x,x); x.copysign(x); x.pow(x); x**2; 2**x; x.ldexp(i[0]); m.ldexp(x,x.int()); x.frexp()[0]; x.frexp()[1];
m.modf(x)[0]; m.complex(x,x); m.polar(x,x); m.view_as_real(m.complex(x,x)); m.complex(x,x).real; m.complex(x,x).abs(); m.complex(x,x).angle();
m.complex(x,x).conj().resolve_conj(); m.complex(x,x)*2; m.sgn(x); x.nan_to_num(); x.renorm(2,1,1.); x.heaviside(x); x.bucketize(i.float());
m.searchsorted(m.arange(3.),x); m.isin(x,x); m.isclose(x,x); x.isnan(); x.signbit(); x.logit(); m.special.i0e(x); m.mvlgamma(x+3,2); m.polygamma(1,x);
m.special.zeta(x+2,x); x.lgamma(); x.erfinv(); m.xlogy(x,x); x.dist(x); m.cdist(x,x); m.trapezoid(x,dim=1); m.cumulative_trapezoid(x,dim=1); x.diff(dim=1);
m.gradient(x,dim=1)[0]; x.histc(3); m.tensor_split(x,2,1)[1]; m.bernoulli(x); x.quantile(0.5,1); m.nanmedian(x,1)[0]; x.unfold(2,2,1); x.movedim(1,3); x.contiguous();
x.contiguous(memory_format=m.channels_last); x.flatten(1); x.flatten(2); x.reshape(2,-1); x.reshape(8,5,6); x.reshape(2,2,2,5,6); x.unflatten(1,(2,2)); x.view_as(x);
m.zeros_like(x); m.ones_like(x); m.full_like(x,2.); m.rand_like(x); m.randn_like(x); m.empty_like(x); m.zeros_like(x,dtype=m.int64); x.new_zeros(x.shape);
x.bfloat16(); x.type(m.float64); x.type_as(x.double()); x.to(x.double()); x.half().float(); x.clone(memory_format=m.contiguous_format); x.detach(); x@x.mT;
m.matmul(x,x.mT); m.einsum('nchw,ncdw->nchd',x,x); m.einsum('nchw->nwhc',x); m.tensordot(x,x,([1],[1])); m.cross(x[:,:3],x[:,:3],dim=1);
m.linalg.vector_norm(x,dim=1); m.linalg.inv(sq); m.linalg.qr(sq)[0]; m.linalg.svd(sq)[0]; m.linalg.cholesky(sq@sq.mT+m.eye(5)); m.linalg.solve(sq,sq);
m.linalg.det(sq); m.linalg.eigh(sq@sq.mT)[1]; m.linalg.matrix_exp(sq); m.linalg.matrix_power(sq,2); m.linalg.pinv(sq); m.linalg.lu(sq)[0]; m.linalg.lstsq(sq,sq)[0];
m.linalg.solve_triangular(sq,sq,upper=True); m.kron(x,x); m.block_diag(x[0,0],x[0,0]); m.vander(x[0,0,0]); m.cov(x[0,0]); m.corrcoef(x[0,0]); F.relu(x); F.relu6(x);
F.gelu(x); F.silu(x); F.mish(x); F.elu(x); F.leaky_relu(x); F.prelu(x,m.ones(4)); F.hardtanh(x); F.hardswish(x); F.hardsigmoid(x); F.softplus(x); F.logsigmoid(x);
F.threshold(x,0.1,20); F.glu(x,1); F.glu(x,3); F.alpha_dropout(x,training=True); F.feature_alpha_dropout(x,training=True); F.rrelu(x,training=True); F.softsign(x);
F.tanhshrink(x); F.celu(x); F.selu(x); F.hardshrink(x); F.softshrink(x); F.gumbel_softmax(x,dim=1); F.batch_norm(x,None,None,training=True);
F.batch_norm(x,m.zeros(4),m.ones(4)); F.instance_norm(x); F.instance_norm(x,m.zeros(4),m.ones(4),use_input_stats=False);
F.instance_norm(x,None,None,m.ones(4),m.zeros(4)); F.group_norm(x,2); F.layer_norm(x,(6,)); F.layer_norm(x,(4,5,6)); F.local_response_norm(x,2); F.rms_norm(x,(6,));
m.nn.InstanceNorm2d(4)(x).detach(); m.nn.InstanceNorm2d(4,affine=True)(x).detach(); F.max_pool2d(x,2); F.max_pool2d(x,2,return_indices=True)[1]; F.avg_pool2d(x,2);
F.adaptive_avg_pool2d(x,2); F.adaptive_avg_pool2d(x,1); F.adaptive_max_pool2d(x,2); F.adaptive_max_pool2d(x,1,return_indices=True)[1]; F.lp_pool2d(x,2,2);
F.max_unpool2d(*F.max_pool2d(x,2,return_indices=True),2); F.fractional_max_pool2d(x,2,output_size=2); F.pixel_shuffle(x,2); F.pixel_unshuffle(x[:,:,:4],2);
F.channel_shuffle(x,2); m.channel_shuffle(x,2); F.interpolate(x,scale_factor=2); F.interpolate(x,scale_factor=2,mode='bilinear');
F.interpolate(x,scale_factor=2,mode='bicubic'); F.interpolate(x,scale_factor=2,mode='area'); F.interpolate(x,scale_factor=2,mode='nearest-exact');
F.interpolate(x,scale_factor=2,mode='bilinear',antialias=True); F.grid_sample(x,m.zeros(2,3,3,2)); F.affine_grid(m.zeros(2,2,3),(2,4,5,6)); F.pad(x,(1,1));
F.pad(x,(1,1,1,1)); F.pad(x,(1,1,1,1),mode='reflect'); F.pad(x,(1,1,1,1),mode='replicate'); F.pad(x,(1,1,1,1),mode='circular'); F.pad(x,(-1,1));
F.pad(x,(0,0,0,0,1,1)); F.unfold(x,2); F.fold(F.unfold(x,2),(5,6),2); F.conv2d(x,m.ones(3,4,2,2)); F.conv2d(x,m.ones(4,1,2,2),groups=4);
F.conv_transpose2d(x,m.ones(4,3,2,2)); F.conv2d(x,m.ones(3,4,1,1)); F.conv2d(x,m.ones(3,4,2,2).contiguous(memory_format=m.channels_last)); F.linear(x,m.ones(3,6));
F.bilinear(x,x,m.ones(2,6,6)); F.embedding((x>0).long(),m.ones(3,2)); F.one_hot((x>0).long()); F.mse_loss(x,x,reduction='none'); F.l1_loss(x,x,reduction='none');
F.smooth_l1_loss(x,x,reduction='none'); F.huber_loss(x,x,reduction='none'); F.binary_cross_entropy(x,x,reduction='none');
F.binary_cross_entropy_with_logits(x,x,reduction='none'); F.kl_div(x,x,reduction='none'); F.nll_loss(x,m.zeros(2,5,6).long(),reduction='none');
F.cross_entropy(x,m.zeros(2,5,6).long(),reduction='none'); F.poisson_nll_loss(x,x,reduction='none'); F.cosine_similarity(x,x); F.pairwise_distance(x,x);
F.triplet_margin_loss(x,x,x,reduction='none'); F.hinge_embedding_loss(x,x,reduction='none'); F.soft_margin_loss(x,x,reduction='none');
F.multilabel_soft_margin_loss(x,x,reduction='none'); F.scaled_dot_product_attention(x,x,x); m.nn.ReflectionPad2d(1)(x); m.nn.ConstantPad2d(1,0.)(x);
m.nn.Upsample(scale_factor=2)(x); m.nn.Softmax2d()(x); m.nn.Flatten()(x); x.select_scatter(x[:,0],1,0); x.slice_scatter(x[:,:2],1,0,2);
x.diagonal_scatter(x.diagonal(0,2,3),0,2,3); m.narrow_copy(x,1,0,2); x.narrow_copy(1,0,2); m.permute_copy(x,(1,0,2,3)); m.expand_copy(x,(2,4,5,6));
m.unsqueeze_copy(x,0); m.transpose_copy(x,1,2); m.view_copy(x.contiguous(),(8,5,6)); x.unsafe_chunk(2,1)[0]; m.unsafe_split(x,2,1)[0];
m.broadcast_tensors(x,x[:1])[1]; m.atleast_3d(x); m.combinations(i); m.nonzero(x); m.argwhere(x>0.5); m.unique_consecutive(x,dim=1); m.unique(x,dim=1); m.bincount(i);
m.fft.fftshift(x,1); m.fft.ifftshift(x,(1,2)); m.fft.fft(x,dim=1); m.fft.rfft2(x); m.fft.irfft(m.complex(x,x),dim=1); m.fft.fftn(x); m.special.logsumexp(x,1);
m.special.softmax(x,1); m.put(x,i,x.flatten()[:2]); x.put(i,x.flatten()[:2]); m.sub(x,x,alpha=2); m.rsub(x,1); m.div(x,x,rounding_mode='floor');
m.floor_divide(x,0.3); m.float_power(x,2); m.count_nonzero(x,1); m.std_mean(x,1)[0]; m.var_mean(x,(2,3))[1]; m.aminmax(x,dim=1)[0]; m.logaddexp(x,x); m.hypot(x,x);
m.fmax(x,x); m.nextafter(x,x); m.gcd(x.int(),x.int()); m.bitwise_and(x.int(),x.int()); x.int()<<1; m.logical_and(x,x); m.eq(x,x); m.real(m.complex(x,x));
m.imag(m.complex(x,x)); m.masked_select(x,x>0.5); m.clip(x,x*0,x); m.clamp(x,x*0); x.fill_(1.); x.add_(1); x.sigmoid_(); m.dropout(x,0.5,True); m.rrelu(x);
m.poisson(x); m.normal(x,x); m.multinomial(x[0,0],2); m.native_batch_norm(x,None,None,None,None,True,0.1,1e-5)[0]; m.native_group_norm(x,None,None,2,4,30,2,1e-5)[0];
m.batch_norm(x,None,None,None,None,True,0.1,1e-5,False); m.sigmoid(x); m.square(x); m.rsqrt(x); m.sinc(x); x.to(memory_format=m.channels_last); x.swapaxes(1,2)+0;
x[:,:,::2]+0; x[:,1:3].clone(); x[:,:,::2].clone(); x[:,:,1:].double(); x.expand(2,4,5,6)+0; x[:1].expand(2,4,5,6).clone(); x[:,:1].expand(2,4,5,6)*2;
x*m.ones(4,1,1); m.ones(5,6)*x; x+x.contiguous(); x.contiguous()+x; m.where(x>0,x.contiguous(),x); m.addcmul(x.contiguous(),x,x); x.sum(0)+x[0];
x.mT.contiguous().mT*x; m.cumsum(x,1,dtype=m.float64); m.softmax(x,1,dtype=m.float64); m.sum(x,1,dtype=m.float64)
"""

VIEWS = """
x.reshape(x.shape); x.reshape(-1); x.reshape(2,-1); x.reshape(8,5,6); x.reshape(2,2,2,5,6); x.reshape(2,4,30); x.reshape(2,4,5,3,2); x.view(x.shape); x.view(m.int32);
x.contiguous(); x.contiguous(memory_format=m.channels_last); x.to(m.float32); x.to('cpu'); x.to(m.float64); x.to(x); x.float(); x.double(); x.cpu();
x.type(m.float32); x.type_as(x); x.to(m.float32,copy=True); x.to(memory_format=m.channels_last); x.to(memory_format=m.contiguous_format); x.flatten(); x.flatten(1);
x.flatten(2); x.flatten(0,1); x.flatten(2,2); x.ravel(); x.unflatten(1,(2,2)); x.expand_as(x); x.expand(3,2,4,5,6); x.expand(2,4,5,6); x.view_as(x); x.reshape_as(x);
x.squeeze(); x.squeeze(0); x[:1].squeeze(0); x.squeeze((0,1)); x.unsqueeze(0); x.real; m.real(x); c.real; c.imag; m.view_as_real(c);
m.view_as_complex(x.contiguous().reshape(2,4,5,3,2)); c.conj(); c.resolve_conj(); x.conj(); x.resolve_conj(); x.resolve_neg(); c.mH; c.adjoint(); x.diagonal();
x.diagonal(1,2,3); m.diagonal(x,0,1,2); m.linalg.diagonal(x); x[0,0].diag(); x[0,0,0].diag(); x.unfold(2,2,1); x.movedim(0,1); x.movedim((0,1),(1,0));
x.moveaxis(0,1); x.tensor_split(2); x.tensor_split((1,2),1); x.chunk(2,1); x.split(2,1); x.split((1,3),1); x.unbind(1); x.hsplit(2); x.vsplit(2); x[:,:,:4].dsplit(2);
x.narrow(1,0,2); x.select(1,0); x[0]; x[:,1:3]; x[...]; x[None]; x[:,[0,1]]; x[x>0]; x[m.tensor(0)]; x[:,m.tensor(1)]; x.transpose(0,1); x.permute(0,2,3,1);
x.swapaxes(0,1); x.swapdims(0,1); x.mT; x[0,0].t(); x[0,0].T; x.detach(); x.data; x.as_strided((2,),(1,)); m.as_strided(x,(2,2),(2,1)); m.broadcast_to(x,(2,4,5,6));
m.broadcast_tensors(x,x)[0]; m.atleast_1d(x); m.atleast_2d(x); m.atleast_3d(x); m.atleast_3d(x[0,0]); m.atleast_2d(x[0,0,0]); x.clone(); m.clone(x); m.positive(x);
+x; x.abs(); x.rot90(0); x.roll(0); x.flip(()); x.repeat(1,1,1,1); x.tile(()); x.clamp(); m.dropout(x,0.0,True); m.dropout(x,0.5,False); F.dropout(x,training=False);
F.dropout2d(x,training=False); F.alpha_dropout(x,training=False); m.nn.Identity()(x); m.nn.Flatten()(x); m.nn.Dropout().eval()(x); F.pad(x,()); F.pad(x,(0,0));
F.interpolate(x,size=(5,6)); F.channel_shuffle(x,1); F.channel_shuffle(x,4); F.pixel_shuffle(x,1); m.channel_shuffle(x,2); m.asarray(x); m.as_tensor(x); m.tensor(x);
m.meshgrid(x[0,0,0],x[0,0,0],indexing='ij'); m.cartesian_prod(x[0,0,0]); m.hstack([x]); m.cat([x]); m.stack([x]); m.block_diag(x[0,0]); m.movedim(x,0,1);
m.squeeze(x[:1]); m.unflatten(x,1,(2,2)); m.swapaxes(x,0,1); m.expand_copy(x,(2,4,5,6)); x.view(m.float32); x.view(m.uint8); x.sum_to_size(2,4,5,6);
x.sum_to_size(1,4,5,6); x.index_select(0,m.tensor([0,1])); x.gather(0,(x>9).long()); x.take_along_dim((x>9).long(),0); x.masked_fill(x>9,0); m.where(x>0,x,x);
x.tril(9); x.triu(-9); x.nan_to_num(); x.ceil(); x.int().ceil(); x.int().floor(); x.int().round(); x.int().trunc(); x.int().int(); x.int().conj(); x.int().abs();
x.int().nan_to_num(); x.int().positive(); x.unsafe_chunk(2)[0]; m.linalg.matrix_power(x[...,:5],1); m.linalg.multi_dot([x[0,0],x[0,0].t()]); m.einsum('nchw->nchw',x);
m.einsum('nchw->whcn',x); m.einsum('nchw',x); m.transpose(x,0,0); x.permute(0,1,2,3); m.narrow(x,0,0,2); x.resize_as_(x); x.sort(0)[0];
x.float().requires_grad_().detach(); m.ravel(x); m.special.xlogy(x,x); m.linalg.vander(x[0,0,0]); x.unsqueeze(0).squeeze(); x.cumsum(0); m.real(x.int());
m.squeeze_copy(x); m.nn.utils.parameters_to_vector([x]); m.nn.Unflatten(1,(2,2))(x); m.nn.ReLU(inplace=True)(x); m.nn.PixelShuffle(1)(x); F.relu_(x);
F.threshold(x,0.,0.); F.softmax(x,0); m.diff(x,0); m.repeat_interleave(x,1,0); m.kron(x,m.ones(1,1,1,1)); m.outer(x[0,0,0],x[0,0,0]); m.trapz(x);
m.combinations(x[0,0,0],1); m.select_scatter(x,x[0],0,0); m.slice_scatter(x,x); m.diagonal_scatter(x[0,0],x[0,0].diagonal()); m.cov(x[0,0]); m.std(x); m.argsort(x);
m.nonzero(x); m.imag(c); m.view_as_real(c).squeeze(); c.neg().resolve_neg(); (-c.conj()).resolve_conj(); c.conj().imag; x.adjoint(); x.mH; x[0,0].H;
x.contiguous().view(-1); x.flatten(0,0); x[:0].reshape(0); x[:0].flatten(); x.view(2,4,5,6,1)
"""


def calls(text):
    return [c.strip() for c in text.replace("\n", ";").split(";") if c.strip()]
