#!/usr/bin/env python3
"""Running text by language out of unpacked packages: language_texts.py TREE... USE OUT

Appends documents (lines of text, an empty line after each document) to OUT/learn/LABEL.txt and OUT/held-out/LABEL.txt (USE learn) or
OUT/test/LABEL.txt (USE test).  Knows gettext catalogues (.mo), Mozilla's language packs (.xpi with Fluent and properties), Mallard help
(.page), manual pages and fortunes.  Standard library only.
"""
import gzip
import hashlib
import os
import re
import struct
import sys
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

# label: names of its folders and files in packages
LANGUAGES = {"ru": ["ru"], "uk": ["uk"], "be": ["be"], "bg": ["bg"], "sr": ["sr", "sr@latin", "sr-Latn"], "kk": ["kk"],
             "en": ["en_GB", "en-GB"], "de": ["de"], "fr": ["fr"], "es": ["es", "es-ES"], "mk": ["mk"], "pl": ["pl"], "cs": ["cs"],
             "it": ["it"], "pt": ["pt", "pt-PT", "pt_BR"], "tr": ["tr"]}
LABEL_OF = {name: label for label, names in LANGUAGES.items() for name in names}
CYRILLIC = set("ru uk be bg kk mk".split())
MESSAGE_LETTERS = 25  # shorter messages are names of buttons
ENGLISH = re.compile(r"(?i)\b(?:the|of|and|is|are|this|that|with|from|you|your)\b")
DOCUMENT_CHARACTERS = 1500


def clean(text):
    """A message without what is not language: markup, variables, accelerators."""
    text = re.sub(r"\s*\[\w+\]\s*$", "", text)
    text = re.sub(r"<[^<>]*>|&\w+;|&#\d+;", " ", text)
    text = re.sub(r"%\(?\w*\)?[-#0 +'.\d$]*[a-zA-Z]|\$\(\w+\)|\$\{?\w+\}?|%\w+%?|\{[^{}]*\}|\w+://\S+|\\[nt\"]", " ", text)
    text = re.sub(r"(?<=\w)[_~&](?=\w)|(?:(?<=\s)|^)[_~&](?=\w)", "", text)
    return re.sub(r"\s+", " ", text).strip()


def catalogue(path):
    """(original, translation) of a .mo file."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:4] != b"\xde\x12\x04\x95":
        return
    count, ids, texts = struct.unpack("<3I", data[8:20])
    for i in range(count):
        n, at = struct.unpack_from("<2I", data, ids + 8 * i)
        original = data[at:at + n].decode("utf-8", "replace").split("\x04")[-1].split("\0")[0]
        n, at = struct.unpack_from("<2I", data, texts + 8 * i)
        yield original, data[at:at + n].decode("utf-8", "replace").split("\0")[-1]


def language_pack(path):
    """Messages of a Mozilla language pack."""
    with zipfile.ZipFile(path) as pack:
        for name in sorted(pack.namelist()):
            if not name.endswith((".ftl", ".properties")):
                continue
            text = pack.read(name).decode("utf-8", "replace")
            text = re.sub(r"(?m)^#.*$", "", text)
            for piece in re.split(r"(?m)^\s*(?:\.?[\w.-]+\s*=|\*?\[[\w-]+\])", text):
                piece = re.sub(r"\{[^{}]*\}", " ", piece).replace("}", " ").replace("{", " ")
                yield re.sub(r"->", " ", piece)


def page(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        text = re.sub(r"(?s)<(info|code|screen|key|cmd|app|revision|credit|media)\b.*?</\1>|<!--.*?-->", " ", file.read())
    return [re.sub(r"<[^>]*>", " ", part) for part in re.split(r"</(?:p|title|item|td)>", text)]


def packed(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        return file.read().decode("utf-8", "replace")


def fits(label, text):
    """Running text, not code; and not English, to which translations fall back where they are not complete."""
    letters = [c for c in text if c.isalpha()]
    cyrillic = sum("\u0400" <= c <= "\u052f" for c in letters)
    if len(letters) < MESSAGE_LETTERS or len(letters) * 10 < len(text.replace(" ", "")) * 8:
        return False
    if label != "en" and len(ENGLISH.findall(text)) >= 2:
        return False
    return cyrillic * 2 > len(letters) if label in CYRILLIC else cyrillic * 2 > len(letters) or cyrillic * 20 < len(letters)


class Texts:
    def __init__(self, use, out):
        self.use, self.out, self.seen = use, out, set()
        self.english = set()
        self.pending = {}

    def add(self, label, text):
        text = clean(text)
        if not fits(label, text) or (label, text) in self.seen:
            return
        if label == "en":
            self.english.add(text)
        elif text in self.english:
            return
        self.seen.add((label, text))
        digest = hashlib.sha256(text.encode()).digest()
        name = "test" if self.use == "test" else "held-out" if digest[0] < 13 else "learn"
        self.pending.setdefault((name, label), []).append(text)
        if sum(map(len, self.pending[name, label])) >= DOCUMENT_CHARACTERS:
            self.end(name, label)

    def end(self, name, label):
        lines = self.pending.pop((name, label), [])
        if lines:
            os.makedirs(f"{self.out}/{name}", exist_ok=True)
            with open(f"{self.out}/{name}/{label}.txt", "a", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n\n")

    def end_all(self):
        for name, label in sorted(self.pending):
            self.end(name, label)


def label_of_path(path):
    if path.endswith(".xpi"):
        return LABEL_OF.get(re.sub(r".*langpack-(.*)@.*", r"\1", path))
    parts = path.split("/")
    for marker in ("locale", "resource", "help", "man"):
        if marker in parts[:-1]:
            folder = parts[parts.index(marker) + 1]
            return "en" if folder == "C" else LABEL_OF.get(folder)
    return None


def add_file(texts, path, package):
    label = label_of_path(path)
    if "/games/fortunes/" in path and "/off/" not in path and not path.endswith((".dat", ".u8")):
        # those under off/ are in rot13
        for fortune in re.split(r"\n%\n", packed(path)):
            texts.add(package.rsplit("-", 1)[-1], fortune)
    if not label:
        return
    if path.endswith(".mo"):
        for original, text in catalogue(path):
            texts.add(label, text)
            if label == "ru":
                texts.add("en", original)
    elif path.endswith(".xpi"):
        for text in language_pack(path):
            texts.add(label, text)
    elif path.endswith(".page"):
        for text in page(path):
            texts.add(label, text)
    elif "/man/" in path:
        from extract_docs import manual
        for text in manual(packed(path)).split("\n"):
            texts.add(label, text)


def main():
    trees, use, out = sys.argv[1:-2], sys.argv[-2], sys.argv[-1]
    texts = Texts(use, out)
    # English first: what other languages left untranslated is not theirs
    paths = [(tree, os.path.join(folder, name)) for tree in trees for folder, _, names in os.walk(tree) for name in names]
    paths.sort(key=lambda item: (label_of_path(item[1]) not in ("en", "ru"), item[1][len(item[0]):]))
    for tree, path in paths:
        if os.path.isfile(path) and not os.path.islink(path):
            add_file(texts, path, os.path.basename(tree.rstrip("/")))
    texts.end_all()


main()
