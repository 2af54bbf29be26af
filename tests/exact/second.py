#!/usr/bin/env python3
"""A second implementation of training, from docs/numerics.md alone: what `exact small` writes, bit by bit.

Plain Python floats are doubles; every operation here rounds to f32 by itself.  Slow on purpose: nothing is
shared with the program but the text.  usage: second.py >FILE"""
import math
import struct
import sys
from array import array
from fractions import Fraction

F = array("f", [0.0])
SMALLEST = 2.0 ** -126


def f32(s):
    """Rounds a double that is exact, or inexact far below the middle of two floats; flushes denormals."""
    if -2.0 ** -125 < s < 2.0 ** -125 and s != 0.0:
        F[0] = s * 2.0 ** 60
        return F[0] * 2.0 ** -60 if abs(F[0]) >= SMALLEST * 2.0 ** 60 else math.copysign(0.0, s)
    F[0] = s
    return F[0]


def settle(p, c, s):
    """p + c rounded to the double s, then to a float: s must not be in the middle of two by rounding."""
    bb = s - p
    e = (p - (s - bb)) + (c - bb)
    return f32(math.nextafter(s, math.inf if e > 0 else -math.inf)) if e else f32(s)


def fma(a, b, c):
    p = a * b
    s = p + c
    f = f32(s)
    d = s - f
    if d and not math.isinf(s) and f32(f + 2 * d) == f + 2 * d:
        return settle(p, c, s)
    return f


def chain(a, b, acc):
    for x, y in zip(a, b):
        p = x * y
        s = p + acc
        F[0] = s
        f = F[0]
        d = s - f
        if d:
            m = f + 2 * d
            F[0] = m
            if F[0] == m:
                f = settle(p, acc, s)
        if -2.0 ** -125 < s < 2.0 ** -125:
            f = fma(x, y, acc)
        acc = f
    return acc


def add(a, b): return f32(a + b)
def sub(a, b): return f32(a - b)
def mul(a, b): return f32(a * b)
def div(a, b): return f32(a / b)
def root(a): return f32(math.sqrt(a))
def bits_of(x): return struct.unpack("<I", struct.pack("<f", x))[0]
def of_bits(b): return struct.unpack("<f", struct.pack("<I", b & 0xFFFFFFFF))[0]


def narrow(x):
    b = bits_of(x)
    return of_bits((b + 0x7FFF + (b >> 16 & 1)) & 0xFFFF0000)


def tree(lanes):
    lanes = list(lanes)
    for half in (8, 4, 2, 1):
        lanes = [add(lanes[j], lanes[j + half]) for j in range(half)]
    return lanes[0]


def lane_sum(x, step):
    lanes = [0.0] * 16
    for i, value in enumerate(x):
        lanes[i % 16] = step(lanes[i % 16], value)
    return tree(lanes)


def values_sum(x): return lane_sum(x, add)
def squares_sum(x): return lane_sum(x, lambda lane, v: fma(v, v, lane))
def products_sum(x, y): return lane_sum(list(zip(x, y)), lambda lane, v: fma(v[0], v[1], lane))


def blocks_sum(x, kind):
    return values_sum([kind(x[i:i + 4096]) for i in range(0, len(x), 4096)])


# ---- functions ----

def horner(p, r, rest):
    p = f32(p)
    for c in rest:
        p = fma(p, r, f32(c))
    return p


def exp(x):
    if x < f32(-87.3365447):
        return 0.0
    if x > f32(88.7228394):
        return math.inf
    n = round(mul(x, f32(1.44269504)))
    r = fma(float(n), f32(2.12194440e-4), fma(float(n), -0.693359375, x))
    p = horner(1.9875691500e-4, r, (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1))
    p = add(1.0, fma(p, mul(r, r), r))
    return mul(mul(p, 2.0 ** (n >> 1)), 2.0 ** (n - (n >> 1)))


def log(x):
    b = bits_of(x) - 0x3F3504F3
    e = float(b >> 23)
    m = of_bits((b & 0x007FFFFF) + 0x3F3504F3)
    r = sub(m, 1.0)
    z = mul(r, r)
    p = horner(7.0376836292e-2, r, (-1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
                                    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1))
    y = fma(e, f32(-2.12194440e-4), mul(mul(p, r), z))
    return fma(e, 0.693359375, add(r, fma(z, -0.5, y)))


def sigmoid(x): return div(1.0, add(1.0, exp(sub(0.0, x))))


def sincos(x):
    q = round(mul(x, f32(0.636619772)))
    r = x
    for part in (-1.5703125, -4.837512969970703125e-4, -7.549789948768648e-8):
        r = fma(float(q), f32(part), r)
    z = mul(r, r)
    s = horner(-1.9515295891e-4, z, (8.3321608736e-3, -1.6666654611e-1))
    s = fma(mul(s, z), r, r)
    c = horner(2.443315711809948e-5, z, (-1.388731625493765e-3, 4.166664568298827e-2))
    c = fma(mul(c, z), z, fma(z, -0.5, 1.0))
    sine, cosine = (c, s) if q & 1 else (s, c)
    return -sine if q & 2 else sine, -cosine if (q + 1) & 2 else cosine


# ---- random numbers ----

def philox(seed, purpose, stream, index):
    c = [index & 0xFFFFFFFF, index >> 32, stream & 0xFFFFFFFF, stream >> 32]
    k = [seed & 0xFFFFFFFF, (seed >> 32 ^ purpose * 0x9E3779B9) & 0xFFFFFFFF]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, p0 >> 32 ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def below(seed, stream, index, n):
    word = philox(seed, 5, stream, index)
    return (word[1] << 32 | word[0]) * n >> 64


def normal(count, deviation, seed, stream):
    out = []
    for group in range((count + 31) // 32):
        sines, cosines = [], []
        for pair in range(16):
            word = philox(seed, 1, stream, group * 8 + pair // 2)
            v, w = word[pair % 2], word[2 + pair % 2]
            radius = mul(root(mul(-2.0, log(((v >> 8) + 1) * 2.0 ** -24))), f32(deviation))
            sine, cosine = sincos(mul((w >> 8) * 2.0 ** -24, f32(6.28318531)))
            cosines.append(mul(radius, cosine))
            sines.append(mul(radius, sine))
        out += cosines + sines
    return out[:count]


# ---- matrix products: vectors along the depth on both sides ----

def turned(x): return [list(column) for column in zip(*x)]


class Model:
    WIDTH, HEADS, SIZE, FFN, VOCABULARY, LENGTH = 64, 2, 64, 64, 30, 8

    def __init__(self, half, tied, norms, muon, steps, document):
        self.half, self.tied, self.norms, self.muon, self.steps = half, tied, norms, muon, steps
        self.first = [document if i >= document else 0 for i in range(self.LENGTH)]
        w, s, f, v = self.WIDTH, self.SIZE, self.FFN, self.VOCABULARY
        deviation = f32(f32(0.5) / root(float(w)))
        table = [("embedding", v, w, 0.02 if tied else 0.5), ("norm1", 1, w, None), ("q", 2 * s, w, deviation),
                 ("k", s, w, deviation), ("v", s, w, deviation)]
        table += [("qn", 1, s, None), ("kn", 1, s, None)] if norms else []
        table += [("o", w, 2 * s, 0), ("norm2", 1, w, None), ("gate", f, w, deviation), ("up", f, w, deviation),
                  ("down", w, f, 0), ("norm", 1, w, None)]
        table += [] if tied else [("head", v, w, 0)]
        self.names = [row[0] for row in table]
        self.w = {}
        for i, (name, rows, columns, spread) in enumerate(table):
            if spread is None:  # the test's own: no vector is 1, no matrix 0
                flat = [add(1.0, x) for x in normal(rows * columns, 0.3, 11, i)]
            elif spread:
                flat = normal(rows * columns, spread, 7, i)
            else:
                flat = normal(rows * columns, 0.1, 11, i)
            self.w[name] = [flat[r * columns:(r + 1) * columns] for r in range(rows)]
        self.moments = {name: ([[0.0] * len(r) for r in rows], [[0.0] * len(r) for r in rows])
                        for name, rows in self.w.items()}
        self.table = self.rotary_table()

    def operand(self, x): return [[narrow(v) for v in row] for row in x] if self.half else x
    def weight(self, *names): return self.operand([row for name in names for row in self.w[name]])

    def product(self, a, b, old=None, half=None):
        """out[i][j] = chain over a[i], b[j]; of bf16 each pair's odd element first."""
        if self.half if half is None else half:
            def order(row):
                row = row + [0.0] * (len(row) % 2)
                return [row[i ^ 1] for i in range(len(row))]
            a, b = [order(r) for r in a], [order(r) for r in b]
        return [[chain(x, y, old[i][j] if old else 0.0) for j, y in enumerate(b)] for i, x in enumerate(a)]

    # -- rows --

    def norm(self, x, weight):
        scale = [div(1.0, root(add(div(squares_sum(r), float(len(r))), f32(1e-5)))) for r in x]
        return [[mul(mul(v, c), w) for v, w in zip(r, weight)] for r, c in zip(x, scale)], scale

    def norm_back(self, grad_out, x, weight, scale, grad_weight):
        for g, r, c in zip(grad_out, x, scale):
            for j in range(len(r)):
                grad_weight[j] = fma(g[j], mul(r[j], c), grad_weight[j])
        out = []
        for grad, r, scale_of in zip(grad_out, x, scale):
            g = [mul(a, b) for a, b in zip(grad, weight)]
            c = mul(div(products_sum(g, r), float(len(r))), mul(mul(scale_of, scale_of), scale_of))
            out.append([fma(v, -c, mul(a, scale_of)) for v, a in zip(r, g)])
        return out

    def rotary_table(self):
        half = self.SIZE // 2

        def power(base, n):
            result = 1.0
            while n:
                result = result * base if n & 1 else result
                base = base * base if n > 1 else base
                n >>= 1
            return result
        low, high = 1.0, 10000.0
        while low < low + (high - low) / 2 < high:
            middle = low + (high - low) / 2
            low, high = (middle, high) if power(middle, half) < 10000.0 else (low, middle)
        table, divisor = [([], []) for _ in range(self.LENGTH)], 1.0
        for _ in range(half):
            for position in range(self.LENGTH):
                sine, cosine = sincos_double(position / divisor)
                table[position][0].append(f32(cosine))
                table[position][1].append(f32(sine))
            divisor = divisor * low
        return table

    def rotate(self, head, position, back):
        half, (cosines, sines) = self.SIZE // 2, self.table[position]
        out = [0.0] * self.SIZE
        for i in range(half):
            a, b, c = head[i], head[half + i], cosines[i]
            s = sub(0.0, sines[i]) if back else sines[i]
            out[i] = fma(b, sub(0.0, s), mul(a, c))
            out[half + i] = fma(b, c, mul(a, s))
        return out

    # -- attention: at most 64 positions, one key block --

    def attend(self, q, k, v):
        scale, outs, logs = div(1.0, root(float(self.SIZE))), [], []
        for i in range(self.LENGTH):
            for h in range(self.HEADS):
                scores = [-math.inf] * 64
                for j in range(self.first[i], i + 1):
                    scores[j] = mul(chain(q[i][h], k[j], 0.0), scale)
                top = add(max(scores), 0.0)
                weights = [exp(x - top if x == -math.inf else sub(x, top)) for x in scores]
                total = fma(0.0, exp(-math.inf), values_sum(weights))
                seen = range(self.first[i], i + 1)
                out = [chain([weights[j] for j in seen], [v[j][d] for j in seen], 0.0) for d in range(self.SIZE)]
                outs.append([div(x, total) for x in out])
                logs.append(add(top, log(total)))
        return [outs[2 * i] + outs[2 * i + 1] for i in range(self.LENGTH)], logs

    def attend_back(self, grad, q, k, v, out, logs):
        scale, n, size = div(1.0, root(float(self.SIZE))), self.LENGTH, self.SIZE
        gq = [[[0.0] * size for _ in range(self.HEADS)] for _ in range(n)]
        gk, gv = [[0.0] * size for _ in range(n)], [[0.0] * size for _ in range(n)]
        for h in range(self.HEADS):
            for i in range(n):
                g = grad[i][h * size:(h + 1) * size]
                dot = products_sum(g, out[i][h * size:(h + 1) * size])
                for j in range(self.first[i], i + 1):
                    p = exp(sub(mul(chain(q[i][h], k[j], 0.0), scale), logs[2 * i + h]))
                    slope = mul(mul(p, sub(chain(g, v[j], 0.0), dot)), scale)
                    for d in range(size):
                        gq[i][h][d] = fma(slope, k[j][d], gq[i][h][d])
                        gk[j][d] = fma(slope, q[i][h][d], gk[j][d])
                        gv[j][d] = fma(p, g[d], gv[j][d])
        return gq, gk, gv

    # -- one row of tokens through the model and back --

    def gradients(self, tokens, targets, grad_scale):
        w, size, n = self.w, self.SIZE, self.LENGTH
        x = [list(w["embedding"][t]) for t in tokens]
        normed, scale1 = self.norm(x, w["norm1"][0])
        norm1 = self.operand(normed)
        qkv = self.product(norm1, self.weight("q", "k", "v"))
        heads = [[r[:size], r[size:2 * size], r[2 * size:3 * size]] for r in qkv]  # two of queries, one of keys
        value = [r[3 * size:] for r in qkv]
        scales, turned_heads = [None] * 3, [None] * 3
        for h in range(3):
            rows = [r[h] for r in heads]
            if self.norms:
                rows, scales[h] = self.norm(rows, w["qn" if h < 2 else "kn"][0])
            turned_heads[h] = [self.rotate(r, i, False) for i, r in enumerate(rows)]
        q, k = [[turned_heads[0][i], turned_heads[1][i]] for i in range(n)], turned_heads[2]
        attended, logs = self.attend(q, k, value)
        attended = self.operand(attended)
        middle = [[add(a, b) for a, b in zip(r, s)] for r, s in zip(self.product(attended, self.weight("o")), x)]
        normed, scale2 = self.norm(middle, w["norm2"][0])
        norm2 = self.operand(normed)
        gate_up = self.product(norm2, self.weight("gate", "up"))
        gates = [(r[:self.FFN], r[self.FFN:]) for r in gate_up]
        activated = self.operand([[mul(mul(g, sigmoid(g)), u) for g, u in zip(*r)] for r in gates])
        out = [[add(a, b) for a, b in zip(r, s)] for r, s in zip(self.product(activated, self.weight("down")), middle)]
        normed, scale = self.norm(out, w["norm"][0])
        final, head = self.operand(normed), "embedding" if self.tied else "head"
        logits = self.product(final, self.weight(head))
        losses, grads = [], []
        for z, target in zip(logits, targets):
            top = add(max(z), 0.0)
            e = [exp(sub(v, top)) for v in z]
            total = values_sum(e)
            losses.append(sub(add(log(total), top), z[target]))
            p = [mul(v, div(1.0, total)) for v in e]
            p[target] = sub(p[target], 1.0)
            grads.append([mul(v, grad_scale) for v in p])

        G = {name: [[0.0] * len(r) for r in rows] for name, rows in w.items()}

        def linear_back(names, grad, inputs):
            rows = self.product(turned(grad), turned(inputs))
            for name in names:
                count = len(w[name])
                G[name], rows = rows[:count], rows[count:]
            return self.product(grad, turned(self.weight(*names)))

        def plus(a, b): return [[add(u, v) for u, v in zip(r, s)] for r, s in zip(a, b)]

        back = linear_back([head], self.operand(grads), final)
        grad = self.norm_back(back, out, w["norm"][0], scale, G["norm"][0])
        back = linear_back(["down"], self.operand(grad), activated)
        wide = []
        for g_out, (gate, up) in zip(back, gates):
            t = [sigmoid(g) for g in gate]
            wide.append([mul(mul(g, u), mul(s, fma(a, sub(1.0, s), 1.0))) for g, u, s, a in zip(g_out, up, t, gate)] +
                        [mul(g, mul(a, s)) for g, s, a in zip(g_out, t, gate)])
        back = linear_back(["gate", "up"], self.operand(wide), norm2)
        grad = plus(grad, self.norm_back(back, middle, w["norm2"][0], scale2, G["norm2"][0]))
        back = linear_back(["o"], self.operand(grad), attended)
        gq, gk, gv = self.attend_back(back, q, k, value, attended, logs)
        parts = [[r[0] for r in gq], [r[1] for r in gq], gk]
        parts = [[self.rotate(r, i, True) for i, r in enumerate(rows)] for rows in parts]
        if self.norms:
            parts[:2] = self.query_norms_back(parts, heads, scales, G["qn"][0])
            parts[2] = self.norm_back(parts[2], [r[2] for r in heads], w["kn"][0], scales[2], G["kn"][0])
        wide = [parts[0][i] + parts[1][i] + parts[2][i] + gv[i] for i in range(n)]
        back = linear_back(["q", "k", "v"], self.operand(wide), norm1)
        grad = plus(grad, self.norm_back(back, x, w["norm1"][0], scale1, G["norm1"][0]))
        for token, row in zip(tokens, grad):
            G["embedding"][token] = [add(a, b) for a, b in zip(G["embedding"][token], row)]
        return G, blocks_sum(losses, values_sum)

    def query_norms_back(self, parts, heads, scales, grad_weight):
        """The chain of the weight takes the heads of a row one after the other."""
        grad = [parts[h][i] for i in range(self.LENGTH) for h in range(2)]
        x = [heads[i][h] for i in range(self.LENGTH) for h in range(2)]
        scale = [scales[h][i] for i in range(self.LENGTH) for h in range(2)]
        out = self.norm_back(grad, x, self.w["qn"][0], scale, grad_weight)
        return [out[0::2], out[1::2]]

    # -- optimizers --

    def adamw(self, name, gradient, rate, decay, grad_scale, step):
        def correction(beta):
            power = 1.0
            for _ in range(step):  # one or two steps: squaring does the same
                power = power * beta
            return f32(1 / (1 - power))
        beta1, beta2, epsilon = f32(0.9), f32(0.95), f32(1e-10)
        c1, c2, keep = correction(beta1), correction(beta2), sub(1.0, mul(rate, decay))
        firsts, seconds = self.moments[name]
        for row, first, second, g_row in zip(self.w[name], firsts, seconds, gradient):
            for i in range(len(row)):
                g = mul(g_row[i], grad_scale)
                first[i] = fma(first[i], beta1, mul(g, sub(1.0, beta1)))
                second[i] = fma(second[i], beta2, mul(mul(g, g), sub(1.0, beta2)))
                spread = add(root(mul(second[i], c2)), epsilon)
                row[i] = sub(mul(row[i], keep), mul(rate, div(mul(first[i], c1), spread)))

    def muon_step(self, name, gradient, rate, decay, grad_scale):
        mu, momentum, update = f32(0.95), self.moments[name][0], []
        for moment, g_row in zip(momentum, gradient):
            g = [mul(v, grad_scale) for v in g_row]
            moment[:] = [fma(m, mu, v) for m, v in zip(moment, g)]
            update.append([fma(m, mu, v) for m, v in zip(moment, g)])
        rows, columns = len(update), len(update[0])
        norm = root(blocks_sum([v for r in update for v in r], squares_sum))
        factor = div(1.0, add(norm, f32(1e-7)))
        x = [[mul(v, factor) for v in r] for r in update]
        x = turned(x) if rows > columns else x
        for _ in range(5):
            h = [[narrow(v) for v in r] for r in x]
            gram = self.product(h, h, half=True)
            k = [[narrow(v) for v in r] for r in gram]
            square = self.product(k, turned(k), half=True)
            p = [[narrow(fma(s, f32(2.0315), mul(g, f32(-4.7750)))) for g, s in zip(a, b)] for a, b in zip(gram, square)]
            ph = self.product(p, turned(h), half=True)
            x = [[fma(v, 1.0, mul(u, f32(3.4445))) for u, v in zip(a, b)] for a, b in zip(x, ph)]
        x = turned(x) if rows > columns else x
        step = mul(rate, mul(f32(0.2), root(float(max(rows, columns)))))
        keep = sub(1.0, mul(rate, decay))
        for row, r in zip(self.w[name], x):
            row[:] = [fma(u, -step, mul(v, keep)) for u, v in zip(r, row)]

    # -- steps --

    def train(self):
        out, n = [], self.LENGTH
        for step in range(1, self.steps + 1):
            rows = []
            for row in range(2):
                tokens = []
                for i in range(n + 1):
                    following = (tokens[i - 1] * 7 + 1) % self.VOCABULARY if i % 3 else None
                    tokens.append(below(13, step, row * (n + 1) + i, self.VOCABULARY) if following is None else following)
                rows.append(tokens)
            results = [self.gradients(r[:n], r[1:], div(1.0, float(2 * n))) for r in rows]
            G = {name: [[add(a, b) for a, b in zip(r, s)] for r, s in zip(results[0][0][name], results[1][0][name])]
                 for name in self.names}
            norm = math.sqrt(sum_in_order([blocks_sum([v for r in G[name] for v in r], squares_sum) for name in self.names]))
            grad_scale = f32(1.0 / norm) if norm > 1 else 1.0
            share = 1.0 if step < self.steps else 0.1
            for name in self.names:
                matrix = name in ("q", "k", "v", "o", "gate", "up", "down")
                rate = f32(share * (0.02 if matrix else 0.01 if name == "embedding" else 0.005))
                decay = f32(0.05) if matrix else 0.0
                if matrix and self.muon:
                    self.muon_step(name, G[name], rate, decay, grad_scale)
                else:
                    self.adamw(name, G[name], rate, decay, grad_scale, step)
            out += [div(add(results[0][1], results[1][1]), float(2 * n)), f32(norm), 0.0]
        flat = [self.w] + [{name: pair[i] for name, pair in self.moments.items()} for i in range(2)]
        for i, tensors in enumerate(flat):
            for name in self.names:
                if i == 2 and self.muon and name in ("q", "k", "v", "o", "gate", "up", "down"):
                    continue
                out += [v for row in tensors[name] for v in row]
        return out


def sum_in_order(values):
    total = 0.0
    for value in values:
        total = total + value
    return total


def sincos_double(x):
    def fma64(a, b, c): return float(Fraction(a) * Fraction(b) + Fraction(c))

    def series(x, first, offset):
        z, term, total = x * x, first, first
        for n in range(1, 13):
            term = term * -z / float((2 * n - 1 + offset) * (2 * n + offset))
            total = total + term
        return total
    quadrant = int(x * 0.6366197723675814 + 0.5)
    r = fma64(float(-quadrant), 1.5707963267341256, x)
    r = fma64(float(-quadrant), 6.077100506506192e-11, r)
    s, c = series(r, r, 1), series(r, 1.0, 0)
    return [(s, c), (c, -s), (-s, -c), (-c, s)][quadrant & 3]


def main():
    models = (Model(False, True, False, False, 2, 0), Model(True, False, True, True, 1, 3))
    for model in models[:1] if sys.argv[1:] == ["first"] else models:
        values = model.train()
        sys.stdout.buffer.write(struct.pack("<%df" % len(values), *values))


main()
