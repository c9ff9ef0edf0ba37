"""The models of learning.py in JAX: weights in a dictionary, a forward function, a training step compiled as one function."""


def dense(jax, key, inside, outside):
    return {"w": jax.random.normal(key, (inside, outside)) * inside ** -0.5, "b": jax.numpy.zeros(outside)}


def apply(layer, x):
    return x @ layer["w"] + layer["b"]


def mlp(sizes, hidden="relu", last=None):
    """(weights of a key, forward) of a perceptron."""
    def init(jax, key):
        return [dense(jax, k, a, b) for k, a, b in zip(jax.random.split(key, len(sizes)), sizes, sizes[1:])]

    def forward(m, weights, x):
        for layer in weights[:-1]:
            x = getattr(m, hidden)(apply(layer, x))
        x = apply(weights[-1], x)
        return getattr(m, last)(x) if last else x
    return init, forward


def lenet():
    def init(jax, key):
        keys = jax.random.split(key, 5)
        filters = [{"w": jax.random.normal(k, s) * 0.1, "b": jax.numpy.zeros((s[0], 1, 1))} for k, s in zip(keys, ((6, 1, 5, 5), (16, 6, 5, 5)))]
        return filters, [dense(jax, k, a, b) for k, a, b in zip(keys[2:], (400, 120, 84), (120, 84, 10))]

    def forward(m, weights, x):
        filters, layers = weights
        for layer, padding in zip(filters, (2, 0)):
            x = m.max_pool2d(m.relu(m.conv2d(x, layer["w"], padding=padding) + layer["b"]), 2)
        x = x.reshape(x.shape[0], -1)
        for layer in layers[:-1]:
            x = m.relu(apply(layer, x))
        return apply(layers[-1], x)
    return init, forward


def gpt(layers=4, width=128, heads=4, words=256, length=64):
    def norm(jax):
        return {"w": jax.numpy.ones(width), "b": jax.numpy.zeros(width)}

    def init(jax, key):
        keys = iter(jax.random.split(key, 4 * layers + 3))
        blocks = [{"ln1": norm(jax), "ln2": norm(jax), "qkv": dense(jax, next(keys), width, 3 * width), "out": dense(jax, next(keys), width, width),
                   "up": dense(jax, next(keys), width, 4 * width), "down": dense(jax, next(keys), 4 * width, width)} for _ in range(layers)]
        return {"words": jax.random.normal(next(keys), (words, width)), "places": jax.random.normal(next(keys), (length, width)), "blocks": blocks,
                "ln": norm(jax), "head": dense(jax, next(keys), width, words)["w"]}

    def forward(m, weights, x):
        b, n = x.shape

        def normal(layer, x):
            return m.layer_norm(x, (width,), layer["w"], layer["b"])
        y = weights["words"][x] + weights["places"][:n]
        for block in weights["blocks"]:
            q, k, v = (a.reshape(b, n, heads, -1).swapaxes(1, 2) for a in m.split(apply(block["qkv"], normal(block["ln1"], y)), 3, -1))
            y = y + apply(block["out"], m.scaled_dot_product_attention(q, k, v, is_causal=True).swapaxes(1, 2).reshape(b, n, width))
            y = y + apply(block["down"], m.gelu(apply(block["up"], normal(block["ln2"], y))))
        return normal(weights["ln"], y) @ weights["head"]
    return init, forward


def cross_entropy(m, out, y):
    return m.cross_entropy(out.reshape(-1, out.shape[-1]), y.reshape(-1))


def squares(m, out, y):
    return ((out - y) ** 2).mean()


def step(model, x_shape, y_shape, loss=cross_entropy, method="Adam", lr=1e-3, decay=0.0, clipping=None, words=None, classes=None):
    """A maker of the step that learning.training takes; words are whole numbers below `words`, targets below `classes`, or `words`, or 10 where features are given."""
    init, forward = model

    def make(m):
        import jax
        key = jax.random.PRNGKey(0)
        weights = init(jax, key)
        x = jax.random.randint(key, x_shape, 0, words) if words else jax.random.normal(key, x_shape)
        y = jax.random.normal(key, y_shape) if loss is squares else jax.random.randint(key, y_shape, 0, classes or words or 10)
        tree = jax.tree.map

        @jax.jit
        def update(weights, moments, k, x, y):
            value, grads = jax.value_and_grad(lambda w: loss(m, forward(m, w, x), y))(weights)
            if clipping:
                norm = m.sqrt(sum((g * g).sum() for g in jax.tree.leaves(grads)))
                grads = tree(lambda g: g * m.minimum(1.0, clipping / (norm + 1e-6)), grads)
            if method == "SGD":
                return tree(lambda w, g: w - lr * g, weights, grads), moments, k, value
            k = k + 1
            first = tree(lambda a, g: 0.9 * a + 0.1 * g, moments[0], grads)
            second = tree(lambda a, g: 0.999 * a + 0.001 * g * g, moments[1], grads)
            weights = tree(lambda w, a, b: w * (1 - lr * decay) - lr * (a / (1 - 0.9 ** k)) / (m.sqrt(b / (1 - 0.999 ** k)) + 1e-8), weights, first, second)
            return weights, (first, second), k, value

        zeros = tree(m.zeros_like, weights)
        box = [(weights, (zeros, zeros), m.zeros(()))]

        def run():
            *box[0], value = update(*box[0], x, y)
            return value
        return run
    return make


def inference(model, x_shape, words=None):
    init, forward = model

    def make(m):
        import jax
        key = jax.random.PRNGKey(0)
        weights = init(jax, key)
        x = jax.random.randint(key, x_shape, 0, words) if words else jax.random.normal(key, x_shape)
        run = jax.jit(lambda weights, x: forward(m, weights, x))
        return lambda: run(weights, x)
    return make


def norm(jax, channels):
    return {"w": jax.numpy.ones((channels, 1, 1)), "b": jax.numpy.zeros((channels, 1, 1)), "mean": jax.numpy.zeros((channels, 1, 1)), "var": jax.numpy.ones((channels, 1, 1))}


def evaluated_norm(m, layer, x):
    return (x - layer["mean"]) * (layer["w"] / m.sqrt(layer["var"] + 1e-5)) + layer["b"]


def batch_norm(m, layer, x):
    """Of a training step; the running statistics, which a step's result does not need, are not kept."""
    return m.nn.functional.batch_norm(x, None, None, layer["w"][:, 0, 0], layer["b"][:, 0, 0], True)


def filters(jax, key, outside, inside, side):
    return jax.random.normal(key, (outside, inside, side, side)) * (2 / (inside * side * side)) ** 0.5


def resnet(training=False):
    normal = batch_norm if training else evaluated_norm
    blocks = ((16, 16, 1), (16, 32, 2), (32, 64, 2))

    def init(jax, key):
        keys = iter(jax.random.split(key, 12))
        weights = {"first": filters(jax, next(keys), 16, 3, 3), "norm": norm(jax, 16), "head": dense(jax, next(keys), 64, 10), "blocks": []}
        for a, b, stride in blocks:
            weights["blocks"].append({"conv1": filters(jax, next(keys), b, a, 3), "norm1": norm(jax, b), "conv2": filters(jax, next(keys), b, b, 3), "norm2": norm(jax, b)})
            if stride == 2:
                weights["blocks"][-1].update(short=filters(jax, next(keys), b, a, 1), norm3=norm(jax, b))
        return weights

    def forward(m, weights, x):
        x = m.relu(normal(m, weights["norm"], m.conv2d(x, weights["first"], padding=1)))
        for block, (_, _, stride) in zip(weights["blocks"], blocks):
            y = m.relu(normal(m, block["norm1"], m.conv2d(x, block["conv1"], stride=stride, padding=1)))
            y = normal(m, block["norm2"], m.conv2d(y, block["conv2"], padding=1))
            x = m.relu(y + (normal(m, block["norm3"], m.conv2d(x, block["short"], stride=2)) if stride == 2 else x))
        return apply(weights["head"], x.mean((2, 3)))
    return init, forward


def vgg():
    widths = (3, 16, 16, 32, 32, 64, 64)

    def init(jax, key):
        keys = jax.random.split(key, 7)
        return {"layers": [(filters(jax, k, b, a, 3), norm(jax, b)) for k, a, b in zip(keys, widths, widths[1:])], "head": dense(jax, keys[6], 64, 10)}

    def forward(m, weights, x):
        for i, (w, layer) in enumerate(weights["layers"]):
            x = m.relu(evaluated_norm(m, layer, m.conv2d(x, w, padding=1)))
            if i in (1, 3):
                x = m.max_pool2d(x, 2)
        return apply(weights["head"], x.mean((2, 3)))
    return init, forward


def recurrent(kind, inside, size):
    """(weights of a key, forward of inputs batch first) of one layer: the inputs' product for all steps at once, then a scan."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]

    def init(jax, key):
        key, other = jax.random.split(key)
        return {"in": dense(jax, key, inside, gates * size), "hidden": dense(jax, other, size, gates * size)}

    def forward(m, weights, x):
        from jax import lax
        hidden = weights["hidden"]

        def lstm(state, x):
            h, c = state
            i, f, g, o = m.split(x + apply(hidden, h), 4, -1)
            c = m.sigmoid(f) * c + m.sigmoid(i) * m.tanh(g)
            h = m.sigmoid(o) * m.tanh(c)
            return (h, c), h

        def gru(state, x):
            h, = state
            (r, z, n), (hr, hz, hn) = m.split(x, 3, -1), m.split(apply(hidden, h), 3, -1)
            r, z = m.sigmoid(r + hr), m.sigmoid(z + hz)
            h = (1 - z) * m.tanh(n + r * hn) + z * h
            return (h,), h

        def rnn(state, x):
            h = m.tanh(x + apply(hidden, state[0]))
            return (h,), h
        start = m.zeros((x.shape[0], size))
        state = (start, start) if kind == "LSTM" else (start,)
        return lax.scan({"LSTM": lstm, "GRU": gru, "RNN": rnn}[kind], state, apply(weights["in"], x).swapaxes(0, 1))[1]
    return init, forward


def tagger(kind):
    cell_init, cell = recurrent(kind, 128, 128)

    def init(jax, key):
        keys = jax.random.split(key, 3)
        return {"embed": jax.random.normal(keys[0], (1000, 128)), "cell": cell_init(jax, keys[1]), "head": dense(jax, keys[2], 128, 10)}

    def forward(m, weights, x):
        return apply(weights["head"], cell(m, weights["cell"], weights["embed"][x])[-1])
    return init, forward


def multihead(width, heads):
    def init(jax, key):
        first, second = jax.random.split(key)
        return {"qkv": dense(jax, first, width, 3 * width), "out": dense(jax, second, width, width)}

    def forward(m, weights, x):
        b, n, _ = x.shape
        q, k, v = (a.reshape(b, n, heads, -1).swapaxes(1, 2) for a in m.split(apply(weights["qkv"], x), 3, -1))
        return apply(weights["out"], m.scaled_dot_product_attention(q, k, v).swapaxes(1, 2).reshape(x.shape))
    return init, forward


def encoder(width, heads, inner):
    attention_init, attention = multihead(width, heads)

    def init(jax, key):
        keys = jax.random.split(key, 3)
        ones = {"w": jax.numpy.ones(width), "b": jax.numpy.zeros(width)}
        return {"attention": attention_init(jax, keys[0]), "up": dense(jax, keys[1], width, inner), "down": dense(jax, keys[2], inner, width), "ln1": ones, "ln2": ones}

    def forward(m, weights, x):
        def normal(layer, x):
            return m.layer_norm(x, (width,), layer["w"], layer["b"])
        x = normal(weights["ln1"], x + attention(m, weights["attention"], x))
        return normal(weights["ln2"], x + apply(weights["down"], m.relu(apply(weights["up"], x))))
    return init, forward


def gradients(model, x_shape):
    """A maker of the gradients of all weights for the sum of the result."""
    init, forward = model

    def make(m):
        import jax
        key = jax.random.PRNGKey(0)
        weights, x = init(jax, key), jax.random.normal(key, x_shape)
        run = jax.jit(jax.grad(lambda weights, x: forward(m, weights, x).sum()))
        return lambda: run(weights, x)
    return make


def normals(jax, shapes):
    return [jax.random.normal(jax.random.PRNGKey(i), shape) for i, shape in enumerate(shapes)]


def optimizer(method, shapes, options):
    """A maker of one optimizer step over all parameters; parameters and states are given up to the step, which may write in place."""
    momentum, decay, lr = options.get("momentum", 0.0), 0.01 if method == "AdamW" else 0.0, options["lr"]
    first, second = 0.9, 0.999

    def rule(m, k, w, g, a, b):
        if method == "SGD":
            a = momentum * a + g if momentum else a
            return w - lr * (a if momentum else g), a, b
        if method == "RMSprop":
            b = 0.99 * b + 0.01 * g * g
            return w - lr * g / (m.sqrt(b) + 1e-8), a, b
        if method == "Adagrad":
            b = b + g * g
            return w - lr * g / (m.sqrt(b) + 1e-10), a, b
        a = first * a + (1 - first) * g
        if method == "Adamax":
            b = m.maximum(second * b, m.abs(g) + 1e-8)
            return w - lr / (1 - first ** k) * a / b, a, b
        b = second * b + (1 - second) * g * g
        spread = m.sqrt(b / (1 - second ** k)) + 1e-8
        if method == "NAdam":                # Dozat 2016 without the warm-up of the momentum
            return w - lr * (first * a / (1 - first ** (k + 1)) + (1 - first) * g / (1 - first ** k)) / spread, a, b
        return w * (1 - lr * decay) - lr * (a / (1 - first ** k)) / spread, a, b

    def make(m):
        import jax
        keeps = {"SGD": int(momentum > 0), "RMSprop": 2, "Adagrad": 2}.get(method, 3)       # bits: first moment, second

        def update(k, weights, firsts, seconds, grads):
            k = k + 1
            done = [rule(m, k, *entry) for entry in zip(weights, grads, firsts, seconds)]
            return k, [w for w, _, _ in done], [a for _, a, _ in done] if keeps & 1 else firsts, [b for _, _, b in done] if keeps & 2 else seconds
        step = jax.jit(update, donate_argnums=(0, 1, 2, 3))
        weights, grads = normals(jax, shapes), [0.01 * g for g in normals(jax, shapes)]
        none = [0.0] * len(shapes)
        box = [(m.zeros(()), weights, [m.zeros_like(w) for w in weights] if keeps & 1 else none, [m.zeros_like(w) for w in weights] if keeps & 2 else none)]

        def run():
            box[0] = step(*box[0], grads)
            return box[0]
        return run
    return make


def clipper(shapes):
    def make(m):
        import jax

        @jax.jit
        def run(grads):
            norm = m.sqrt(sum((g * g).sum() for g in grads))
            return norm, [g * m.minimum(1.0, 1e9 / (norm + 1e-6)) for g in grads]
        grads = normals(jax, shapes)
        return lambda: run(grads)
    return make
