"""ResNet block, U-Net, GAN and VAE steps, detection-style boxes, channels_last, pooling, transforms."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, kernel_size=3, padding="same", bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.shortcut = nn.Sequential()
        if stride != 1 or cin != cout:
            self.shortcut = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), BasicBlock(8, 8), BasicBlock(8, 16, 2), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(16, 5))
for m in net.modules():
    if isinstance(m, nn.Conv2d):
        nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
        nn.init.constant_(m.weight, 1)
nn.init.zeros_(net[1].bn2.weight)
print(net)
x = torch.rand(4, 3, 12, 12)
opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
for _ in range(2):
    opt.zero_grad()
    out = net(x)
    loss = nn.CrossEntropyLoss()(out, torch.tensor([0, 1, 2, 3]))
    loss.backward()
    opt.step()
print(f"{loss:.4f}", net[1].bn1.running_mean.shape, net[1].bn1.num_batches_tracked, f"{net[1].bn1.running_var.sum():.4f}")
last = net.to(memory_format=torch.channels_last)
o = last[0](x.to(memory_format=torch.channels_last))
print(o.is_contiguous(memory_format=torch.channels_last), o.stride(), last[0].weight.stride(), F.relu(o).stride(), F.max_pool2d(o, 2).stride(), last[1].bn1(o).stride(), F.interpolate(o, scale_factor=2).stride(), torch.cat([o, o], 1).stride(), (o + 1).stride(), o.mean((2, 3), keepdim=True).stride(), o[:, :4].stride(), o.contiguous().stride(), o.clone().stride(), torch.zeros_like(o).stride(), o.permute(0, 2, 3, 1).is_contiguous(), F.pad(o, (1, 1, 1, 1)).stride(), F.adaptive_avg_pool2d(o, 3).stride(), F.dropout(o, 0.5).stride(), o.softmax(1).stride(), F.pixel_shuffle(o, 2).stride(), o.sum(1).stride(), F.avg_pool2d(o, 2).stride(), F.conv_transpose2d(o, torch.ones(8, 2, 2, 2), stride=2).stride(), F.group_norm(o, 2).stride(), F.layer_norm(o, (12, 12)).stride(), F.gelu(o).stride(), o.bfloat16().stride(), o.flip(3).stride(), o.amax(1, keepdim=True).stride(), torch.where(o > 0, o, 0.0).stride(), o.clamp(0, 1).stride(), (o * torch.rand(1, 8, 1, 1)).stride(), o.transpose(1, 2).stride(), F.upsample(o, size=(5, 5), mode="bilinear").stride(), o.roll(1, 2).stride(), o.repeat(1, 1, 1, 2).stride(), torch.stack([o, o]).stride(), o.reshape(4, 8, -1).stride(), o.cumsum(1).stride())


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        block = lambda i, o: nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.InstanceNorm2d(o, affine=True), nn.LeakyReLU(0.2, inplace=True))
        self.d1, self.d2, self.mid = block(3, 4), block(4, 8), block(8, 8)
        self.up, self.u1, self.out = nn.ConvTranspose2d(8, 4, 2, stride=2), block(8, 4), nn.Conv2d(4, 1, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        a = self.d1(x)
        b = self.mid(self.d2(self.pool(a)))
        return self.out(self.u1(torch.cat([a, self.up(b)], dim=1)))


unet = UNet()
y = (torch.rand(4, 1, 12, 12) > 0.5).float()
p = unet(x)
dice = 1 - (2 * (p.sigmoid() * y).sum((1, 2, 3)) + 1) / (p.sigmoid().sum((1, 2, 3)) + y.sum((1, 2, 3)) + 1)
loss = F.binary_cross_entropy_with_logits(p, y, pos_weight=torch.tensor(2.0)) + dice.mean()
loss.backward()
print(f"{loss:.4f}", p.shape, f"{unet.d1[0].weight.grad.norm():.5f}")
G = nn.Sequential(nn.ConvTranspose2d(6, 8, 4, 1, 0, bias=False), nn.BatchNorm2d(8), nn.ReLU(True), nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Tanh())
D = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Conv2d(1, 8, 4, 2, 1)), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 4, 1, 0), nn.Flatten(0))
og, od = torch.optim.Adam(G.parameters(), 2e-4, (0.5, 0.999)), torch.optim.Adam(D.parameters(), 2e-4, (0.5, 0.999))
real = torch.rand(4, 1, 8, 8)
for _ in range(2):
    fake = G(torch.randn(4, 6, 1, 1))
    ld = F.binary_cross_entropy_with_logits(D(real), torch.ones(4)) + F.binary_cross_entropy_with_logits(D(fake.detach()), torch.zeros(4))
    mixed = torch.lerp(real, fake.detach(), torch.rand(4, 1, 1, 1)).requires_grad_()
    gp, = torch.autograd.grad(D(mixed).sum(), mixed, create_graph=True)
    (ld + 10 * ((gp.flatten(1).norm(2, dim=1) - 1) ** 2).mean()).backward()
    od.step()
    od.zero_grad()
    lg = F.softplus(-D(fake)).mean()
    lg.backward()
    og.step()
    og.zero_grad()
print(f"{ld:.3f} {lg:.3f}")


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.d = nn.Linear(20, 8), nn.Linear(4, 20)

    def forward(self, x):
        mu, logvar = self.e(x).chunk(2, dim=-1)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return self.d(z), mu, logvar


vae = VAE()
data = torch.rand(6, 20)
recon, mu, logvar = vae(data)
elbo = F.binary_cross_entropy(recon.sigmoid(), data, reduction="sum") - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
elbo.backward()
print(f"{elbo:.3f}")
boxes = torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6]])
lt, rb = torch.max(boxes[:, None, :2], boxes[None, :, :2]), torch.min(boxes[:, None, 2:], boxes[None, :, 2:])
inter = (rb - lt).clamp(min=0).prod(2)
area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
print((inter / (area[:, None] + area - inter)).round(decimals=3), (boxes[:, :2] + boxes[:, 2:]) / 2)
print(F.max_pool2d(x, 3, 2, 1, return_indices=True)[1].shape, F.avg_pool2d(x, 3, stride=2, ceil_mode=True, count_include_pad=False).shape, F.adaptive_max_pool2d(x, (3, None)).shape, F.lp_pool2d(x, 2, 2).shape, F.conv2d(x, torch.ones(6, 1, 3, 3), groups=3, dilation=2).shape, F.unfold(x, 3, padding=1).shape, F.affine_grid(torch.eye(2, 3)[None], (1, 1, 2, 2)).shape, F.interpolate(x, size=(5, 7), mode="bicubic", antialias=True).shape, F.pixel_unshuffle(x, 2).shape, F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2).shape, nn.ZeroPad2d(1)(x).shape, nn.ReflectionPad2d((1, 2, 0, 1))(x).shape, nn.Upsample(scale_factor=2)(x).shape, nn.Conv2d(3, 2, 3, padding_mode="circular", padding=1)(x).shape, nn.Unflatten(1, (3, 1))(x).shape)
lrs = torch.optim.lr_scheduler.MultiStepLR(opt, [1, 2], gamma=0.1)
for _ in range(3):
    opt.step()
    lrs.step()
print([round(v, 6) for v in lrs.get_last_lr()], sum(p.numel() for p in net.parameters()), torch.bernoulli(torch.full((3,), 0.5)), torch.randperm(5), torch.rand(2), torch.randint(0, 10, (3,)), torch.normal(0.0, 1.0, (2,)), torch.empty(2).uniform_(-1, 1), torch.multinomial(torch.tensor([0.2, 0.8]), 3, replacement=True), torch.randn(2, generator=torch.Generator().manual_seed(3)))
