#!/usr/bin/env python3
"""Ids of rodnik beside those of Hugging Face's tokenizers, llama.cpp (in the package xllamacpp) and tiktoken.

usage: tokenizer_peers.py texts FILE
       tokenizer_peers.py pairs TOKENIZER FILE
       tokenizer_peers.py compare RODNIK TOKENIZER WORK STRINGS
       tokenizer_peers.py code-points RODNIK TOKENIZER WORK
       tokenizer_peers.py ranks RODNIK FOLDER WORK STRINGS
       tokenizer_peers.py files RODNIK FOLDER WORK
STRINGS is how many are drawn beside the fixed ones; the rest of a call prints what was compared, or ends with 1.
"""
import base64
import itertools
import json
import os
import random
import subprocess
import sys
import unicodedata

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


CHUNK = 50000
LONG = ["^" * 1000000, "a" * 100000, " " * 100000, "-" * 100000, "1" * 100000, "\n" * 100000, "ж" * 100000,
        "abc" * 50000, "!?" * 50000]
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# How tiktoken itself cuts; the tables at hand have the pattern of js-tiktoken.
TIKTOKEN_CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
                   r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s")
# Letters and digits that Unicode 16 added: tokenizers know them, llama.cpp and rodnik do not yet.
UNICODE_16 = [(0x1C89, 0x1C8A), (0xA7CC, 0xA7CD), (0xA7DA, 0xA7DC), (0x105C0, 0x105F3), (0x10D40, 0x10D65),
              (0x10D6F, 0x10D85), (0x10EC2, 0x10EC4), (0x11380, 0x113D3), (0x116D0, 0x116E3), (0x11BC0, 0x11BF9),
              (0x13460, 0x143FA), (0x16100, 0x16139), (0x16D40, 0x16D78), (0x18CFF, 0x18CFF), (0x1CCF0, 0x1CCF9),
              (0x1E5D0, 0x1E5FA)]
ASSIGNED = [c for c in range(1, 0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


def fixed():
    yield from SENTENCES
    yield from (a + b for a, b in itertools.product(PIECES[:30], PIECES[:30]))
    yield from ("x" + piece + "y " + piece + piece + " " for piece in PIECES)
    yield from ("1" * n for n in range(1, 18))


def drawn(count, seed):
    """Pieces that the pattern treats in its own way, syllables, and any characters at all."""
    source = random.Random(seed)
    for _ in range(count):
        kind = source.random()
        if kind < 0.6:
            yield "".join(source.choices(PIECES + SYLLABLES, k=source.randint(1, 30)))
        elif kind < 0.8:
            yield "".join(chr(source.choice(ASSIGNED)) for _ in range(source.randint(1, 20)))
        else:
            letters = source.choice(("aA1 ", "жЖ' s", "\n \t\r", "^-=.", "x1/\n", "ёЁeE\u0301"))
            yield "".join(source.choices(letters, k=source.randint(1, 60)))


def chunks(strings):
    strings = iter(strings)
    while chunk := list(itertools.islice(strings, CHUNK)):
        yield chunk


def rodnik_ids(rodnik, tokenizer, strings, specials):
    command = [rodnik, "tokenizer", "encode", "--tokenizer", tokenizer, "--strings", "--json"]
    lines = "".join(json.dumps(text) + "\n" for text in strings)
    done = subprocess.run(command + ["--specials"] * specials, input=lines.encode(), stdout=subprocess.PIPE,
                          check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def must_agree(texts, ours, theirs, name):
    if len(ours) != len(texts):
        sys.exit(f"{len(texts)} strings, but rodnik gave ids of {len(ours)}")
    for text, own, other in zip(texts, ours, theirs):
        if own != list(other):
            sys.exit(f"{text[:200]!r}: rodnik gives {own[:50]}, {name} {list(other)[:50]}")


def hugging_face(path):
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(path)

    def encode(texts):
        ids = [found.ids for found in tokenizer.encode_batch(texts, add_special_tokens=False)]
        for text, back in zip(texts, tokenizer.decode_batch(ids, skip_special_tokens=False)):
            if back != text:
                sys.exit(f"{text[:200]!r}: tokenizers decode something else")
        return ids
    return encode, f"tokenizers {tokenizers.__version__}"


def llama(path):
    try:
        import xllamacpp  # noqa: F401
    except ImportError:
        print("skipped llama.cpp: the Python package xllamacpp cannot be installed")
        return None
    from llama_vocabulary import Llama
    model = Llama(path)
    return (lambda texts: [model.encode(text) for text in texts]), f"llama.cpp of xllamacpp {model.version}"


def peers(tokenizer, work):
    from llama_vocabulary import write_from_json
    gguf = os.path.join(work, "vocabulary.gguf")
    write_from_json(gguf, tokenizer)
    return [peer for peer in (hugging_face(tokenizer), llama(gguf)) if peer]


def compare(rodnik, tokenizer, work, count):
    found = peers(tokenizer, work)
    checked = 0
    for chunk in chunks(itertools.chain(fixed(), LONG, drawn(int(count), 2))):
        ours = rodnik_ids(rodnik, tokenizer, chunk, True)
        for encode, name in found:
            must_agree(chunk, ours, encode(chunk), name)
        checked += len(chunk)
    print(f"ok {checked} strings, {os.path.basename(tokenizer)}: the same ids in rodnik, "
          + " and ".join(name for _, name in found))


def pairs(template, path):
    """A vocabulary in which any two bytes make a token, so that a border moved anywhere changes ids."""
    with open(template, encoding="utf-8") as file:
        root = json.load(file)
    letters = sorted(root["model"]["vocab"], key=root["model"]["vocab"].get)[:256]
    both = [(a, b) for a in letters for b in letters]
    random.Random(3).shuffle(both)
    vocabulary = {text: index for index, text in enumerate(letters + [a + b for a, b in both])}
    root["model"]["vocab"], root["model"]["merges"] = vocabulary, [f"{a} {b}" for a, b in both]
    for index, item in enumerate(root["added_tokens"]):
        item["id"] = len(vocabulary) + index
    with open(path, "w", encoding="utf-8") as out:
        json.dump(root, out)


def code_points(rodnik, tokenizer, work):
    """Every code point in context; where the two others disagree themselves, that is said."""
    found = peers(tokenizer, work)
    points = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
    newer, wrong = 0, []
    for some in chunks(points):
        texts = ["a{0}b {0}{0} .{0}x1{0}\n".format(chr(point)) for point in some]
        ours = rodnik_ids(rodnik, tokenizer, texts, True)
        for encode, name in found:
            for point, own, other in zip(some, ours, encode(texts)):
                if own == list(other):
                    continue
                known = name.startswith("tokenizers") and any(a <= point <= b for a, b in UNICODE_16)
                newer += known
                wrong += [] if known else [f"U+{point:04X} ({name})"]
    if wrong:
        sys.exit(f"{len(wrong)} code points are cut otherwise: {' '.join(wrong[:20])}")
    print(f"ok {len(points)} code points are cut alike, but for {newer} of Unicode 16 that only tokenizers know")


def ranks_of(path):
    with open(path, encoding="utf-8") as file:
        root = json.load(file)
    ranks = {}
    for line in root["bpe_ranks"].splitlines():
        _, first, *tokens = line.split(" ")
        for index, token in enumerate(tokens):
            ranks[base64.b64decode(token)] = int(first) + index
    return root, ranks


def ranks(rodnik, folder, work, count):
    import tiktoken
    for name in ("r50k", "cl100k", "o200k"):
        path = os.path.join(folder, f"{name}_base.json")
        if not os.path.exists(path):
            print(f"skipped {name}: no {path}")
            continue
        root, table = ranks_of(path)
        for pattern in [root["pat_str"]] + [TIKTOKEN_CL100K] * (name == "cl100k"):
            other = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=table, special_tokens={})
            changed = os.path.join(work, "ranks.json")
            with open(changed, "w", encoding="utf-8") as out:
                json.dump(dict(root, pat_str=pattern), out)
            checked = 0
            for chunk in chunks(itertools.chain(fixed(), LONG, drawn(int(count), 5))):
                must_agree(chunk, rodnik_ids(rodnik, changed, chunk, False),
                           [other.encode_ordinary(text) for text in chunk], "tiktoken")
                checked += len(chunk)
            print(f"ok {checked} strings, {name} cut by {pattern[:24]}...: the same ids in rodnik and in "
                  f"tiktoken {tiktoken.__version__}")


def files(rodnik, folder, work):
    """The test vectors of llama.cpp for vocabularies that can be read: GPT-2's."""
    from llama_vocabulary import read
    path = os.path.join(folder, "ggml-vocab-gpt-2.gguf")
    if not os.path.exists(path):
        print(f"skipped the vectors of llama.cpp: no {path}")
        return
    keys = read(path)
    tokens, kinds = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.token_type"]
    steps = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": GPT2}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}
    ends = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    root = {"version": "1.0", "pre_tokenizer": steps, "decoder": {"type": "ByteLevel"},
            "added_tokens": [dict(ends, id=i, content=tokens[i], special=True)
                             for i, kind in enumerate(kinds) if kind == 3],
            "model": {"type": "BPE", "merges": keys["tokenizer.ggml.merges"],
                      "vocab": {tokens[i]: i for i, kind in enumerate(kinds) if kind == 1}}}
    converted = os.path.join(work, "gpt2.json")
    with open(converted, "w", encoding="utf-8") as out:
        json.dump(root, out)
    with open(path + ".inp", encoding="utf-8", newline="") as inputs, open(path + ".out", encoding="utf-8") as out:
        texts = inputs.read().split("\n__ggml_vocab_test__\n")
        expected = [[int(number) for number in line.split()] for line in out.read().splitlines()]
    texts = texts[:len(expected)]
    must_agree(texts, rodnik_ids(rodnik, converted, texts, True), expected, "the file")
    print(f"ok {len(texts)} vectors of llama.cpp for GPT-2: the same ids in rodnik")


CALLS = {"texts": texts, "compare": compare, "pairs": pairs, "code-points": code_points, "ranks": ranks,
         "files": files}
CALLS[sys.argv[1]](*sys.argv[2:])
