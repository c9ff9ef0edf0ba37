"""Every loss with typical arguments, values and gradients; metrics by hand."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
x, t = torch.randn(4, 5, requires_grad=True), torch.randn(4, 5)
labels, multi = torch.tensor([1, 0, 4, 2]), torch.randint(0, 2, (4, 5)).float()
sign = torch.tensor([1.0, -1.0, 1.0, -1.0])
e1, e2, e3 = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3), torch.randn(4, 3)
cases = {
    "mse": lambda: nn.MSELoss()(x, t), "mse sum": lambda: nn.MSELoss(reduction="sum")(x, t), "l1": lambda: nn.L1Loss()(x, t), "smooth": lambda: nn.SmoothL1Loss(beta=0.5)(x, t), "huber": lambda: nn.HuberLoss(delta=0.7)(x, t),
    "ce": lambda: nn.CrossEntropyLoss()(x, labels), "ce weight": lambda: nn.CrossEntropyLoss(weight=torch.rand(5), ignore_index=0)(x, labels), "ce soft": lambda: nn.CrossEntropyLoss(label_smoothing=0.2)(x, t.softmax(1)), "ce none": lambda: nn.CrossEntropyLoss(reduction="none")(x, labels).sum(),
    "nll": lambda: nn.NLLLoss()(x.log_softmax(1), labels), "bce": lambda: nn.BCELoss(weight=torch.rand(5))(x.sigmoid(), multi), "bcel": lambda: nn.BCEWithLogitsLoss(pos_weight=torch.ones(5) * 3)(x, multi), "kl": lambda: nn.KLDivLoss(reduction="batchmean")(x.log_softmax(1), t.softmax(1)),
    "kl log": lambda: F.kl_div(x.log_softmax(1), t.log_softmax(1), log_target=True, reduction="sum"), "poisson": lambda: nn.PoissonNLLLoss(full=True)(x, t.abs()), "gauss": lambda: nn.GaussianNLLLoss(full=True)(x, t, t.abs() + 0.1), "hinge": lambda: nn.HingeEmbeddingLoss(margin=2.0)(x[:, 0], sign),
    "rank": lambda: nn.MarginRankingLoss(margin=0.1)(x[:, 0], x[:, 1], sign), "cos": lambda: nn.CosineEmbeddingLoss(margin=0.2)(e1, e2, sign), "triplet": lambda: nn.TripletMarginLoss(margin=1.0, p=2, swap=True)(e1, e2, e3),
    "triplet d": lambda: nn.TripletMarginWithDistanceLoss(distance_function=lambda a, b: 1 - F.cosine_similarity(a, b))(e1, e2, e3), "soft": lambda: nn.SoftMarginLoss()(x, multi * 2 - 1), "ml": lambda: nn.MultiLabelSoftMarginLoss()(x, multi), "mm": lambda: nn.MultiMarginLoss(p=2)(x, labels),
    "mlm": lambda: nn.MultiLabelMarginLoss()(x, torch.tensor([[3, 0, -1, 1, 1]] * 4)), "adaptive": lambda: nn.AdaptiveLogSoftmaxWithLoss(5, 6, [2, 4])(x, labels).loss, "focal": lambda: ((1 - (p := x.softmax(1).gather(1, labels[:, None]))) ** 2 * -p.log()).mean(), "infonce": lambda: F.cross_entropy(F.normalize(e1) @ F.normalize(e2).T / 0.07, torch.arange(4)),
    "ce 3d": lambda: F.cross_entropy(x.view(2, 2, 5).permute(0, 2, 1), labels.view(2, 2)), "nll none": lambda: F.nll_loss(x.log_softmax(1), labels, reduction="none").std(), "reduce": lambda: F.l1_loss(x, t, reduction="none").amax(),
}
for name, fn in cases.items():
    x.grad = e1.grad = None
    v = fn()
    v.backward()
    g = x.grad if x.grad is not None else e1.grad
    print(name, f"{v.item():.5f} {g.abs().sum().item():.5f}", v.dtype, v.shape, v.grad_fn is not None)
for bad in (lambda: nn.BCELoss()(x, multi), lambda: nn.CrossEntropyLoss()(x, labels.float()), lambda: nn.NLLLoss()(x, labels[:2]), lambda: F.mse_loss(x, t, reduction="bad"), lambda: nn.CrossEntropyLoss()(x, torch.tensor([9, 0, 0, 0])), lambda: F.binary_cross_entropy(x.sigmoid(), multi[:2]), lambda: nn.CTCLoss()(x, labels, 1, 1), lambda: nn.TripletMarginLoss(margin=-1), lambda: F.kl_div(x, t, reduction="what")):
    try:
        print(bad())
    except Exception as err:
        print("!", *[c.__name__ for c in type(err).__mro__ if c.__module__ == "builtins"])
pred = x.argmax(1)
conf = torch.zeros(5, 5, dtype=torch.long).index_put_((labels, pred), torch.tensor(1), accumulate=True)
print(conf, (pred == labels).float().mean(), conf.diag().sum() / conf.sum(), x.topk(3, 1).indices.eq(labels[:, None]).any(1).float().mean())
