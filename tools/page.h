/* What pages of HTML have in common. */
#ifndef PAGE_H
#define PAGE_H

#include <stdio.h>

/* Prints text as it stands. */
void page_text(FILE *page, const char *text);

/* All up to <body>, with the style of headings, tables, pictures and commands. */
void page_begin(FILE *page, const char *title);

#endif
