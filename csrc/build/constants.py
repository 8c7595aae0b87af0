"""Writes the constants of the elementary functions, csrc/core/functions/{constants,erfcx}.h.

    python csrc/build/constants.py [--check]

Each is computed by MPFR with 600 digits (bits) and cut into float64 pieces: `parts` rounds to nearest, subtracts and
goes on with the rest, so that n pieces hold the number within 2^(-53 n) of its size. --check compares with the files
instead of writing them (so does a test). gmpy2 is needed.
"""

import sys
from pathlib import Path

import gmpy2
from gmpy2 import mpfr

FOLDER = Path(__file__).resolve().parents[1] / "core" / "functions"
BITS = 600

LOG_FIRST, LOG_LAST = 90, 181  # the centres i / 128 of [sqrt(1/2), sqrt(2))
ERFCX_LAST, ERFCX_DOUBLE, ERFCX_TERMS = 96, 11, 22  # centres i / 8; coefficients from 11 on are single float64s

HEADER = """// SPDX-License-Identifier: MIT
// {title}
// Written by csrc/build/constants.py; a test writes it again and compares.
// clang-format off
#pragma once

#include "double_double.h"

namespace fpdet::inline FPDET_TARGET::constants {{
"""
FOOTER = "\n}  // namespace fpdet::inline FPDET_TARGET::constants\n"


def literal(x):
    """A float64 in C++'s hexadecimal notation."""
    mantissa, exponent = float(x).hex().split("p")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}p{int(exponent)}"


def parts(x, count):
    """x as float64 pieces of falling size."""
    result = []
    for _ in range(count):
        result.append(float(x))
        x -= mpfr(result[-1])
    return result


def braces(values):
    return "{" + ", ".join(map(literal, values)) + "}"


def cut(x, digits):
    """The float64 of x's leading `digits` digits, to nearest."""
    return float(mpfr(x, digits))


def table(name, kind, rows, comment):
    """A function of an index: device code has no addresses of a namespace's constants."""
    body = ",\n".join(f"      {row}" for row in rows)
    return (
        f"\n// {comment}\nFPDET_HD inline {kind} {name}(int i) {{\n"
        f"  static constexpr {kind} kTable[] = {{\n{body}}};\n  return kTable[i];\n}}\n"
    )


def reduction(name, x, digits, comment):
    """A number in three pieces, of which the first has few digits: small integers times it are exact."""
    first = cut(x, digits)
    second, third = parts(x - mpfr(first), 2)
    return f"\n// {comment}\ninline constexpr double k{name}1 = {literal(first)}, k{name}2 = {literal(second)},\n" + (
        f"                        k{name}3 = {literal(third)};\n"
    )


def constant(name, x, comment=""):
    note = f"  // {comment}" if comment else ""
    return f"inline constexpr DoubleDouble k{name}{braces(parts(x, 2))};{note}\n"


def tanh_coefficients(count):
    """Those of x^3, x^5, ... : with tanh' = 1 - tanh^2, (2n + 1) c_n = - sum c_i c_(n-1-i)."""
    c = [gmpy2.mpq(1)]
    for n in range(1, count + 1):
        c.append(-sum((c[i] * c[n - 1 - i] for i in range(n)), gmpy2.mpq(0)) / (2 * n + 1))
    return [mpfr(x) for x in c[1:]]


def erf_coefficients(count):
    """sum (-1)^n w^n / (n! (2n + 1)), which is erf(x) sqrt(pi) / (2 x) at w = x^2."""
    return [mpfr((-1) ** n) / (gmpy2.fac(n) * (2 * n + 1)) for n in range(count)]


def series(name, coefficients, doubles_from, comment):
    """Coefficients up to `doubles_from` in two pieces, the rest in one."""
    wide = [braces(parts(c, 2)) for c in coefficients[:doubles_from]]
    narrow = [literal(c) for c in coefficients[doubles_from:]]
    return table(name, "DoubleDouble", wide, comment) + table(
        f"{name}_tail", "double", narrow, f"The rest of them, from number {doubles_from} on."
    )


def log_centre(i):
    """About 128 / i in 12 digits, its product with 24 digits being exact."""
    return mpfr(round(gmpy2.mpq(128, i) * 2**11)) / 2**11


def erfcx_coefficients(t):
    """Taylor coefficients of exp(t^2) erfc(t) at t: with y' = 2 t y - 2 / sqrt(pi)."""
    a = [gmpy2.exp(t * t) * gmpy2.erfc(t)]
    a.append(2 * t * a[0] - 2 / gmpy2.sqrt(gmpy2.const_pi()))
    for n in range(1, ERFCX_TERMS - 1):
        a.append(2 * (t * a[n] + a[n - 1]) / (n + 1))
    return a


def constants():
    ln2, pi = gmpy2.const_log2(), gmpy2.const_pi()
    text = HEADER.format(title="Constants of the elementary functions, in float64 pieces of falling size.")
    text += f"\ninline constexpr double kSixtyFourthsPerE = {literal(64 / ln2)};  // 64 / log 2\n"
    text += reduction("Step", ln2 / 64, 36, "log 2 / 64; the first piece has 36 digits.")
    text += reduction("Ln2", ln2, 42, "log 2; the first piece has 42 digits.")
    text += f"\ninline constexpr double kOctavesPerE = {literal(1 / ln2)};  // 1 / log 2\n"
    text += constant("Log2", ln2)
    text += constant("SqrtHalf", gmpy2.sqrt(mpfr(1) / 2))
    text += constant("TwoOverSqrtPi", 2 / gmpy2.sqrt(pi))
    text += constant("OneOverSqrtTwoPi", 1 / gmpy2.sqrt(2 * pi))
    powers = [braces(parts(mpfr(2) ** (mpfr(j) / 64), 2)) for j in range(64)]
    text += table("power_of_two", "DoubleDouble", powers, "2^(i / 64)")
    factorials = [1 / mpfr(gmpy2.fac(n)) for n in range(2, 14)]
    text += series("one_over_factorial", factorials, 5, "1 / (i + 2)!")
    text += series("one_over", [mpfr(-((-1) ** n)) / n for n in range(2, 16)], 7, "-(-1)^(i + 2) / (i + 2)")
    text += series("tanh_series", tanh_coefficients(7), 4, "tanh(x) = x + sum of these times x^(2 i + 3)")
    text += series("erf_series", erf_coefficients(21), 11, "(-1)^i / (i! (2 i + 1))")
    odd = [literal(mpfr(2) / (2 * n + 1)) for n in range(1, 11)]
    text += table("atanh_series", "double", odd, "2 / (2 i + 3)")
    rows = [f"{{{literal(c)}, {braces(parts(-gmpy2.log(c), 2))}}}" for c in map(log_centre, range(LOG_FIRST, LOG_LAST + 1))]
    text += "\nstruct LogCentre {\n  double c;\n  DoubleDouble minus_log;\n};\n"
    text += table("log_centre", "LogCentre", rows, "c near 128 / (i + 90), and -log c")
    return text + FOOTER


def erfcx():
    text = HEADER.format(title="exp(t^2) erfc(t) as polynomials in h = t - i / 8, |h| <= 1/16: Taylor coefficients.")
    text += f"\nstruct ErfcxRow {{\n  DoubleDouble wide[{ERFCX_DOUBLE}];\n"
    text += f"  double narrow[{ERFCX_TERMS - ERFCX_DOUBLE}];\n}};\n"
    text += f"inline constexpr int kErfcxWide = {ERFCX_DOUBLE}, kErfcxTerms = {ERFCX_TERMS};\n"
    rows = []
    for i in range(ERFCX_LAST + 1):
        a = erfcx_coefficients(mpfr(i) / 8)
        wide = ",\n        ".join(braces(parts(c, 2)) for c in a[:ERFCX_DOUBLE])
        rows.append(f"{{{{{wide}}},\n       {braces(a[ERFCX_DOUBLE:])}}}")
    body = ",\n".join(f"      {row}" for row in rows)
    text += (
        "\nFPDET_HD inline const ErfcxRow& erfcx_row(int i) {\n"
        f"  static constexpr ErfcxRow kTable[] = {{\n{body}}};\n  return kTable[i];\n}}\n"
    )
    return text + FOOTER


def files():
    """Path and text of each."""
    with gmpy2.context(precision=BITS):
        return {FOLDER / "constants.h": constants(), FOLDER / "erfcx.h": erfcx()}


def main():
    stale = 0
    for path, text in files().items():
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif path.read_text() != text:
            print(f"{path}: differs from what csrc/build/constants.py computes", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
