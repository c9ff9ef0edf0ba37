"""What a profile holds: events, their sums by name, the table."""
from __future__ import annotations


class FunctionEvent:
    """One call of an operator.

    Attributes:
        name: the operator, a gradient node's name, or the label of a `record_function`.
        start_ns, time_ns, self_time_ns: start (since the profile began), duration, duration without inner operators.
        memory, self_memory: bytes that the call left allocated; without what inner operators left.
        shapes: shapes of the tensor arguments, when recorded.
        thread: number of the thread. depth: how many operators were under way around it.
        stack: Python lines, innermost first, when recorded. flops: floating-point operations inside, when counted.
    """

    __slots__ = ("name", "start_ns", "time_ns", "self_time_ns", "memory", "self_memory", "shapes", "thread", "depth", "stack", "flops")

    def __init__(self, name, start_ns, thread, depth, shapes=None):
        self.name, self.start_ns, self.thread, self.depth, self.shapes = name, start_ns, thread, depth, shapes
        self.time_ns = self.self_time_ns = 0
        self.memory = self.self_memory = self.flops = 0
        self.stack = []

    @property
    def device_type(self):
        """The kind of device that did the work."""
        from ._schedule import DeviceType
        return DeviceType.CPU

    @property
    def cpu_time(self):
        """Duration in microseconds."""
        return self.time_ns / 1000

    cpu_time_total = cpu_time

    @property
    def self_cpu_time_total(self):
        """Duration without inner operators, in microseconds."""
        return self.self_time_ns / 1000

    def __repr__(self):
        return f"FunctionEvent({self.name}, {_time(self.cpu_time)})"


class FunctionEventAvg:
    """The calls of one operator (and, when grouped so, one set of input shapes) summed up. Times in microseconds."""

    def __init__(self, key, input_shapes=None):
        self.key = key
        self.input_shapes = input_shapes
        self.count = self.flops = 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = self.self_cpu_memory_usage = 0

    @property
    def cpu_time(self):
        """Mean duration of a call in microseconds."""
        return self.cpu_time_total / self.count if self.count else 0.0

    def add(self, event):
        """Take in one event."""
        self.count += 1
        self.flops += event.flops
        self.cpu_time_total += event.time_ns / 1000
        self.self_cpu_time_total += event.self_time_ns / 1000
        self.cpu_memory_usage += event.memory
        self.self_cpu_memory_usage += event.self_memory

    def __repr__(self):
        return f"FunctionEventAvg({self.key}: {self.count} calls, {_time(self.cpu_time_total)})"


_SORT = {"self_cpu_time_total": "self_cpu_time_total", "cpu_time_total": "cpu_time_total", "cpu_time": "cpu_time", "count": "count",
         "cpu_memory_usage": "cpu_memory_usage", "self_cpu_memory_usage": "self_cpu_memory_usage"}


class EventList(list):
    """A list of summed events that can print itself."""

    @property
    def self_cpu_time_total(self):
        """All time spent in operators, in microseconds."""
        return sum(row.self_cpu_time_total for row in self)

    def total_average(self):
        """Return one event that sums all rows."""
        total = FunctionEventAvg("Total")
        for row in self:
            total.count += row.count
            total.flops += row.flops
            total.cpu_time_total += row.cpu_time_total
            total.self_cpu_time_total += row.self_cpu_time_total
            total.cpu_memory_usage += row.cpu_memory_usage
            total.self_cpu_memory_usage += row.self_cpu_memory_usage
        return total

    def table(self, sort_by=None, row_limit=100, max_name_column_width=55):
        """Return the rows as text.

        Args:
            sort_by: "self_cpu_time_total", "cpu_time_total", "cpu_time", "count", "cpu_memory_usage" or
                "self_cpu_memory_usage", largest first; None keeps the order of first calls.
            row_limit: how many rows to print; -1: all.
            max_name_column_width: longer names are cut.
        """
        rows = list(self)
        if sort_by is not None:
            if sort_by not in _SORT:
                raise ValueError(f"table: sort_by must be one of {', '.join(_SORT)}, got {sort_by!r}")
            rows.sort(key=lambda row: getattr(row, _SORT[sort_by]), reverse=True)
        shown = rows if row_limit < 0 else rows[:row_limit]
        total = self.self_cpu_time_total
        shapes = any(row.input_shapes is not None for row in shown)
        head = ["Name", "Self CPU %", "Self CPU", "CPU total", "CPU time avg", "CPU Mem", "Self CPU Mem", "# of Calls"]
        flops = any(row.flops for row in shown)
        head += ["FLOPs"] * flops + ["Input Shapes"] * shapes
        cells = []
        for row in shown:
            name = row.key if len(row.key) <= max_name_column_width else row.key[:max_name_column_width - 3] + "..."
            share = 100 * row.self_cpu_time_total / total if total else 0.0
            cells.append([name, f"{share:.2f}%", _time(row.self_cpu_time_total), _time(row.cpu_time_total), _time(row.cpu_time),
                          _memory(row.cpu_memory_usage), _memory(row.self_cpu_memory_usage), str(row.count)]
                         + [f"{row.flops:,}"] * flops + [str(row.input_shapes)] * shapes)
        width = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
        rule = "  ".join("-" * w for w in width)
        lines = [rule, "  ".join(h.rjust(w) if i else h.ljust(w) for i, (h, w) in enumerate(zip(head, width))), rule]
        lines += ["  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(line, width))) for line in cells]
        lines.append(rule)
        if len(shown) < len(rows):
            lines.append(f"{len(rows) - len(shown)} more rows")
        lines.append(f"Self CPU time total: {_time(total)}")
        return "\n".join(lines) + "\n"

    def __str__(self):
        return self.table()


def _time(us):
    return f"{us / 1e6:.3f}s" if us >= 1e6 else f"{us / 1e3:.3f}ms" if us >= 1e3 else f"{us:.3f}us"


def _memory(nbytes):
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(nbytes) >= size:
            return f"{nbytes / size:.2f} {unit}"
    return f"{nbytes} B"
