#!/usr/bin/env python3
"""JSON lines of made-up Russian text, as many megabytes as are asked for, on standard output.

usage: scripts/made_up_corpus.py MEGABYTES | zstd -q -1 >texts.jsonl.zst

A document has 3 kB on average; every fifth repeats an earlier one but for a sentence.  The same number gives the same bytes.
For measuring what `rodnik corpus build` needs on corpora that no disk holds twice."""
import random
import sys

COMMON = "и в на с не что он как по из за к от для его был".split()
LETTERS = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэф"


def sentences(dice, count):
    words = ["".join(dice.choices(LETTERS, range(len(LETTERS), 0, -1), k=dice.randint(2, 10))) for _ in range(20000)]
    made = []
    for _ in range(count):
        line = [dice.choice(COMMON) if dice.random() < 0.33 else words[int(20000 * dice.random() ** 3)]
                for _ in range(dice.randint(6, 24))]
        made.append(" ".join(line).capitalize() + ". ")
    return made


def main():
    wanted = int(float(sys.argv[1]) * 1e6)
    dice = random.Random(1)
    pool = sentences(dice, 65536)
    sizes = [len(s.encode()) for s in pool]
    written, number, recent = 0, 0, []
    while written < wanted:
        lines = []
        for _ in range(1000):
            if recent and number % 5 == 4:
                chosen = list(dice.choice(recent))
                chosen[dice.randrange(len(chosen))] = dice.randrange(65536)
            else:
                chosen = dice.choices(range(65536), k=dice.randint(8, 28))
            if number % 50 == 0:
                recent = (recent + [chosen])[-1000:]
            text = "".join([pool[i] + ("\\n" if k % 5 == 4 else "") for k, i in enumerate(chosen)])
            written += sum(sizes[i] for i in chosen)
            lines.append(f'{{"id":"{number:09d}","license":"CC0-1.0","source":"made up","text":"{text}"}}\n')
            number += 1
        sys.stdout.write("".join(lines))


main()
