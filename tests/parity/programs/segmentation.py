"""A U-Net: blocks with group norm, padding of odd sizes, dice and focal losses, autocast with a scaler, weights' average, metrics by confusion matrix, test-time flips."""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.amp import GradScaler, autocast
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

torch.manual_seed(0)


class Double(nn.Module):
    def __init__(self, a, b, mid=None, norm="batch"):
        super().__init__()
        mid = mid or b
        make = (lambda c: nn.BatchNorm2d(c)) if norm == "batch" else (lambda c: nn.GroupNorm(2, c))
        self.double_conv = nn.Sequential(nn.Conv2d(a, mid, 3, padding=1, bias=False), make(mid), nn.ReLU(inplace=True),
                                         nn.Conv2d(mid, b, 3, padding=1, bias=False), make(b), nn.SiLU())

    def forward(self, x):
        return self.double_conv(x)


class Up(nn.Module):
    def __init__(self, a, b, bilinear):
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True) if bilinear else nn.ConvTranspose2d(a, a // 2, 2, stride=2)
        self.conv = Double(a if not bilinear else a + a // 2, b, norm="group")

    def forward(self, x1, x2):
        x1 = self.up(x1)
        dy, dx = x2.size()[2] - x1.size()[2], x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    def __init__(self, classes=3, bilinear=False):
        super().__init__()
        self.inc, self.down = Double(1, 4), nn.ModuleList([nn.Sequential(nn.MaxPool2d(2), Double(4 * 2 ** i, 8 * 2 ** i)) for i in range(2)])
        self.ups = nn.ModuleList([Up(16, 8, bilinear), Up(8, 4, bilinear)])
        self.outc = nn.Conv2d(4, classes, 1)

    def forward(self, x):
        xs = [self.inc(x)]
        for d in self.down:
            xs.append(d(xs[-1]))
        y = xs.pop()
        for up in self.ups:
            y = up(y, xs.pop())
        return self.outc(y)


def dice(probs, target, eps=1e-6):
    inter = 2 * (probs * target).sum(dim=(-1, -2))
    sets = probs.sum(dim=(-1, -2)) + target.sum(dim=(-1, -2))
    sets = torch.where(sets == 0, inter, sets)
    return ((inter + eps) / (sets + eps)).mean()


def focal(logits, target, gamma=2.0):
    logp = F.log_softmax(logits, 1)
    pt = logp.gather(1, target[:, None]).squeeze(1).exp()
    return ((1 - pt) ** gamma * F.nll_loss(logp, target, reduction="none")).mean()


for bilinear in (False, True):
    torch.manual_seed(4)
    net = UNet(bilinear=bilinear)
    x = torch.randn(4, 1, 18, 22)
    target = (F.avg_pool2d(x, 3, 1, 1).squeeze(1) > 0).long() + (x.squeeze(1) > 1.5).long()
    ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.8))
    opt = torch.optim.RMSprop(net.parameters(), lr=1e-3, weight_decay=1e-8, momentum=0.9)
    scaler, schedule = GradScaler("cpu", init_scale=256.0), torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, 2, 2)
    for step in range(4):
        opt.zero_grad(set_to_none=True)
        with autocast("cpu", dtype=torch.bfloat16, enabled=step == 3):
            out = net(x)
            loss = F.cross_entropy(out, target) + 1 - dice(F.softmax(out.float(), 1), F.one_hot(target, 3).permute(0, 3, 1, 2).float()) + 0.5 * focal(out.float(), target)
        scaler.scale(loss).backward()
        scaler.unscale_(opt)
        norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        scaler.step(opt)
        scaler.update()
        schedule.step()
        ema.update_parameters(net)
        print(step, f"{loss.item():.2f} {norm.item():.1f} {schedule.get_last_lr()[0]:.6f} {scaler.get_scale()}" if step == 3 else f"{loss.item():.4f} {norm.item():.3f} {schedule.get_last_lr()[0]:.6f} {scaler.get_scale()}")
    best = copy.deepcopy(ema.module).eval()
    update_bn([x[:2], x[2:]], ema)
    with torch.inference_mode():
        flips = sum(torch.flip(best(torch.flip(x, d)), d) for d in ([], [-1], [-2], [-2, -1])) / 4
        pred = flips.argmax(1)
        cm = torch.bincount(3 * target.flatten() + pred.flatten(), minlength=9).view(3, 3)
        iou = cm.diag() / (cm.sum(0) + cm.sum(1) - cm.diag()).clamp(min=1)
    print(cm.sum().item(), pred.shape, flips.is_inference(), (iou >= 0).all().item(), ema.n_averaged.item())
