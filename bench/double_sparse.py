#!/usr/bin/python3
"""Two sparse factors: structnet's fits and double sparse factorisation at equal nonzeros, one after the other on one core.

Needs python3-numpy. Prints a table of relative errors and seconds of processor time; with features also the errors of the outputs, means over
four random halves of the features that fit while the other halves judge.

Double sparse factorisation, W ~ A B with few nonzeros, is written from the description in Boza and Macko, Two sparse matrices are better than one: sparsifying neural networks with
double sparse factorization, arXiv 2409.18850. The factor on the smaller side of W is square and starts as the identity, the
other one as W's largest entries. In turn each is solved for with the other one fixed, by STEPS steps of ADMM from where the
last round left it, in units that give the fixed factor's atoms unit norm; the pattern is chosen in the first CHOICES.

What the description leaves open is set to what did best of what was tried on heads of MobileNets: the penalty of the
choosing steps grows by equal factors from FIRST_PENALTY to 1, so that patterns move much at first, and the square factor has
SQUARE_SHARE of the nonzeros.

With features the error is that of the outputs, by their moment matrix, shrunk as in approx/weighting.h: the best of what
was tried.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

STEPS, CHOICES = 5, 2
FIRST_PENALTY, SQUARE_SHARE = 0.1, 0.4
SHRINKAGE, ALIGNMENT = 0.85, 0.5
RIDGE = 1e-3  # keeps systems regular where the penalty is 0


def keep(x, count):
    """The mask of the count entries of largest magnitude."""
    sizes = np.abs(x).ravel()
    if count >= sizes.size:
        return np.ones(x.shape, bool)
    return np.abs(x) > np.partition(sizes, sizes.size - count - 1)[sizes.size - count - 1]


class Identity:
    """Where each row of a factor is a problem of its own."""

    def solver(self, gram, penalty):
        inverse = np.linalg.inv(gram + np.float32(penalty + RIDGE) * np.eye(len(gram), dtype=np.float32))
        return lambda right: inverse @ right

    def times(self, x):
        return x


class Moment:
    """Where rows are coupled by a moment matrix N: G X N + penalty X is solved for by the eigenvectors of both."""

    def __init__(self, matrix):
        self.matrix = matrix
        self.values, self.vectors = np.linalg.eigh(matrix)

    def solver(self, gram, penalty):
        values, vectors = np.linalg.eigh(gram)
        scale = 1 / (np.maximum(values, 0)[:, None] * np.maximum(self.values, 0) + np.float32(penalty + RIDGE))
        return lambda right: vectors @ ((vectors.T @ right @ self.vectors) * scale) @ self.vectors.T

    def times(self, x):
        return x @ self.matrix


class Factor:
    """Z, inner x n, of count nonzeros, and the dual of ADMM beside it."""

    def __init__(self, start, count, moment):
        self.z, self.dual, self.count, self.moment = start, np.zeros_like(start), count, moment

    def solve(self, other, other_moment, target, penalty):
        """A round for min ||target - other^T Z||, the norm weighted on both sides."""
        weighted = other_moment.times(other)
        norms = np.sqrt(np.sum(weighted * other, 1, keepdims=True)) + np.float32(1e-8)
        gram = weighted @ other.T / norms / norms.T
        goal = self.moment.times(weighted @ target) / norms
        z, dual = self.z * norms, self.dual * norms
        for step in range(STEPS):
            if step in (0, CHOICES):
                rho = np.float32(penalty if step < CHOICES else 1)
                apply = self.moment.solver(gram, rho)
            x = apply(goal + rho * (z - dual))
            if step < CHOICES:
                mask = keep(x + dual, self.count)
            z = mask * (x + dual)
            dual = dual + x - z
        self.z, self.dual = z / norms, dual / norms


def factorise(w, count, rounds, moment):
    """The product of both factors."""
    scale = np.sqrt(np.diag(moment)) if moment is not None else np.ones(w.shape[1], np.float32)
    sides = [Identity(), Identity() if moment is None else Moment(moment / scale[:, None] / scale)]
    v, flip = w * scale, w.shape[0] > w.shape[1]
    if flip:
        v, sides = v.T, sides[::-1]
    n_square = min(int(SQUARE_SHARE * count), len(v) ** 2)
    square = Factor(np.eye(len(v), dtype=np.float32), n_square, sides[0])
    wide = Factor(keep(v, count - n_square) * v, count - n_square, sides[1])
    for round in range(rounds):
        penalty = FIRST_PENALTY ** (1 - round / max(1, rounds - 1))
        square.solve(wide.z, sides[1], v.T, penalty)
        wide.solve(square.z, sides[0], v, penalty)
    product = square.z.T @ wide.z
    return (product.T if flip else product) / scale


def shrunk_moment(w, x, shrinkage, alignment):
    """(1 - shrinkage) of the covariance of x, the rest of the identity and of W^T W, all of equal trace."""
    n = w.shape[1]

    def unit(rows):
        gram = np.cov(rows, rowvar=False)
        return gram * n / np.trace(gram)

    target = (1 - alignment) * np.eye(n) + alignment * unit(w)
    return ((1 - shrinkage) * unit(x) + shrinkage * target).astype(np.float32)


def theirs(path, count, rounds, features, seed):
    """Error and output error by double sparse factorisation."""
    w = np.load(path).astype(np.float32)
    if not features:
        what = factorise(w, count, rounds, None)
        return np.linalg.norm(w - what) / np.linalg.norm(w), np.nan
    x = np.random.default_rng(seed).permutation(np.load(features).astype(np.float32))
    half = len(x) // 2
    what = factorise(w, count, rounds, shrunk_moment(w, x[:half], SHRINKAGE, ALIGNMENT))
    judge = x[half:] - x[half:].mean(0)
    return (np.linalg.norm(w - what) / np.linalg.norm(w),
            np.linalg.norm(judge @ (w - what).T) / np.linalg.norm(judge @ w.T))


def ours(path, count, effort, features, seed):
    command = ["build/structnet", "approx", "--matrix", path, "--type", "psm", "--factors", "2", "--params", str(count),
               "--effort", effort, "--json"]
    if features:
        command += ["--features", features, "--holdout", "0.5", "--seed", str(seed)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    if report["params"] > count:
        sys.exit(f"{path}: {report['params']} values, expected at most {count}")
    return report["error"], report.get("output_error", np.nan)


def measure(fit, seeds):
    """The means of what fit gives for the seeds, and of its seconds of processor time."""
    def seconds():
        return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])

    start = seconds()
    errors = np.mean([fit(seed) for seed in seeds], 0)
    return [*errors, (seconds() - start) / len(seeds)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("matrices", nargs="+", metavar="W.npy[,X.npy]", help="outputs x inputs, features for it")
    parser.add_argument("--effort", default="normal", help="of structnet approx (default: normal)")
    parser.add_argument("--rounds", type=int, default=40, help="of double sparse factorisation (default: 40)")
    parser.add_argument("--densities", type=float, nargs="+", default=[0.1, 0.2, 0.5])
    options = parser.parse_args()
    print("matrix", "density", "error", "output error", "seconds", "their error", "their output error", "their seconds",
          "ratio", sep="\t")
    for matrix in options.matrices:
        path, _, features = matrix.partition(",")
        for density in options.densities:
            count = int(density * np.load(path, mmap_mode="r").size)
            seeds = range(4 if features else 1)
            row = measure(lambda seed: ours(path, count, options.effort, features, seed), seeds)
            row += measure(lambda seed: theirs(path, count, options.rounds, features, seed), seeds)
            cells = ["" if np.isnan(x) else f"{x:.4f}" if k % 3 < 2 else f"{x:.1f}" for k, x in enumerate(row)]
            judged = 1 if features else 0
            print(os.path.basename(path).removesuffix(".npy").removesuffix(".weights"), density, *cells,
                  f"{row[judged] / row[3 + judged]:.3f}", sep="\t", flush=True)


if __name__ == "__main__":
    main()
