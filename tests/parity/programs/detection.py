"""Anchors, matching, GIoU and focal losses, suppression of overlaps, a DETR-like head with Hungarian matching by hand, region pooling with grid_sample, mean average precision."""
import itertools
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)


def box_cxcywh_to_xyxy(b):
    cx, cy, w, h = b.unbind(-1)
    return torch.stack([cx - 0.5 * w, cy - 0.5 * h, cx + 0.5 * w, cy + 0.5 * h], dim=-1)


def area(b):
    return (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])


def iou_pair(a, b):
    lt, rb = torch.max(a[:, None, :2], b[:, :2]), torch.min(a[:, None, 2:], b[:, 2:])
    inter = (rb - lt).clamp(min=0).prod(2)
    union = area(a)[:, None] + area(b) - inter
    return inter / union, union


def giou(a, b):
    iou, union = iou_pair(a, b)
    lt, rb = torch.min(a[:, None, :2], b[:, :2]), torch.max(a[:, None, 2:], b[:, 2:])
    hull = (rb - lt).clamp(min=0).prod(2)
    return iou - (hull - union) / hull


def nms(boxes, scores, threshold):
    keep, order = [], scores.argsort(descending=True)
    while order.numel():
        i = order[0]
        keep.append(i)
        if order.numel() == 1:
            break
        order = order[1:][iou_pair(boxes[i][None], boxes[order[1:]])[0][0] <= threshold]
    return torch.stack(keep)


class FPN(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.ModuleList([nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.GroupNorm(2, b), nn.Hardswish()) for a, b in ((1, 4), (4, 8), (8, 12))])
        self.inner = nn.ModuleList([nn.Conv2d(c, 6, 1) for c in (8, 12)])
        self.outer = nn.ModuleList([nn.Conv2d(6, 6, 3, padding=1) for _ in range(2)])

    def forward(self, x):
        feats = []
        for stage in self.body:
            x = stage(x)
            feats.append(x)
        p2 = self.inner[1](feats[2])
        p1 = self.inner[0](feats[1]) + F.interpolate(p2, size=feats[1].shape[-2:], mode="nearest")
        return [o(p) for o, p in zip(self.outer, (p1, p2))]


class Head(nn.Module):
    def __init__(self, anchors=3, classes=2):
        super().__init__()
        self.cls, self.reg = nn.Conv2d(6, anchors * classes, 3, padding=1), nn.Conv2d(6, anchors * 4, 3, padding=1)
        nn.init.constant_(self.cls.bias, -math.log((1 - 0.01) / 0.01))
        self.classes = classes

    def forward(self, feats):
        cls = [self.cls(f).permute(0, 2, 3, 1).reshape(f.size(0), -1, self.classes) for f in feats]
        reg = [self.reg(f).permute(0, 2, 3, 1).reshape(f.size(0), -1, 4) for f in feats]
        return torch.cat(cls, 1), torch.cat(reg, 1)


def anchors_of(feats, size):
    out = []
    for f in feats:
        h, w = f.shape[-2:]
        step = size / h
        yy, xx = torch.meshgrid((torch.arange(h) + 0.5) * step, (torch.arange(w) + 0.5) * step, indexing="ij")
        for_cell = torch.stack([torch.stack([xx, yy, torch.full_like(xx, step * s), torch.full_like(yy, step * s)], -1) for s in (1.0, 1.5, 2.0)], 2)
        out.append(for_cell.reshape(-1, 4))
    return torch.cat(out)


fpn, head = FPN(), Head()
images = torch.rand(2, 1, 32, 32)
gt = [torch.tensor([[4.0, 4.0, 16.0, 18.0], [20.0, 8.0, 30.0, 20.0]]), torch.tensor([[10.0, 12.0, 25.0, 28.0]])]
labels = [torch.tensor([0, 1]), torch.tensor([1])]
opt = torch.optim.SGD([*fpn.parameters(), *head.parameters()], lr=0.05, momentum=0.9)
for step in range(3):
    feats = fpn(images)
    logits, deltas = head(feats)
    anchors = anchors_of(feats, 32)
    xyxy = box_cxcywh_to_xyxy(anchors)
    losses = []
    for l, d, g, c in zip(logits, deltas, gt, labels):
        iou, _ = iou_pair(xyxy, g)
        best, which = iou.max(1)
        which[iou.argmax(0)] = torch.arange(len(g))
        pos = best >= 0.3
        pos[iou.argmax(0)] = True
        target = torch.zeros_like(l)
        target[pos, c[which[pos]]] = 1
        p = l.sigmoid()
        ce = F.binary_cross_entropy_with_logits(l, target, reduction="none")
        pt = p * target + (1 - p) * (1 - target)
        focal = ((0.25 * target + 0.75 * (1 - target)) * (1 - pt) ** 2 * ce).sum() / pos.sum().clamp(min=1)
        centre, size = anchors[pos, :2] + d[pos, :2] * anchors[pos, 2:], anchors[pos, 2:] * d[pos, 2:].clamp(max=4).exp()
        pred = box_cxcywh_to_xyxy(torch.cat([centre, size], 1))
        losses.append(focal + (1 - giou(pred, g[which[pos]]).diag()).mean() + F.smooth_l1_loss(pred, g[which[pos]], beta=1 / 9) * 0.01)
    loss = torch.stack(losses).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, f"{loss.item():.5f}", int(pos.sum()), f"{head.cls.bias.grad.abs().sum().item():.5f}")
with torch.no_grad():
    logits, deltas = head(fpn(images))
    scores, cls = logits[0].sigmoid().max(1)
    boxes = box_cxcywh_to_xyxy(torch.cat([anchors[:, :2] + deltas[0, :, :2] * anchors[:, 2:], anchors[:, 2:] * deltas[0, :, 2:].exp()], 1)).clamp(0, 32)
    top = scores.topk(40).indices
    keep = nms(boxes[top] + cls[top, None] * 100, scores[top], 0.5)
    print(len(keep), boxes[top][keep][:3], scores[top][keep][:3])
dec = nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2, 12, 0.0, batch_first=True), 2, nn.LayerNorm(6))
queries, cls_head, box_head = nn.Embedding(4, 6), nn.Linear(6, 3), nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 4))
memory = fpn(images)[1].flatten(2).transpose(1, 2)
hs = dec(queries.weight.expand(2, -1, -1), memory)
out, box = cls_head(hs), box_head(hs).sigmoid()
total = 0
for o, b, g, c in zip(out, box, gt, labels):
    n = torch.stack([(g[:, 0] + g[:, 2]) / 2, (g[:, 1] + g[:, 3]) / 2, g[:, 2] - g[:, 0], g[:, 3] - g[:, 1]], 1) / 32
    with torch.no_grad():
        cost = torch.cdist(b, n, p=1) * 5 - o.softmax(-1)[:, c] - giou(box_cxcywh_to_xyxy(b), box_cxcywh_to_xyxy(n)) * 2
    pick = min(itertools.permutations(range(4), len(n)), key=lambda p: sum(cost[i, j].item() for j, i in enumerate(p)))
    target = torch.full((4,), 2)
    target[list(pick)] = c
    total = total + F.cross_entropy(o, target, torch.tensor([1.0, 1.0, 0.1])) + F.l1_loss(b[list(pick)], n, reduction="sum")
total.backward()
print(f"{total.item():.5f}", pick, queries.weight.grad.norm().item())


def roi_align(feat, boxes, out, scale):
    x = torch.linspace(0, 1, 2 * out + 1)[1::2]
    g = boxes * scale
    xs = g[:, 0, None] + x * (g[:, 2] - g[:, 0])[:, None]
    ys = g[:, 1, None] + x * (g[:, 3] - g[:, 1])[:, None]
    grid = torch.stack([xs[:, None, :].expand(-1, out, -1) / feat.size(-1) * 2 - 1, ys[:, :, None].expand(-1, -1, out) / feat.size(-2) * 2 - 1], -1)
    return F.grid_sample(feat.expand(len(boxes), -1, -1, -1), grid, align_corners=False, padding_mode="border")


print(roi_align(fpn(images[:1])[0].detach(), gt[0], 2, 0.25)[:, 0])
conf, hit = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]), torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0])
tp = hit[conf.argsort(descending=True)].cumsum(0)
prec, rec = tp / torch.arange(1, 6), tp / 4
prec = prec.flip(0).cummax(0).values.flip(0)
print(torch.trapezoid(prec, rec), (torch.diff(rec, prepend=torch.zeros(1)) * prec).sum())
