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


def step(model, x_shape, y_shape, loss=cross_entropy, method="Adam", lr=1e-3, decay=0.0, clipping=None, words=None):
    """A maker of the step that learning.training takes; classes and words are whole numbers below `words`, or below 10 where features are given."""
    init, forward = model

    def make(m):
        import jax
        key = jax.random.PRNGKey(0)
        weights = init(jax, key)
        x = jax.random.randint(key, x_shape, 0, words) if words else jax.random.normal(key, x_shape)
        y = jax.random.normal(key, y_shape) if loss is squares else jax.random.randint(key, y_shape, 0, words or 10)
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
