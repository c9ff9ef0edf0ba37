"""The torch names that programs use most exist here."""
import functools

import pytest

import rustorch_py

NAMES = """
Tensor Tensor.shape Tensor.to nn.Module cat Tensor.device Tensor.view no_grad Tensor.size Tensor.dtype tensor optim.Optimizer.step
nn.Linear device nn.Module.parameters Tensor.unsqueeze Tensor.item zeros Tensor.float Tensor.sum Tensor.reshape float32 arange
Tensor.split Tensor.mean Tensor.backward nn.Module.zero_grad Tensor.detach nn.Parameter Tensor.transpose stack Tensor.cpu
Tensor.data Tensor.numpy nn.ModuleList nn.Module.eval nn.Sequential Tensor.repeat ones Tensor.permute Generator Tensor.expand
nn.Module.train Tensor.squeeze long Tensor.contiguous Tensor.chunk nn.Module.load_state_dict utils.data.DataLoader Tensor.ndim
zeros_like from_numpy Tensor.flatten optim.Adam Tensor.clone nn.Conv2d randn Tensor.numel nn.Dropout Tensor.max
nn.Module.state_dict Tensor.long dtype load Tensor.clamp Tensor.tolist nn.Module.register_buffer manual_seed nn.Embedding nn.ReLU
nn.LayerNorm Tensor.dim float16 save exp nn.Identity empty Tensor.repeat_interleave Tensor.requires_grad Tensor.new_zeros bfloat16
nn.functional.pad linspace bool equal LongTensor utils.data.Dataset FloatTensor sum log Tensor.type_as Tensor.log Tensor.argmax
Tensor.add nn.functional.relu mean where is_tensor Tensor.copy_ float Tensor.t sin full Tensor.bool nn.GELU randint
nn.Module.apply optim.AdamW Tensor.pow nn.functional.dropout nn.BatchNorm2d nn.CrossEntropyLoss Tensor.mode Tensor.requires_grad_
clamp nn.functional.interpolate einsum Tensor.sqrt Tensor.exp cos Tensor.fill_ nn.functional.log_softmax ones_like Tensor.min
Tensor.T sqrt randn_like nn.init.constant_ Tensor.mul_ matmul optim.Optimizer Tensor.grad Tensor.any nn.functional.mse_loss
Tensor.nonzero nn.functional.cross_entropy nn.Module.named_parameters rand nn.functional.softmax Size int64 Tensor.masked_fill
nn.Module.modules Tensor.add_ Tensor.zero_ Tensor.std Tensor.type float64 Tensor.eq Tensor.abs sigmoid max Tensor.all
Tensor.index_select nn.init.normal_ Tensor.softmax nn.Module.forward eye as_tensor Tensor.gather Tensor.clamp_ Tensor.sin
is_grad_enabled Tensor.cos softmax jit.is_scripting nn.functional.scaled_dot_product_attention nn.SiLU Tensor.masked_fill_ nn.Tanh
Tensor.norm concat nn.init.zeros_ int32 nn.MSELoss abs Tensor.normal_ argmax Tensor.unbind optim.SGD autograd.Variable chunk tanh
nn.Softmax nn.functional.linear randperm nn.LeakyReLU meshgrid jit.ignore Tensor.new_ones split nn.Conv1d
nn.Module.register_parameter empty_like Tensor.mul pow nn.functional.nll_loss nn.utils.clip_grad_norm_ nn.functional.normalize
nn.Module.named_modules Tensor.round Tensor.relu Tensor.uniform_ contiguous_format norm nn.init.xavier_uniform_ Tensor.sort
Tensor.unflatten nn.functional.silu Tensor.flip triu nn.BatchNorm1d Tensor.div utils.tensorboard.SummaryWriter bmm finfo
Tensor.expand_as nn.MaxPool2d Tensor.new Tensor.half min nn.Sigmoid Tensor.int pi Tensor.div_ nn.GroupNorm nn.ConvTranspose2d
Tensor.scatter_ Tensor.cumsum gather Tensor.sigmoid nn.Module.children topk inf autograd.Function outer flatten Tensor.ne
multinomial nn.functional.softplus compile Tensor.topk enable_grad Tensor.clip nn.Module.add_module all nn.ModuleDict
Tensor.select Tensor.square cumsum Tensor.new_full Tensor.median nn.Module.named_children distributions.Categorical distributions.Normal.rsample distributions.kl_divergence nn.Conv3d uint8 Tensor.view_as
nn.AvgPool2d autograd.grad cumprod Tensor.var nn.functional.max_pool2d Tensor.matmul Tensor.unique IntTensor Tensor.diagonal
nn.init.kaiming_normal_ nn.Upsample autocast amp.autocast amp.GradScaler distributions.Categorical distributions.Normal
distributions.constraints.positive distributions.constraints.real func.vmap library.custom_op full_like Tensor.new_empty isnan Tensor.new_tensor
""".split()


@pytest.mark.parametrize("name", NAMES)
def test_name_resolves(name):
    functools.reduce(getattr, name.split("."), rustorch_py)
