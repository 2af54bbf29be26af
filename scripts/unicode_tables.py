#!/usr/bin/env python3
"""Writes src/text/unicode_tables.c from the Unicode Character Database (Debian: unicode-data).

usage: scripts/unicode_tables.py [/usr/share/unicode] > src/text/unicode_tables.c
"""
import re
import sys

COUNT = 0x110000
KINDS = {"L": 1, "M": 2, "N": 3, "P": 5, "S": 6}
WHITE_SPACE = 4
IDEOGRAPHS_15_1 = range(0x2EBF0, 0x2EE5E)  # what Unicode 15.1 added, but for five symbols
SCRIPTS = {"Cyrillic": 1, "Latin": 2}
OTHER_SCRIPT = 3
UPPER, LOWER, COMPOSES = 1 << 5, 1 << 6, 1 << 7


def property_ranges(path):
    """Yields (first, last, fields) of each line of a property file."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            line = line.split("#")[0].strip()
            if line:
                span, *fields = [field.strip() for field in line.split(";")]
                first, _, last = span.partition("..")
                yield int(first, 16), int(last or first, 16), fields


def unicode_data(path):
    """Yields (first, last, fields) of UnicodeData.txt, whose large ranges take two lines."""
    with open(path, encoding="utf-8") as lines:
        first = None
        for line in lines:
            fields = line.rstrip("\n").split(";")
            code_point = int(fields[0], 16)
            if fields[1].endswith(", First>"):
                first = code_point
                continue
            yield (first if first is not None else code_point), code_point, fields
            first = None


def read(folder):
    properties = bytearray(COUNT)
    cases = [(0, 0)] * COUNT
    for first, last, fields in unicode_data(f"{folder}/UnicodeData.txt"):
        category = fields[2]
        value = KINDS.get(category[0], 0)
        value |= UPPER if category in ("Lu", "Lt") else LOWER if category == "Ll" else 0
        value |= COMPOSES if fields[3] != "0" else 0
        for code_point in range(first, last + 1):
            properties[code_point] |= value
        upper, lower = fields[12], fields[13]
        cases[first] = (int(lower, 16) - first if lower else 0,
                        int(upper, 16) - first if upper else 0)
    for code_point in IDEOGRAPHS_15_1:
        properties[code_point] = KINDS["L"]
    for first, last, fields in property_ranges(f"{folder}/PropList.txt"):
        if fields[0] == "White_Space":
            for code_point in range(first, last + 1):
                properties[code_point] = properties[code_point] & ~7 | WHITE_SPACE
    for first, last, fields in property_ranges(f"{folder}/DerivedNormalizationProps.txt"):
        if fields[0] == "NFC_QC":
            for code_point in range(first, last + 1):
                properties[code_point] |= COMPOSES
    script = [OTHER_SCRIPT] * COUNT
    for first, last, fields in property_ranges(f"{folder}/Scripts.txt"):
        script[first:last + 1] = [SCRIPTS.get(fields[0], OTHER_SCRIPT)] * (last + 1 - first)
    for code_point in range(COUNT):
        if properties[code_point] & 7 == KINDS["L"]:
            properties[code_point] |= script[code_point] << 3
    return properties, cases


def two_stage(values):
    """Splits into blocks of 256 and stores equal ones once: (block numbers, all blocks' bytes)."""
    seen, numbers, stored = {}, [], []
    for start in range(0, COUNT, 256):
        block = tuple(values[start:start + 256])
        if block not in seen:
            seen[block] = len(seen)
            stored.extend(block)
        numbers.append(seen[block])
    assert len(seen) <= 256
    return numbers, stored


def runs(values):
    """The values as text; an aligned row of sixteen equal ones is written X16(value)."""
    for start in range(0, len(values), 16):
        row = values[start:start + 16]
        if len(row) == 16 and len(set(row)) == 1:
            yield f"X16({row[0]})"
        else:
            yield from map(str, row)


def table(declaration, items):
    print(f"\n{declaration} = {{")
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > 100:
            print(line)
            line = "   "
        line += f" {item},"
    print(line + "\n};")


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode"
    with open(f"{folder}/DerivedNormalizationProps.txt", encoding="utf-8") as lines:
        version = re.search(r"-([0-9.]+)\.txt", lines.readline()).group(1)
    properties, cases = read(folder)
    distinct = sorted(set(cases), key=lambda pair: (pair != (0, 0), pair))
    assert len(distinct) <= 256
    number = {pair: index for index, pair in enumerate(distinct)}
    property_block, property_bytes = two_stage(properties)
    case_block, case_index = two_stage([number[pair] for pair in cases])
    print(f"/* Written by scripts/unicode_tables.py from the Unicode Character Database {version}: do not "
          "edit. */")
    print("/* clang-format off */")
    print('#include "text/unicode.h"\n')
    print("#define X4(value)  value, value, value, value")
    print("#define X16(value) X4(value), X4(value), X4(value), X4(value)")
    table("const uint8_t unicode_property_block[UNICODE_BLOCKS]", runs(property_block))
    table(f"const uint8_t unicode_property_bytes[{len(property_bytes)}]", runs(property_bytes))
    table("const uint8_t unicode_case_block[UNICODE_BLOCKS]", runs(case_block))
    table(f"const uint8_t unicode_case_index[{len(case_index)}]", runs(case_index))
    table(f"const struct unicode_case unicode_cases[{len(distinct)}]",
          ("{%d, %d}" % pair for pair in distinct))


main()
