/* Encodings of one byte a character. */
#ifndef RODNIK_CORPUS_ENCODING_TABLES_H
#define RODNIK_CORPUS_ENCODING_TABLES_H

#include <stdint.h>

enum single_byte {
    SINGLE_CP1251,
    SINGLE_KOI8_R,
    SINGLE_CP866,
    SINGLE_ISO8859_5,
    SINGLE_CP1252,
    SINGLE_BYTE_ENCODINGS
};
extern const uint16_t single_byte_characters[SINGLE_BYTE_ENCODINGS][128];

#endif
