/* Characters that HTML 4 names. */
#ifndef RODNIK_CORPUS_MARKUP_NAMES_H
#define RODNIK_CORPUS_MARKUP_NAMES_H

#include "base/string.h"

enum { MARKUP_NAME_BYTES_MAX = 8 };

/* 0: no such name.  Source: HTML 4.01, section 24, and &apos; of XML. */
uint32_t markup_named_character(struct view name);

#endif
