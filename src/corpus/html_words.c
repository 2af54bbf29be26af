/* Words without which no running text does, and how many of them a text has. */
#include <string.h>

#include "corpus/html.h"

/* clang-format off */
/* Small letters, with е for ё. */
static const char *const stop_words[] = {
    "а", "без", "более", "больше", "будет", "будете", "будто", "будут", "бы", "бывает", "был",
    "была", "были", "было", "быть", "в", "вам", "вами", "вас", "ваш", "ваша", "ваше", "вашего",
    "вашей", "ваши", "вдоль", "вдруг", "ведь", "весь", "весьма", "вместо", "вновь", "внутри",
    "во", "вокруг", "вот", "впрочем", "все", "всегда", "всего", "всей", "всем", "всеми", "всех",
    "всю", "вся", "вы", "выше", "где", "да", "дабы", "давай", "даже", "далее", "два", "двух",
    "для", "до", "довольно", "должен", "должна", "должно", "должны", "другая", "другие", "других",
    "другого", "другое", "другой", "его", "едва", "ее", "ей", "еле", "ему", "если", "есть", "еще",
    "ею", "ж", "же", "за", "затем", "зато", "зачем", "здесь", "и", "ибо", "из", "изо", "или",
    "им", "имеет", "именно", "иметь", "имеют", "ими", "иначе", "иногда", "их", "к", "каждая",
    "каждого", "каждое", "каждой", "каждый", "как", "какая", "какой", "кем", "ко", "когда",
    "кого", "кому", "конечно", "которая", "которого", "которое", "которой", "котором", "которому",
    "которую", "которые", "который", "которым", "которыми", "которых", "кроме", "кто", "куда",
    "ли", "либо", "лишь", "лучше", "любая", "любого", "любое", "любой", "любые", "между", "меня",
    "мимо", "мне", "много", "мной", "мною", "мог", "могла", "могло", "могут", "может", "можете",
    "можно", "мой", "моя", "мы", "на", "над", "надо", "нам", "нами", "например", "нас", "наш",
    "наша", "наше", "нашего", "нашей", "наши", "не", "него", "нее", "ней", "некоторые",
    "некоторых", "нельзя", "нем", "нему", "необходимо", "нет", "нею", "ни", "нибудь", "ниже",
    "никогда", "ним", "ними", "них", "ничего", "но", "ну", "нужно", "о", "об", "оба", "обе",
    "обо", "обычно", "один", "одна", "однако", "одни", "одно", "одного", "одной", "около", "он",
    "она", "они", "опять", "от", "откуда", "ото", "отсюда", "оттуда", "очень", "перед", "по",
    "под", "подо", "пока", "после", "потом", "потому", "почему", "почти", "поэтому", "при",
    "причем", "про", "просто", "против", "прямо", "пускай", "пусть", "ради", "раз", "разве",
    "редко", "с", "сам", "сама", "самая", "сами", "само", "самого", "самой", "самый", "свое",
    "своего", "своей", "своем", "свои", "своим", "своими", "своих", "свой", "свою", "своя",
    "себе", "себя", "сейчас", "сквозь", "сколько", "следует", "слишком", "словно", "снова", "со",
    "собой", "совсем", "согласно", "среди", "стал", "стала", "стали", "стало", "столько", "сюда",
    "та", "так", "такая", "также", "такие", "таких", "такого", "такое", "такой", "там", "те",
    "тебя", "тем", "теперь", "тех", "то", "тобой", "тобою", "тогда", "того", "тоже", "той",
    "только", "том", "тому", "тот", "точно", "три", "ту", "туда", "тут", "ты", "у", "уже",
    "хорошо", "хоть", "хотя", "часто", "чего", "чей", "чем", "чему", "через", "что", "чтоб",
    "чтобы", "чуть", "чье", "чья", "эта", "эти", "этим", "этих", "это", "этого", "этой", "этом",
    "этому", "этот", "эту", "я", "является", "являются", "якобы",
    "a", "about", "after", "again", "against", "all", "almost", "also", "although", "among", "an",
    "and", "another", "any", "are", "as", "at", "back", "be", "because", "been", "before",
    "being", "between", "both", "but", "by", "can", "could", "did", "do", "does", "done", "down",
    "during", "each", "either", "even", "every", "few", "first", "for", "from", "had", "has",
    "have", "having", "he", "her", "here", "him", "his", "how", "however", "i", "if", "in",
    "into", "is", "it", "its", "just", "like", "made", "many", "may", "me", "might", "more",
    "most", "much", "must", "my", "neither", "never", "new", "no", "not", "now", "of", "off",
    "on", "once", "one", "only", "or", "other", "our", "out", "over", "own", "per", "rather",
    "said", "same", "shall", "she", "should", "since", "so", "some", "still", "such", "than",
    "that", "the", "their", "them", "then", "there", "therefore", "these", "they", "this",
    "those", "though", "through", "thus", "time", "to", "too", "two", "under", "unless", "until",
    "up", "upon", "us", "via", "was", "we", "well", "were", "what", "when", "where", "whether",
    "which", "while", "who", "whom", "whose", "will", "with", "within", "without", "would", "yet",
    "you", "your",
};
/* clang-format on */

enum { SLOTS = 2048 };

/* A set of hashes; two words with the same 64 bits would count as one. */
struct html_words {
    uint64_t slot[SLOTS];
};

static const uint64_t FNV_BASIS = 0xCBF29CE484222325u, FNV_PRIME = 0x100000001B3u;

static uint64_t add_byte(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * FNV_PRIME;
}

static bool holds(const struct html_words *list, uint64_t hash)
{
    for (size_t at = hash >> 53;; at = (at + 1) % SLOTS) {
        if (list->slot[at] == hash)
            return true;
        if (list->slot[at] == 0)
            return false;
    }
}

status html_words_create(const struct html_words **out, struct arena *arena, struct error *error)
{
    struct html_words *list;
    TRY_ALLOC(list, arena, 1, error);
    for (size_t i = 0; i < sizeof stop_words / sizeof *stop_words; i++) {
        uint64_t hash = FNV_BASIS;
        for (const char *c = stop_words[i]; *c; c++)
            hash = add_byte(hash, (unsigned char)*c);
        size_t at = hash >> 53;
        while (list->slot[at])
            at = (at + 1) % SLOTS;
        list->slot[at] = hash;
    }
    *out = list;
    return OK;
}

/* The second byte of a small Cyrillic letter for the two of any, ё as е; *lead is changed too. */
static unsigned char small_cyrillic(unsigned char *lead, unsigned char second)
{
    if (*lead == 0xD0 && second >= 0x90 && second < 0xA0)
        return (unsigned char)(second + 0x20);
    if (*lead == 0xD0 && second >= 0xA0 && second < 0xB0) {
        *lead = 0xD1;
        return (unsigned char)(second - 0x20);
    }
    if ((*lead == 0xD0 && second == 0x81) || (*lead == 0xD1 && second == 0x91)) {
        *lead = 0xD0;
        return 0xB5;
    }
    return second;
}

/* How many bytes of a letter stand there, 0 when it is none; its small form goes into the hash. */
static size_t letter_at(uint64_t *hash, const unsigned char *at, size_t len)
{
    unsigned char c = *at;
    if (c < 0x80) {
        bool upper = c >= 'A' && c <= 'Z';
        if (!upper && !(c >= 'a' && c <= 'z'))
            return 0;
        *hash = add_byte(*hash, upper ? (unsigned char)(c + 32) : c);
        return 1;
    }
    if (len < 2 || c < 0xC3 || c == 0xE2 || c == 0xE3 || c == 0xEF)
        return 0; /* « » — … and the like */
    unsigned char second = c == 0xD0 || c == 0xD1 ? small_cyrillic(&c, at[1]) : at[1];
    *hash = add_byte(add_byte(*hash, c), second);
    return 2;
}

void html_words_count(size_t *words, size_t *stop, struct view text, const struct html_words *list)
{
    const unsigned char *at = (const unsigned char *)text.data, *end = at + text.len;
    *words = *stop = 0;
    while (at < end) {
        uint64_t hash = FNV_BASIS;
        size_t len = letter_at(&hash, at, (size_t)(end - at));
        if (len == 0) {
            at++;
            while (at < end && (*at & 0xC0) == 0x80)
                at++;
            continue;
        }
        while (len && at < end) {
            at += len;
            len = at < end ? letter_at(&hash, at, (size_t)(end - at)) : 0;
        }
        ++*words;
        *stop += holds(list, hash);
    }
}
