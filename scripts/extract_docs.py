#!/usr/bin/env python3
"""Texts of an unpacked documentation package as JSON lines: id, text, source, license, lang.

extract_docs.py TREE PACKAGE VERSION LANGUAGE LICENSE

HTML pages lose navigation, scripts and indices; manual pages lose their roff macros.  Standard library only.
"""
import gzip
import hashlib
import html.parser
import json
import os
import re
import sys

BLOCKS = set("p div li dt dd h1 h2 h3 h4 h5 h6 tr table ul ol dl pre blockquote section article br hr caption".split())
DROPPED = set("script style nav header footer form button select svg noscript head iframe".split())
DROPPED_CLASS = re.compile(r"(?i)\b(nav|navheader|navfooter|navigation|toc|sphinxsidebar|related|breadcrumbs?|footer|"
                           r"header|menu|sidebar|copyright|legalnotice|index|headerlink|donation|search)\b")
VOID = set("br hr img input meta link col area base wbr".split())


class Page(html.parser.HTMLParser):
    """The running text of a page: one paragraph a line, preformatted lines as they are."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts, self.stack, self.dropped, self.pre = [], [], 0, 0

    def handle_starttag(self, tag, attrs):
        if tag in BLOCKS:
            self.parts.append("\n")
        if tag in VOID:
            return
        named = " ".join(v or "" for k, v in attrs if k in ("class", "id", "role"))
        drop = tag in DROPPED or (tag in ("div", "ul", "table", "aside", "a", "span", "p", "dl") and DROPPED_CLASS.search(named))
        self.stack.append((tag, bool(drop)))
        self.dropped += bool(drop)
        self.pre += tag == "pre"

    def handle_endtag(self, tag):
        if tag in BLOCKS:
            self.parts.append("\n")
        if not any(open_tag == tag for open_tag, _ in self.stack):
            return
        while self.stack:
            open_tag, drop = self.stack.pop()
            self.dropped -= drop
            self.pre -= open_tag == "pre"
            if open_tag == tag:
                break

    def handle_data(self, data):
        if not self.dropped:
            self.parts.append(data if self.pre else re.sub(r"\s+", " ", data))

    def text(self):
        lines = [re.sub(r"[ \t\u00a0]+", " ", line).strip() for line in "".join(self.parts).split("\n")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


ESCAPES = {"\\-": "-", "\\(aq": "'", "\\(dq": '"', "\\(em": "—", "\\(en": "–", "\\(bu": "•", "\\(co": "©", "\\(lq": "“",
           "\\(rq": "”", "\\(Fo": "«", "\\(Fc": "»", "\\(oq": "‘", "\\(cq": "’", "\\(ti": "~", "\\(ha": "^", "\\(rs": "\\",
           "\\e": "\\", "\\&": "", "\\:": "", "\\ ": " ", "\\~": " ", "\\|": "", "\\^": "", "\\/": "", "\\,": "", "\\c": ""}
ESCAPE = re.compile("|".join(re.escape(k) for k in sorted(ESCAPES, key=len, reverse=True)))
DROPPED_MACROS = set("TH \\\" ' nf fi ad na hy nh ie el if de ds so in ll ne rs ta tr br rr nr mso do cflags".split())


def roff_line(line):
    line = re.sub(r'\\".*$', "", line)
    line = re.sub(r"\\f(\[[^]]*\]|\(..|.)", "", line)
    line = re.sub(r"\\s[-+]?\d+|\\[*n](\[[^]]*\]|\(..|.)|\\m\[[^]]*\]|\\[hvwlLD]'[^']*'", "", line)
    line = ESCAPE.sub(lambda m: ESCAPES[m.group(0)], line)
    return re.sub(r"\\\[([^]]*)\]", lambda m: {"aq": "'", "dq": '"', "em": "—", "en": "–", "lq": "“", "rq": "”"}.get(m.group(1), ""), line)


def words_of(macro_rest):
    return " ".join(a or b for a, b in re.findall(r'"([^"]*)"|(\S+)', macro_rest))


def manual(source):
    """Paragraphs of a manual page; headings on lines of their own."""
    out, line = [], ""
    skip_table = False
    for raw in source.split("\n"):
        if raw.startswith(".TS"):
            skip_table = True
        if raw.startswith(".TE"):
            skip_table = False
            continue
        if skip_table:
            continue
        if raw.startswith((".", "'")):
            match = re.match(r"[.']\s*(\S*)\s*(.*)", raw)
            name, rest = match.group(1), roff_line(match.group(2))
            if name in ("SH", "SS", "PP", "P", "LP", "TP", "IP", "HP", "RS", "RE", "EX", "EE", "TQ", "sp"):
                out.append(line)
                line = ""
                if name in ("SH", "SS", "IP"):
                    out.append(words_of(rest))
            elif name in ("B", "I", "BR", "RB", "IR", "RI", "BI", "IB", "SM", "SB", "UR", "MT"):
                joiner = "" if len(name) == 2 and name not in ("SM", "SB", "UR", "MT") else " "
                found = [a or b for a, b in re.findall(r'"([^"]*)"|(\S+)', rest)]
                line += " " + joiner.join(found)
            elif name and name not in DROPPED_MACROS and not name.startswith(("\\", "\"")):
                line += " " + words_of(rest)
            continue
        text = roff_line(raw).strip()
        if text:
            line += " " + text
        else:
            out.append(line)
            line = ""
    out.append(line)
    return "\n".join(re.sub(r"\s+", " ", paragraph).strip() for paragraph in out if paragraph.strip())


def read(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as file:
        data = file.read()
    for encoding in ("utf-8", "koi8-r"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return ""


BOILERPLATE = re.compile(r"(?im)^(?:(?:Пожалуйста, поддержите нас!|Please support us!|Перейти к содержимому|Главная страница справки.*|"
                         r"Назад|Вперёд|Вперед|Далее|Пред\.|След\.|Уровень выше|Начало|Содержание|Prev|Next|Up|Home|Contents|"
                         r"Contribute to .*|На этой странице|Темы раздела|Содержимое)\s*)$")


def wanted(path, language):
    low = path.lower()
    if re.search(r"(genindex|search\.html|py-modindex|/ix01|/index-.*\.html|bookmark|/apis?/|changelog|/copyright|contents\.html)", low):
        return False
    if low.endswith((".html", ".htm", ".html.gz", ".xhtml")):
        if "debian-handbook" in low:
            return "/ru-ru/" in low if language == "ru" else "/en-us/" in low
        if "installation-guide" in low:
            return "/ru." in low or "/ru/" in low
        return True
    return "/man/ru/" in low and low.endswith(".gz")


def cyrillic_share(text):
    letters = [c for c in text if c.isalpha()]
    return sum("а" <= c.lower() <= "я" or c in "ёЁ" for c in letters) / max(1, len(letters))


def pieces(text, most=60000):
    """Cuts long single-page books at paragraphs."""
    piece, size = [], 0
    for line in text.split("\n"):
        piece.append(line)
        size += len(line.encode()) + 1
        if size > most and (not line or len(line) < 80):
            yield "\n".join(piece).strip()
            piece, size = [], 0
    yield "\n".join(piece).strip()


def main():
    tree, package, version, language, license_ = sys.argv[1:6]
    seen = set()
    paths = sorted(os.path.join(folder, name) for folder, _, names in os.walk(tree) for name in names)
    for path in paths:
        inner = path[len(tree):]
        if os.path.islink(path) or not os.path.isfile(path) or not wanted(inner, language):
            continue
        source = read(path)
        if "/man/" in inner:
            text = manual(source)
        else:
            page = Page()
            page.feed(source)
            text = page.text()
        text = re.sub(r"\n{3,}", "\n\n", BOILERPLATE.sub("", text)).strip()
        for number, piece in enumerate(pieces(text)):
            key = hashlib.sha256(re.sub(r"\W+", "", piece.lower()).encode()).digest()
            if len(piece.encode()) < 300 or key in seen or (language == "ru" and cyrillic_share(piece) < 0.3):
                continue
            seen.add(key)
            record = {"id": f"{inner}#{number}", "text": piece, "source": f"deb:{package}={version}", "license": license_, "lang": language}
            print(json.dumps(record, ensure_ascii=False))


if __name__ == "__main__":
    main()
