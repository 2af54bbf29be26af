#!/usr/bin/env python3
"""Fits bits = floor + size / N^p + text / D^q to a table of runs and prints constants and residuals.

usage: scripts/fit_law.py [docs/scaling-runs.tsv]

Columns (tab-separated, a line of names first): name, parameters, tokens, bits_per_byte, ...; lines
that begin with # are left out.  For each pair of powers on a grid, floor, size and text come from
least squares with Huber's weights, none of them below 0; the best pair is refined.  A few small
runs do not settle the powers, so these are drawn to those of Besiroglu et al. 2024 (0.348 and 0.366,
fitted to Hoffmann's 240 runs), as if one run more said so with a spread of 0.05.  Leaving each run
out in turn gives the range of each constant.  Only Python's own library is used.
"""
import math
import sys

HUBER = 0.01  # relative error beyond which a run counts less
POWERS, SPREAD = (0.348, 0.366), 0.05  # what powers are expected, and how firmly


def read(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file
                 if line.strip() and not line.startswith("#")]
    at = {name: i for i, name in enumerate(lines[0])}
    return [(row[at["name"]], float(row[at["parameters"]]), float(row[at["tokens"]]),
             float(row[at["bits_per_byte"]])) for row in lines[1:]]


def solve(matrix, right):
    """Gaussian elimination of a small symmetric system."""
    n = len(right)
    rows = [list(matrix[i]) + [right[i]] for i in range(n)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        if abs(rows[i][i]) < 1e-300:
            return None
        for r in range(n):
            if r != i:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i])]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def weighted(features, values, weights, chosen):
    system = [[sum(w * f[i] * f[j] for f, w in zip(features, weights)) for j in chosen]
              for i in chosen]
    right = [sum(w * f[i] * v for f, v, w in zip(features, values, weights)) for i in chosen]
    return solve(system, right)


def linear(features, values):
    """Huber's least squares of relative errors, coefficients not below 0."""
    weights = [1 / v ** 2 for v in values]
    best = None
    for _ in range(20):
        chosen = [0, 1, 2]
        while chosen:
            found = weighted(features, values, weights, chosen)
            if found and min(found) >= 0:
                break
            chosen.remove(chosen[found.index(min(found))] if found else chosen[-1])
        if not chosen:
            return None
        best = [0.0] * 3
        for i, value in zip(chosen, found):
            best[i] = value
        errors = [abs(math.log(sum(a * b for a, b in zip(best, f)) / v))
                  for f, v in zip(features, values)]
        weights = [min(1, HUBER / e if e else 1) / v ** 2 for e, v in zip(errors, values)]
    loss = sum(e * e / 2 if e < HUBER else HUBER * (e - HUBER / 2) for e in errors)
    return loss, best


def fit(runs):
    def attempt(p, q):
        features = [(1, n ** -p, d ** -q) for _, n, d, _ in runs]
        found = linear(features, [bits for *_, bits in runs])
        if not found:
            return math.inf, p, q, None
        away = ((p - POWERS[0]) ** 2 + (q - POWERS[1]) ** 2) / SPREAD ** 2
        return found[0] + HUBER ** 2 / 2 * away, p, q, found[1]

    grid = [0.1 + 0.02 * i for i in range(31)]
    best = min((attempt(p, q) for p in grid for q in grid), key=lambda x: x[0])
    step = 0.01
    while step > 1e-4:
        _, p, q, _ = best
        around = [attempt(p + i * step, q + j * step) for i in (-1, 0, 1) for j in (-1, 0, 1)
                  if p + i * step > 0.02 and q + j * step > 0.02]
        better = min(around, key=lambda x: x[0])
        if better[0] < best[0]:
            best = better
        else:
            step /= 2
    _, p, q, (floor, size, text) = best
    return {"floor": floor, "size": size, "size_power": p, "text": text, "text_power": q}


def predict(law, n, d):
    return law["floor"] + law["size"] / n ** law["size_power"] + law["text"] / d ** law["text_power"]


def main():
    runs = read(sys.argv[1] if len(sys.argv) > 1 else "docs/scaling-runs.tsv")
    if len(runs) < 6:
        sys.exit(f"{len(runs)} runs: five constants need at least 6")
    law = fit(runs)
    print(f"{len(runs)} runs, {min(r[1] for r in runs):.3g} to {max(r[1] for r in runs):.3g} "
          f"parameters, {min(r[2] for r in runs):.3g} to {max(r[2] for r in runs):.3g} tokens")
    parts = [fit(runs[:i] + runs[i + 1:]) for i in range(len(runs))]
    for name, value in law.items():
        low, high = min(p[name] for p in parts), max(p[name] for p in parts)
        print(f"{name:11} {value:.4g}   ({low:.4g} to {high:.4g} with one run left out)")
    print(f"{'name':16} {'parameters':>11} {'tokens':>11} {'measured':>8} {'law':>7} {'error':>7}"
          f" {'left out':>8}")
    squares = 0
    for (name, n, d, bits), part in zip(runs, parts):
        error = predict(law, n, d) / bits - 1
        apart = predict(part, n, d) / bits - 1
        squares += error * error
        print(f"{name:16} {n:11.4g} {d:11.4g} {bits:8.4f} {predict(law, n, d):7.4f} {error:+7.2%}"
              f" {apart:+8.2%}")
    print(f"root mean square error {math.sqrt(squares / len(runs)):.2%}")


if __name__ == "__main__":
    main()
