"""The console script `rustorch`: `rustorch train`, `rustorch launch`, `rustorch bench`, `rustorch warm` and `rustorch info`.

Exit codes: 0 done; 1 the run failed; 2 wrong usage, or data, a checkpoint or a dependency that is not
usable (one line on stderr says which); 130 stopped by Ctrl-C or SIGTERM.
"""
from __future__ import annotations

import os
import sys

__all__ = ["main"]


def _parser():
    import argparse

    from .. import _version

    parser = argparse.ArgumentParser(prog="rustorch", description="Train networks with rustorch_py.")
    parser.add_argument("--version", action="version", version=f"rustorch_py {_version.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser(
        "train", help="train a classifier on digits or on your own data",
        description="Train a classifier and leave model, checkpoints, history and pictures in a folder.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""data:
  digits                     1,797 real images that scikit-learn ships (pip install rustorch_py[demo])
  FOLDER                     MNIST-format files (train-images-idx3-ubyte, ..., plain or .gz), or one folder
                             of images a class (needs pillow), if wished under train/ and test/
  IMAGES LABELS              two MNIST-format files
  FILE.csv                   a row a sample; --label names the column with the class
  FILE.npz                   arrays x and y, or x_train, y_train, x_test, y_test

Without a test part, 20 % of each class are held out and never trained on.
Ctrl-C saves a checkpoint; `rustorch train --resume FOLDER` goes on with the same numbers.""")
    data = train.add_argument_group("data")
    data.add_argument("--data", nargs="+", metavar="DATA", help="what to train on, see below")
    data.add_argument("--label", metavar="COLUMN", help="CSV: name or number (from 0) of the class column; default: "
                      "label, target, class or y, else the last")
    data.add_argument("--image-size", type=_positive, metavar="N", help="image folders: scale all images to N×N")
    data.add_argument("--held-out", type=_share, metavar="SHARE", help="share of each class to hold out (default 0.2)")
    model = train.add_argument_group("model and training")
    model.add_argument("--model", metavar="NAME", help="cnn, mlp, linear, or module:Class (default: cnn for images, "
                       "mlp for tables)")
    model.add_argument("--model-args", metavar="JSON", help='arguments of module:Class, as in \'{"hidden": 64}\'')
    model.add_argument("--epochs", type=_positive, help="default 20")
    model.add_argument("--batch-size", type=_positive, help="default 64")
    model.add_argument("--lr", type=_above_zero, help="highest learning rate (default 0.003)")
    model.add_argument("--optimizer", choices=("adamw", "adam", "sgd"), help="default adamw")
    model.add_argument("--schedule", choices=("cosine", "constant"), help="of the learning rate (default cosine)")
    model.add_argument("--weight-decay", type=_not_negative, help="default 0.01")
    model.add_argument("--clip-norm", type=_above_zero, help="greatest norm of the gradients")
    model.add_argument("--patience", type=_positive, metavar="EPOCHS", help="stop after EPOCHS without a better "
                       "held-out loss")
    model.add_argument("--seed", type=int, help="of weights, order, dropout and held-out part (default 0)")
    run = train.add_argument_group("run")
    run.add_argument("--device", help="cpu, cuda, cuda:0, metal (default cpu)")
    run.add_argument("--threads", type=_positive, help="CPU threads")
    run.add_argument("--out", metavar="FOLDER", help="where the results go (default runs/DATA-MODEL)")
    run.add_argument("--resume", nargs="?", const=True, metavar="PATH", help="go on from a run's folder or a checkpoint file; "
                     "without PATH, from the folder that --out or --data and --model name")
    run.add_argument("--no-pictures", action="store_true", help="draw no pictures")

    launch = commands.add_parser(
        "launch", help="start a program on several ranks under MPI",
        description="Start a program on several ranks under mpirun, and again if a rank fails: a Trainer with a checkpoint_dir then goes on from its "
        "last checkpoint. Needs an MPI: pip install 'rustorch_py[mpi]'.")
    launch.add_argument("-n", "--ranks", type=_positive, metavar="N", help="how many (default: the cores of this machine)")
    launch.add_argument("--hosts", metavar="HOSTS", help="machines and their ranks, as mpirun takes them: a:4,b:4")
    launch.add_argument("--max-restarts", type=_count, default=0, metavar="N", help="how often to start again after a failure (default 0)")
    launch.add_argument("--pause", type=_not_negative, default=1.0, metavar="SECONDS", help="before a new start (default 1)")
    launch.add_argument("-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE ...", help="run a module of Python's path, with its arguments")
    launch.add_argument("program", nargs=argparse.REMAINDER, metavar="PROGRAM ...", help="Python program and its arguments")

    bench = commands.add_parser(
        "bench", help="measure every row of the benchmark suite beside PyTorch",
        description="Time the rows of benchmarks/ beside PyTorch, NumPy and, where installed, JAX, MLX and tinygrad, in turns; check every result "
        "against PyTorch's first.")
    bench.add_argument("--quick", action="store_true", help="beside PyTorch only, shorter, without the heaviest rows")
    bench.add_argument("--family", nargs="+", metavar="FAMILY", help="only these families")
    bench.add_argument("--only", metavar="REGEX", help="only rows whose name matches")
    bench.add_argument("--peers", action="store_true", help="only rows in which JAX, MLX or tinygrad take part")
    bench.add_argument("--threads", type=_positive, help="threads of every library (default: the cores of this process)")
    bench.add_argument("--out", metavar="FOLDER", help="write CPU.json, .md and .png there; rows of an older file from the same machine, versions "
                       "and threads are kept")
    bench.add_argument("--list", action="store_true", help="name the rows and stop")

    warm = commands.add_parser(
        "warm", help="compile CUDA kernels ahead of the first program",
        description="Compile the CUDA kernels that most programs launch and keep them on disk (RUSTORCH_CACHE_DIR), so that none of them is compiled "
        "when a program first needs it. With --arch no GPU is needed: for images of containers.")
    warm.add_argument("--arch", nargs="+", metavar="ARCH", help="architectures, such as sm_90 (default: those of this machine's GPUs)")
    warm.add_argument("--processes", type=_positive, metavar="N", help="how many compile at once (default: the cores of this process)")
    warm.add_argument("--only", metavar="REGEX", help="only files whose label matches, such as 'softmax|float32'")

    commands.add_parser("info", help="tell version, instruction set, threads, BLAS, devices and extras",
                        description="Tell what this installation is and what it can use.")
    return parser


def _number(convert, fits, wanted):
    def parse(text):
        import argparse
        try:
            value = convert(text)
        except ValueError:
            value = None
        if value is None or not fits(value):
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")
        return value
    return parse


_positive = _number(int, lambda v: v > 0, "a whole number above 0")
_count = _number(int, lambda v: v >= 0, "a whole number of at least 0")
_above_zero = _number(float, lambda v: 0 < v < float("inf"), "a number above 0")
_not_negative = _number(float, lambda v: 0 <= v < float("inf"), "a number of at least 0")
_share = _number(float, lambda v: 0 < v < 1, "a number between 0 and 1")


def main(argv=None):
    """Run the console script and return its exit code.

    Args:
        argv: arguments without the program's name; None takes those of the process.
    """
    arguments = _parser().parse_args(argv)
    from ..errors import DataError, DeviceError, MissingDependencyError
    try:
        if arguments.command == "train":
            from ._train import run
        elif arguments.command == "launch":
            from ._launch import run
        elif arguments.command == "bench":
            from ._bench import run
        elif arguments.command == "warm":
            from ._warm import run
        else:
            from ._info import run
        code = run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of our output went away (`rustorch info | head`); nothing is wrong with the run.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (DataError, DeviceError, MissingDependencyError, OSError) as error:
        print(f"rustorch: error: {_one_line(error)}", file=sys.stderr)
        return 2
    except ArithmeticError as error:
        print(f"rustorch: error: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"\nrustorch: {_one_line(stop) or 'interrupted'}", file=sys.stderr)
        return 130


def _one_line(error):
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
