"""Metrics against scikit-learn's, fed in uneven batches."""
import math

import pytest

import rustorch_py as torch
from rustorch_py import nn
from rustorch_py.training import metrics


def batches(n=101, classes=4, seed=0):
    generator = torch.Generator()
    generator.manual_seed(seed)
    output = torch.randn(n, classes, generator=generator)
    target = torch.randint(0, classes, (n,), generator=generator)
    return output, target, [(output[i:i + 17], target[i:i + 17]) for i in range(0, n, 17)]


def fed(metric, parts):
    for output, target in parts:
        metric.update(output, target)
    return metric.compute()


def test_classes_against_sklearn():
    reference = pytest.importorskip("sklearn.metrics")
    output, target, parts = batches()
    y, p = target.numpy(), output.argmax(1).numpy()
    assert fed(metrics.Accuracy(), parts) == pytest.approx(reference.accuracy_score(y, p))
    assert fed(metrics.Precision(), parts) == pytest.approx(reference.precision_score(y, p, average="macro"))
    assert fed(metrics.Recall(), parts) == pytest.approx(reference.recall_score(y, p, average="macro"))
    assert fed(metrics.F1(), parts) == pytest.approx(reference.f1_score(y, p, average="macro"))
    assert fed(metrics.Accuracy(top_k=2), parts) == pytest.approx(reference.top_k_accuracy_score(y, output.numpy(), k=2))
    confusion = metrics.ConfusionMatrix()
    assert fed(confusion, parts) == pytest.approx(reference.accuracy_score(y, p))
    assert confusion.matrix().tolist() == reference.confusion_matrix(y, p).tolist()


def test_numbers_against_sklearn():
    reference = pytest.importorskip("sklearn.metrics")
    output, _, _ = batches(classes=1)
    target = output * 0.7 + 3.0 + 0.1 * torch.sin(10 * output)
    parts = [(output[i:i + 17], target[i:i + 17]) for i in range(0, 101, 17)]
    y, p = target.numpy().ravel(), output.numpy().ravel()
    assert fed(metrics.MeanSquaredError(), parts) == pytest.approx(reference.mean_squared_error(y, p), rel=1e-5)
    assert fed(metrics.MeanAbsoluteError(), parts) == pytest.approx(reference.mean_absolute_error(y, p), rel=1e-5)
    assert fed(metrics.R2Score(), parts) == pytest.approx(reference.r2_score(y, p), rel=1e-5)


def test_binary_thresholds():
    target = torch.tensor([1.0, 0.0, 1.0, 0.0])
    logits = torch.tensor([[0.2], [-0.1], [-3.0], [2.0]])
    assert fed(metrics.Accuracy("binary", threshold=0.0), [(logits, target)]) == 0.5
    assert fed(metrics.Accuracy("binary"), [(torch.tensor([0.9, 0.1, 0.8, 0.7]), target)]) == 0.75
    with pytest.raises(ValueError, match="fit"):
        metrics.Accuracy("binary").update(torch.zeros(3), torch.zeros(4))


def test_segmentation_shapes():
    output = torch.randn(2, 3, 4, 5)
    target = output.argmax(1)
    assert fed(metrics.Accuracy(), [(output, target)]) == 1.0
    assert fed(metrics.ConfusionMatrix(), [(output, target)]) == 1.0


@pytest.mark.parametrize("criterion, output, target, threshold", [
    (nn.CrossEntropyLoss(), torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), 0.5),
    (nn.functional.cross_entropy, torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), 0.5),
    (lambda o, t: o.sum(), torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), 0.5),
    (nn.BCEWithLogitsLoss(), torch.zeros(2), torch.zeros(2), 0.0),
    (nn.BCELoss(), torch.zeros(2), torch.zeros(2), 0.5),
])
def test_default_metric_of_a_classifier(criterion, output, target, threshold):
    metric, = metrics.default_metrics(criterion, output, target)
    assert metric.name == "accuracy" and metric.threshold == threshold


def test_no_default_metric_for_regression_and_soft_targets():
    assert metrics.default_metrics(nn.MSELoss(), torch.zeros(2, 3), torch.zeros(2, 3)) == []
    assert metrics.default_metrics(nn.CrossEntropyLoss(), torch.zeros(2, 3), torch.zeros(2, 3)) == []
    assert metrics.default_metrics(nn.MSELoss(), (torch.zeros(2),), torch.zeros(2)) == []


def test_state_survives():
    output, target, parts = batches()
    for make in (metrics.Accuracy, metrics.F1, metrics.R2Score, metrics.Mean):
        if make is metrics.Mean:
            feed = [(2.0, 3), (1.0, 1)]
        elif make is metrics.R2Score:
            feed = [(o[:, 0], o[:, 1]) for o, _ in parts]
        else:
            feed = parts
        whole = make()
        fed(whole, feed)
        first, second = make(), make()
        fed(first, feed[:1])
        second.load_state_dict(first.state_dict())
        assert fed(second, feed[1:]) == whole.compute()


def test_empty_is_nan_and_names_resolve():
    for name in metrics.NAMED:
        assert math.isnan(metrics.get(name).compute())
    with pytest.raises(ValueError, match="unknown metric"):
        metrics.get("acuracy")
    with pytest.raises(TypeError):
        metrics.get(3)
    assert metrics.get(metrics.F1).name == "f1"
