#!/usr/bin/env python3
"""Texts to learn from, strings to encode, and the comparison with Hugging Face's tokenizers.

usage: tokenizer_hf_test.py texts FILE | strings FILE | compare TOKENIZER STRINGS IDS
"""
import itertools
import json
import random
import sys

SYLLABLES = ("ка по ни сто ра ль ем ов че ё щ за при the er ing con a st ou qu re 'll й ю "
             "за\u0301 é 漢字 ا").split()
PIECES = [" ", " ", "  ", "\n", "\n\n", "\r\n", "\r", "\t", "\v", "\x85", "\xa0", "\u2028", "\u3000", "'",
          "'s", "'S", "'\u017f", "'RE", "'lL", "'d", "\u212a", "a", "Z", "hello", "ж", "Ёлка", "é", "e\u0301",
          "и\u0306", "漢字", "ا", "1", "2026", "٣", "²", "Ⅷ", "½", ".", "...", "!", "-", "—", "«", "»", "_", "№",
          "^^^", "😀", "👨\u200d👩\u200d👧", "\u200b", "\ufeff", "<|", "|>", "<|im_start|>", "<|im_end|>",
          "<|endoftext|>", "<|pad|>", "<|im_", "\x01", "\x7f", "\U000e0061", "ß", "ŉ", "ﬁ", "\u0300", "\u00ad"]
SENTENCES = [
    "", " ", "   ", "\n", "Привет, мир!", "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "It's we'll THEY'RE I'd you've I'M don't", "rer", "'rer", "today\n ", "today\n \n", "today\n  \n",
    "Статья 15-ФЗ, п. 3.1: «О связи» № 126", "def f(x):\n\treturn x ** 2  # two\n", "a" * 100, "a" * 1000,
    "^" * 300, "-" * 77, " " * 65, "\n" * 40, " \n" * 40, "👍🏽" * 20, "за\u0301мок за\u0301мок",
    "д'Артаньян", "http://example.org/a?b=c&d=%20", "1,234.56", "CAFÉ café cafe\u0301",
    "<|im_start|>user\nпривет<|im_end|>\n", "<|<|im_end|>|>", "ВЕРХНИЙ РЕГИСТР", "mixedСловоword",
]


def texts(path):
    random.seed(1)
    words = ["".join(random.choices(SYLLABLES, k=random.randint(1, 5))) for _ in range(3000)]
    with open(path, "w", encoding="utf-8") as out:
        for _ in range(200):
            chosen = (words[min(int(random.paretovariate(0.6)), 2999)] for _ in range(400))
            text = "".join(word + random.choice((" ", " ", " ", ", ", ".\n", " — ", "  ")) for word in chosen)
            out.write(json.dumps({"text": text + "aaaaaaaa ^^^^^^^^ --------"}) + "\n")


def strings(path):
    random.seed(2)
    tricky = SENTENCES + [a + b for a, b in itertools.product(PIECES[:30], PIECES[:30])]
    tricky += ["x" + piece + "y " + piece + piece + " " for piece in PIECES]
    drawn = ["".join(random.choices(PIECES + SYLLABLES, k=random.randint(1, 30))) for _ in range(5000)]
    with open(path, "w", encoding="utf-8") as out:
        for text in tricky + drawn:
            out.write(json.dumps(text) + "\n")


def compare(tokenizer_path, strings_path, ids_path):
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(tokenizer_path)
    checked = 0
    with open(strings_path, encoding="utf-8") as lines, open(ids_path, encoding="utf-8") as found:
        for line, ids in itertools.zip_longest(lines, found):
            text, ids = json.loads(line), json.loads(ids)
            expected = tokenizer.encode(text, add_special_tokens=False).ids
            if ids != expected:
                sys.exit(f"{text!r}: rodnik gives {ids}, tokenizers {expected}")
            if tokenizer.decode(ids, skip_special_tokens=False) != text:
                sys.exit(f"{text!r}: tokenizers decode something else")
            checked += 1
    print(f"{checked} strings: the same ids in rodnik and in tokenizers {tokenizers.__version__}")


{"texts": texts, "strings": strings, "compare": compare}[sys.argv[1]](*sys.argv[2:])
