"""What every use of a module pays for, without Python frames: calling it, walking its parameters."""
from cpython.object cimport PyObject, PyTypeObject, ternaryfunc
from ...tensor._base cimport TensorBase, grad_mode
from ...tensor._function cimport unwatched
from ...tensor._gemm cimport RT_ACT_RELU, RT_ACT_GELU, ACT_GELU_ERF
from ...tensor._matmul cimport linear_act
from ...tensor._ops cimport profiling

cdef extern from *:
    """
    #define MOST_ARGUMENTS 8
    static PyObject *name_forward, *name_getattribute, *plain_getattribute, *name_hooks[4];
    static Py_hash_t hash_hooks[4];

    static int take_names(void) {
        static const char *const hooks[4] = {"_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"};
        for (int i = 0; i < 4; i++) {
            name_hooks[i] = PyUnicode_InternFromString(hooks[i]);
            if (!name_hooks[i]) return -1;
            hash_hooks[i] = PyObject_Hash(name_hooks[i]);
        }
        name_forward = PyUnicode_InternFromString("forward");
        name_getattribute = PyUnicode_InternFromString("__getattribute__");
        if (!name_forward || !name_getattribute) return -1;
        plain_getattribute = _PyType_Lookup(&PyBaseObject_Type, name_getattribute);      /* borrowed; lives as long as the type */
        return 0;
    }

    static inline int filled(PyObject *hooks) { return PyDict_Check(hooks) ? PyDict_GET_SIZE(hooks) > 0 : PyObject_IsTrue(hooks); }

    /* Whether there are hooks in the module's dictionary or in the dictionaries of all modules; -1: an error. */
    static int is_hooked(PyObject *own, PyObject *module, PyObject *shared) {
        for (int i = 0; i < 4; i++) {
            PyObject *hooks = _PyDict_GetItem_KnownHash(own, name_hooks[i], hash_hooks[i]);
            int found;
            if (!hooks) {
                if (!PyErr_Occurred())
                    PyErr_Format(PyExc_AttributeError, "'%.200s' object has no attribute '%U'; call super().__init__() first",
                                 Py_TYPE(module)->tp_name, name_hooks[i]);
                return -1;
            }
            found = filled(hooks);
            if (found) return found;
        }
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(shared); i++) {
            int found = filled(PyTuple_GET_ITEM(shared, i));
            if (found) return found;
        }
        return 0;
    }

    /* module.forward(*args), called without a bound method or a second tuple; `own` is the module's dictionary. Found like any
     * attribute: a function of the class is taken as it is where neither the instance nor __getattribute__ has a say. */
    static PyObject *call_forward(PyObject *module, PyObject *own, PyObject *args) {
        PyObject *room[MOST_ARGUMENTS + 2], **line = room + 1, *found, *result;      /* the callee may use line[-1] */
        Py_ssize_t n = PyTuple_GET_SIZE(args);
        PyTypeObject *type = Py_TYPE(module);
        line[0] = module;
        for (Py_ssize_t i = 0; i < n; i++) line[i + 1] = PyTuple_GET_ITEM(args, i);
        found = _PyType_Lookup(type, name_forward);
        if (!found || !PyFunction_Check(found) || _PyType_Lookup(type, name_getattribute) != plain_getattribute || PyDict_Contains(own, name_forward))
            return PyObject_VectorcallMethod(name_forward, line, (size_t)(n + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_INCREF(found);
        result = PyObject_Vectorcall(found, line, (size_t)(n + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_DECREF(found);
        return result;
    }

    /* A descriptor that puts `fn` into the slot of calls itself, for the class and those derived from it, as `like` (of another
     * type's slot, type.__call__) does there. A __call__ of Python code would cost a look-up, a tuple and a dictionary. */
    static PyObject *slot_of_calls(PyObject *type, PyObject *like, ternaryfunc fn) {
        if (Py_TYPE(like) != &PyWrapperDescr_Type) return PyErr_Format(PyExc_TypeError, "slot_of_calls: %R is no slot's descriptor", like);
        return PyDescr_NewWrapper((PyTypeObject *)type, ((PyWrapperDescrObject *)like)->d_base, (void *)fn);
    }

    /* Whether the class has the very functions of `walk` under `names`, and its modules are equal to themselves alone. */
    static int walks_alike(PyTypeObject *type, PyObject *names, PyObject *walk) {
        if (type->tp_hash != PyBaseObject_Type.tp_hash) return 0;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++)
            if (_PyType_Lookup(type, PyTuple_GET_ITEM(names, i)) != PyTuple_GET_ITEM(walk, i)) return 0;
        return 1;
    }

    static inline int has_member(PyTypeObject *type, PyObject *name) { return _PyType_Lookup(type, name) != NULL; }

    /* A dictionary whose items PyDict_Next gives in their order: an OrderedDict keeps its own. */
    static inline int in_order(PyObject *d) { return PyDict_Check(d) && !PyODict_Check(d); }

    /* Objects seen, by address: few in place, many in a table that is at most half full. */
    typedef struct { size_t n, mask; PyObject **slots, *few[64]; } PtrSet;

    static void ptr_begin(PtrSet *s) {
        s->n = 0;
        s->mask = 63;
        s->slots = s->few;
        memset(s->few, 0, sizeof s->few);
    }
    static void ptr_end(PtrSet *s) { if (s->slots != s->few) PyMem_Free(s->slots); }
    static inline size_t ptr_slot(const PtrSet *s, PyObject *x) {
        size_t i = ((size_t)x >> 4) * (size_t)0x9E3779B97F4A7C15u >> 20 & s->mask;
        while (s->slots[i] && s->slots[i] != x) i = (i + 1) & s->mask;
        return i;
    }

    /* 1: new, 0: there before, -1: no memory. */
    static int ptr_add(PtrSet *s, PyObject *x) {
        size_t i = ptr_slot(s, x);
        if (s->slots[i]) return 0;
        s->slots[i] = x;
        if (2 * ++s->n <= s->mask) return 1;
        PyObject **old = s->slots, **room = PyMem_Calloc(2 * (s->mask + 1), sizeof *room);
        size_t size = s->mask + 1;
        if (!room) { PyErr_NoMemory(); return -1; }
        s->slots = room;
        s->mask = 2 * size - 1;
        for (i = 0; i < size; i++)
            if (old[i]) room[ptr_slot(s, old[i])] = old[i];
        if (old != s->few) PyMem_Free(old);
        return 1;
    }
    """
    ctypedef struct PtrSet:
        pass
    void ptr_begin(PtrSet *s)
    void ptr_end(PtrSet *s)
    bint ptr_add(PtrSet *s, PyObject *x) except -1
    bint in_order(PyObject *d)
    int MOST_ARGUMENTS
    int take_names() except -1
    bint is_hooked(object own, object module, tuple shared) except -1
    object call_forward(object module, object own, tuple args)
    object slot_of_calls(object type, object like, ternaryfunc fn)
    bint walks_alike(PyTypeObject *type, tuple names, tuple walk)
    bint has_member(PyTypeObject *type, str name)

cdef extern from "Python.h":
    object PyObject_GenericGetDict(object o, void *context)
    PyObject *PyDict_GetItemWithError(object d, object key) except? NULL
    bint PyDict_Next(PyObject *d, Py_ssize_t *at, PyObject **key, PyObject **value)
    PyTypeObject *Py_TYPE(object o)

take_names()

# Hooks of all modules: module.py's own dictionaries, handed over below.
cdef tuple shared = ()


def share_hooks(*hooks):
    """Take the dictionaries of the hooks that every module has."""
    global shared
    shared = hooks


cdef object call_slot(object self, PyObject *args, PyObject *kwargs):
    cdef object own = PyObject_GenericGetDict(self, NULL)
    cdef tuple given = <tuple>args
    if is_hooked(own, self, shared):
        return self._call_with_hooks(given, {} if kwargs is NULL else dict(<dict>kwargs))
    if kwargs is not NULL and <dict>kwargs:
        return self.forward(*given, **<dict>kwargs)
    if len(given) > MOST_ARGUMENTS:
        return self.forward(*given)
    return call_forward(self, own, given)


def call(self, *args, **kwargs):
    """Call ``forward``, by way of the hooks where there are some."""
    return call_slot(self, <PyObject *>args, <PyObject *>kwargs)


def answer_calls(kind):
    """Make instances of a class, and of those derived from it, answer calls by ``call``."""
    kind.__call__ = slot_of_calls(kind, type.__dict__["__call__"], <ternaryfunc>call_slot)


# ---- Note [Linear and what follows] ---------------------------------------------------------------------------
# A Sequential whose Linear is followed by ReLU or GELU has both done in one pass where nobody can tell, and so has the feed-forward part of the
# transformer's layers: both are modules of these very classes without hooks, nothing is recorded, and no autocast, mode, overriding class or
# profile watches. Gradients are left to the two operators: the graph stays PyTorch's, and ReLU's derivative reads what both forms keep.
cdef object linear_class = None, linear_forward = None
cdef dict followers = {}                   # class -> (its forward, its option's name or None, {what the option is: activation})
cdef dict functions = {}                   # function -> activation


def fuse_linear(linear, relu, gelu, relu_function, gelu_function):
    """Take the classes of affine layers and of the activations that are done with them, and the activations as functions."""
    global linear_class, linear_forward
    linear_class, linear_forward = linear, linear.forward
    followers[relu] = (relu.forward, None, {None: RT_ACT_RELU})
    functions[relu_function], functions[gelu_function] = RT_ACT_RELU, ACT_GELU_ERF
    followers[gelu] = (gelu.forward, "approximate", {"none": ACT_GELU_ERF, "tanh": RT_ACT_GELU})


def linear_then(linear, activation, x):
    """Return activation(linear(x))."""
    try:
        act = functions.get(activation)
    except TypeError:                      # of an activation that has no hash
        act = None
    if act is not None and type(linear) is linear_class and unwatched() and not profiling() and is_plain(linear, linear_forward):
        y = one_pass(linear, act, x)
        if y is not None:
            return y
    return activation(linear(x))


cdef bint is_plain(object module, object forward) except -1:
    """Whether the module's call is its class's forward, unchanged, and nothing else."""
    own = PyObject_GenericGetDict(module, NULL)
    return type(module).forward is forward and "forward" not in own and not is_hooked(own, module, shared)


cdef object both(object linear, object follower, object x):
    """follower(linear(x)) in one pass, or None."""
    cdef object known = followers.get(type(follower))
    if known is None or not unwatched() or profiling():
        return None
    forward, option, values = <tuple>known
    if option is not None:
        option = getattr(follower, option)
        if not isinstance(option, str):
            return None
    act = (<dict>values).get(option)
    if act is None or not is_plain(linear, linear_forward) or not is_plain(follower, forward):
        return None
    return one_pass(linear, act, x)


# ---- Note [Chains] -------------------------------------------------------------------------------------
# In evaluation a convolution, the batch normalization behind it and a ReLU behind that are one pass: the normalization is a factor and a
# shift of each channel, computed from the modules' tensors as they are in each call, so nothing can grow old. That holds for the very
# classes, without hooks, with the forward that came with them. Whatever is otherwise takes the modules one by one.
cdef dict convolutions = {}             # class -> (spatial dimensions, its forward)
cdef dict normalizations = {}
cdef object relu_class, relu_forward, tensor_class, parameter_class, conv_and_rest


def share_layers(dict convs, dict norms, relu, tensor, parameter, fused):
    """Take the classes that a chain puts together, and the function that does their work."""
    global relu_class, relu_forward, tensor_class, parameter_class, conv_and_rest
    for kind, n in convs.items():
        convolutions[kind] = (n, kind.forward)
    for kind, n in norms.items():
        normalizations[kind] = (n, kind.forward)
    relu_class, relu_forward, tensor_class, parameter_class, conv_and_rest = relu, relu.forward, tensor, parameter, fused


cdef bint is_tensor(object t):
    return t is None or type(t) is tensor_class or type(t) is parameter_class


cdef object one_pass(object linear, int act, object x):
    """act(linear(x)), or None: a class of its own has a say in the call, or :func:`linear_act` leaves it to the two."""
    weight, bias = linear.weight, linear.bias
    return linear_act(x, weight, bias, act) if is_tensor(x) and is_tensor(weight) and is_tensor(bias) else None


cdef object chain(list line, Py_ssize_t i, tuple kind, object input, Py_ssize_t *took):
    """The result of the modules from i on, as many as are one pass (`took`); NotImplemented: none."""
    cdef Py_ssize_t n = len(line), end = i + 1
    cdef dict conv = <dict?>PyObject_GenericGetDict(line[i], NULL), own
    cdef object tensors, stats
    cdef object norm, mean = None, var = None, gamma = None, beta = None, following = line[end], weight, bias
    cdef double eps = 0.0
    cdef bint cut = False
    try:
        tensors = conv["_parameters"]
        if conv["padding_mode"] != "zeros" or type(input) is not tensor_class or not is_plain(line[i], kind[1]):
            return NotImplemented
        weight, bias = tensors["weight"], tensors["bias"]
        if weight is None or not is_tensor(weight) or not is_tensor(bias) or (<TensorBase>weight).rg and grad_mode():
            return NotImplemented
        norm = normalizations.get(type(following))
        if norm is not None:
            own = <dict?>PyObject_GenericGetDict(following, NULL)
            if norm[0] != kind[0] or own["training"] or not is_plain(following, norm[1]):
                return NotImplemented
            eps = own["eps"]
            tensors, stats = own["_parameters"], own["_buffers"]
            gamma, beta, mean, var = tensors["weight"], tensors["bias"], stats["running_mean"], stats["running_var"]
            if mean is None or var is None or eps < 0 or not (is_tensor(gamma) and is_tensor(beta) and is_tensor(mean) and is_tensor(var)):
                return NotImplemented
            end += 1
            following = line[end] if end < n else None
        if type(following) is relu_class and is_plain(following, relu_forward):
            cut = True
            end += 1
        if end == i + 1:
            return NotImplemented
        stride, padding, dilation, groups = conv["stride"], conv["padding"], conv["dilation"], conv["groups"]
    except KeyError:                               # a module without one of its attributes: its forward tells
        return NotImplemented
    took[0] = end - i
    return conv_and_rest(kind[0], input, weight, bias, stride, padding, dilation, groups, mean, var, gamma, beta, eps, cut)


def pass_through(modules, x):
    """Pass x through the values of a dictionary of modules, one after the other."""
    cdef list line = list(modules.values())
    cdef Py_ssize_t i = 0, n = len(line), took = 0
    while i < n:
        module = line[i]
        if i + 1 < n:
            kind = convolutions.get(type(module))
            if kind is not None:
                y = chain(line, i, kind, x, &took)
                if y is not NotImplemented:
                    x = y
                    i += took
                    continue
            elif type(module) is linear_class:
                y = both(module, line[i + 1], x)
                if y is not None:
                    x = y
                    i += 2
                    continue
        x = module(x)
        i += 1
    return x


cdef tuple WALK = ("named_parameters", "_named_members", "named_modules")


cdef list entries(object d):
    """The values of a dictionary that are not None."""
    return [value for value in d.values() if value is not None]


cdef bint take_parameter(object parameter, PtrSet *seen, list out) except -1:
    if parameter is not None and ptr_add(seen, <PyObject *>parameter):
        out.append(parameter)
    return True


cdef bint members_of(object module, tuple walk, PyObject **parameters, PyObject **children) except -1:
    """The dictionaries of a module's own parameters and children (borrowed); False when its class walks its own way."""
    if not walks_alike(Py_TYPE(module), WALK, walk):
        return False
    own = PyObject_GenericGetDict(module, NULL)
    parameters[0] = PyDict_GetItemWithError(own, "_parameters")
    children[0] = PyDict_GetItemWithError(own, "_modules")
    return parameters[0] is not NULL and children[0] is not NULL


cdef bint collect(object module, tuple walk, PtrSet *seen, list out) except -1:
    """Append the parameters of a module and those below it; False when a class walks its own way or says itself which modules are equal."""
    cdef PyObject *parameters
    cdef PyObject *children
    cdef PyObject *key
    cdef PyObject *value
    cdef Py_ssize_t at = 0
    if not members_of(module, walk, &parameters, &children):
        return False
    if in_order(parameters):
        while PyDict_Next(parameters, &at, &key, &value):
            take_parameter(<object>value, seen, out)
    else:
        for parameter in entries(<object>parameters):
            take_parameter(parameter, seen, out)
    if in_order(children):
        at = 0
        while PyDict_Next(children, &at, &key, &value):
            child = <object>value
            if child is not None and ptr_add(seen, value) and not collect(child, walk, seen, out):
                return False
    else:
        for child in entries(<object>children):
            if ptr_add(seen, <PyObject *>child) and not collect(child, walk, seen, out):
                return False
    return True


def all_parameters(module, tuple walk):
    """Return the parameters of a module and of all below it, each once; None when a class overrides the methods in `walk`
    (Module's ``named_parameters``, ``_named_members`` and ``named_modules``)."""
    cdef list out = []
    cdef PtrSet seen
    ptr_begin(&seen)
    try:
        ptr_add(&seen, <PyObject *>module)
        return out if collect(module, walk, &seen, out) else None
    finally:
        ptr_end(&seen)


cdef bint collect_named(object module, tuple walk, PtrSet *seen, str lead, list out) except -1:
    """`collect`, as pairs of dotted name and parameter; `lead` stands before each name."""
    cdef PyObject *parameters
    cdef PyObject *children
    if not members_of(module, walk, &parameters, &children):
        return False
    for name, value in list((<object>parameters).items()):
        if value is not None and ptr_add(seen, <PyObject *>value):
            out.append((lead + name, value))
    for name, value in list((<object>children).items()):
        if value is not None and ptr_add(seen, <PyObject *>value) and not collect_named(value, walk, seen, lead + name + ".", out):
            return False
    return True


def all_named_parameters(module, tuple walk, str prefix):
    """Return (dotted name, parameter) of a module and of all below it, each parameter once; None as in `all_parameters`."""
    cdef list out = []
    cdef PtrSet seen
    ptr_begin(&seen)
    try:
        ptr_add(&seen, <PyObject *>module)
        return out if collect_named(module, walk, &seen, prefix + "." if prefix else "", out) else None
    finally:
        ptr_end(&seen)


cdef tuple TRAIN = ("train", "children", "named_children", "__setattr__", "__getattribute__")


def set_training(module, bint mode, tuple walk):
    """Set the mode of a module and of all below it as ``Module.train`` does, without a call of Python for each.

    A module whose class has its own ``train`` (or another method of `walk`: Module's functions of the names in TRAIN) is asked.
    Returns False, with nothing done, where `module` is one itself.
    """
    cdef object own = PyObject_GenericGetDict(module, NULL), child
    cdef PyObject *children
    cdef PtrSet seen
    if not walks_alike(Py_TYPE(module), TRAIN, walk) or has_member(Py_TYPE(module), "training") or "train" in <dict>own or "children" in <dict>own:
        return False
    children = PyDict_GetItemWithError(own, "_modules")
    if children is NULL or type((<dict>own).get("training")) is not bool:      # not set yet, or a member's name
        return False
    (<dict>own)["training"] = True if mode else False
    if not len(<object>children):
        return True
    ptr_begin(&seen)
    try:
        for child in entries(<object>children):
            if ptr_add(&seen, <PyObject *>child) and not set_training(child, mode, walk):
                child.train(True if mode else False)
    finally:
        ptr_end(&seen)
    return True
