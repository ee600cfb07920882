/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/html.h"

static const char style[] =
	":root{color-scheme:light dark}\n"
	"body{font:16px/1.5 sans-serif;max-width:70em;margin:2em auto;"
	"padding:0 1em}\n"
	"h2{margin:2em 0 .2em}\n"
	".maps{display:flex;flex-wrap:wrap;gap:1.5em 3em;overflow-x:auto}\n"
	"table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
	"caption{text-align:left;padding:.3em 0}\n"
	"th,td{padding:.3em .7em;text-align:right;"
	"border:1px solid rgba(128,128,128,.4)}\n"
	"td{background:rgba(217,95,14,calc(var(--heat,0)*.6))}\n"
	"td.own{outline:2px solid currentColor;outline-offset:-3px}\n"
	"td small,caption small,.scale{opacity:.85}\n"
	".scale{font-size:.85em;margin:.3em 0}\n"
	"figure{margin:1em 0}\n"
	"figure svg{max-width:100%;height:auto}\n"
	"figure svg text{fill:currentColor}\n"
	"figure svg [color=black]{color:inherit}\n"
	"figure svg [stroke=black]{stroke:currentColor}\n"
	"figure svg [fill=black]{fill:currentColor}\n";

void kn_html_escaped(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '>')
			fputs("&gt;", f);
		else if (*s == '&')
			fputs("&amp;", f);
		else if (*s == '"')
			fputs("&quot;", f);
		else
			fputc(*s, f);
	}
}

void kn_html_begin(FILE *f, const char *title, const char *heading)
{
	fprintf(f,
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
		"<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
		"content=\"width=device-width\">\n"
		"<title>%s</title>\n<style>\n%s</style>\n"
		"</head>\n<body>\n<h1>%s</h1>\n",
		title, style, heading);
}

void kn_html_end(FILE *f)
{
	fputs("</body>\n</html>\n", f);
}
