"""Double sparse factorisation of a matrix, to measure PSM fits against.

Usage: double_sparse.py W.npy DENSITY [--rounds 40]

Prints the relative error and the seconds. Source: Boza and Macko, Two sparse matrices are better than
one, arXiv 2409.18850, by its description: the factor on the smaller side is square and starts as the
identity, the other one as the largest entries; both are solved in turn by a few steps of ADMM, whose
mask is chosen in the first two and whose dual stays from turn to turn, columns normalised. The share
of the square factor and the penalties, which that leaves open, are those that did best on a few heads.
"""
import argparse
import time

import numpy as np

STEPS, MASK_STEPS, FIRST_PENALTY, PENALTY, SQUARE_SHARE = 5, 2, 0.3, 1, 0.4


def largest(values, count):
    """The mask of the count entries of largest magnitude."""
    size = np.abs(values).ravel()
    if count >= size.size:
        return np.ones(values.shape, bool)
    return np.abs(values) >= np.partition(size, size.size - count)[size.size - count]


def solve(a, w, b, dual, count):
    """min ||W - A B|| over B of count entries, from B and its dual. Returns both."""
    norms = np.linalg.norm(a, axis=0) + 1e-8
    gram, moment = a.T @ a / np.outer(norms, norms), a.T @ w / norms[:, None]
    unit = np.eye(len(gram), dtype=np.float32)
    z, dual = b * norms[:, None], dual * norms[:, None]
    for step in range(STEPS):
        if step < 2:
            penalty = PENALTY if step else FIRST_PENALTY
            inverse = np.linalg.inv(gram + penalty * unit)
        x = inverse @ (moment + penalty * (z - dual))
        if step < MASK_STEPS:
            mask = largest(x + dual, count)
        z = (x + dual) * mask
        dual = dual + x - z
    return z / norms[:, None], dual / norms[:, None]


def factorise(w, density, rounds):
    """A B ~ W, A square; W has no more rows than columns."""
    total = int(density * w.size)
    count_a = int(SQUARE_SHARE * total)
    count_b = total - count_a
    a, b = np.eye(len(w), dtype=np.float32), w * largest(w, count_b)
    dual_a, dual_b = np.zeros_like(a), np.zeros_like(b)
    for _ in range(rounds):
        transposed, dual = solve(b.T, w.T, a.T, dual_a.T, count_a)
        a, dual_a = transposed.T, dual.T
        b, dual_b = solve(a, w, b, dual_b, count_b)
    return a, b


def main():
    parser = argparse.ArgumentParser(description="Double sparse factorisation of a matrix.")
    parser.add_argument("matrix")
    parser.add_argument("density", type=float)
    parser.add_argument("--rounds", type=int, default=40)
    request = parser.parse_args()
    w = np.load(request.matrix).astype(np.float32)
    w = np.ascontiguousarray(w.T if w.shape[0] > w.shape[1] else w)
    start = time.process_time()
    a, b = factorise(w, request.density, request.rounds)
    seconds = time.process_time() - start
    print("%.4f\t%.1f" % (np.linalg.norm(w - a @ b) / np.linalg.norm(w), seconds))


if __name__ == "__main__":
    main()
