#include "page.h"

void page_text(FILE *page, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&': fputs("&amp;", page); break;
        case '<': fputs("&lt;", page); break;
        case '>': fputs("&gt;", page); break;
        default: fputc(*text, page);
        }
    }
}

void page_begin(FILE *page, const char *title)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
          page);
    page_text(page, title);
    fputs("</title>\n<style>\n"
          "body { font: 16px/1.5 sans-serif; color: #222; max-width: 60em; margin: 0 auto; "
          "padding: 0 1em; }\n"
          "h1, p { overflow-wrap: anywhere; }\n"
          "figure { display: inline-block; width: 100%; max-width: 28em; margin: 0; }\n"
          "svg { width: 100%; height: auto; }\n"
          ".wide { overflow-x: auto; }\n"
          "table { border-collapse: collapse; }\n"
          "th, td { padding: .2em .5em; text-align: right; border-bottom: 1px solid #ddd; }\n"
          "td { white-space: nowrap; }\n"
          "th:first-child, td:first-child { text-align: left; }\n"
          ".chosen { background: #ffefc0; }\n"
          "pre { overflow-x: auto; background: #f4f4f4; padding: .6em; }\n"
          "</style>\n</head>\n<body>\n",
          page);
}
