/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/about.h"

#include <knuma/version.h>
#include <stdarg.h>
#include <string.h>

#include "bench/json.h"
#include "bench/peer.h"

void kn_about_note(struct kn_about *a, const char *fmt, ...)
{
	va_list ap;

	if (a->nr_notes == KN_NOTES_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(a->note[a->nr_notes++], KN_NOTE_LEN, fmt, ap);
	va_end(ap);
}

void kn_about_note_missing(struct kn_about *a, unsigned who)
{
	char list[160] = "";
	size_t len = 0;

	for (unsigned i = 0; i < kn_nr_peers; i++)
		if (who & 1u << kn_peers[i].calls && !kn_peers[i].path &&
		    len < sizeof(list))
			len += (size_t)snprintf(list + len, sizeof(list) - len,
						"%s%s (%s)", len ? ", " : "",
						kn_peers[i].name,
						kn_peers[i].names[0]);
	if (len)
		kn_about_note(a, "Not measured, because not here: %s.", list);
}

static void note_machine(struct kn_about *a)
{
	const struct kn_machine *m = &a->machine;

	if (m->emulated)
		kn_about_note(a,
			      "Emulated machine (%s): times, latency and "
			      "bandwidth are of the emulator, where every node "
			      "is equally near; only placement is real.",
			      m->hypervisor);
	else if (m->hypervisor[0])
		kn_about_note(a,
			      "Virtual machine (%s): the nodes are what the "
			      "hypervisor shows, and may lie elsewhere.",
			      m->hypervisor);
	if (a->nodes.fake)
		kn_about_note(a, "Fake nodes: knuma was told to make them up; "
				 "all memory is of the same machine's nodes, "
				 "and nothing here shows a distance.");
	if (a->quick)
		kn_about_note(a, "Quick: a trial, no measurement.");
}

void kn_about_read(struct kn_about *a, const char *library,
		   const struct kn_options *o)
{
	char why[KN_WHY_LEN];

	kn_machine_read(&a->machine);
	if (!kn_nodes_ask(library, &a->nodes, why)) {
		/* What an interrupt has ended has nothing to show yet. */
		kn_usage(kn_bench_stop ? "interrupted" : "no nodes: %s", why);
	}
	if (o->nodes && !kn_nodes_keep(&a->nodes, o->nodes, why))
		kn_usage("--nodes: %s", why);
	a->runs = o->runs;
	a->quick = o->quick;
	note_machine(a);
}

static void text_node(FILE *f, const struct kn_node *node)
{
	char list[KN_IDS_LEN];

	fprintf(f, "node %-3d CPUs %s, ", node->id,
		kn_node_has_cpus(node) ?
			kn_ids_print(&node->cpus, list, sizeof(list)) :
			"none");
	if (!node->has_memory)
		fputs("no memory\n", f);
	else if (!node->free_bytes)
		fputs("memory\n", f);
	else
		fprintf(f, "%llu MiB free\n",
			(unsigned long long)node->free_bytes >> 20);
}

void kn_about_text(FILE *f, const struct kn_about *a)
{
	const struct kn_machine *m = &a->machine;

	fprintf(f, "knuma %s on %s\n%s%s%s\n", KNUMA_VERSION_STRING, m->system,
		m->cpu, m->hypervisor[0] ? ", under " : "", m->hypervisor);
	for (int i = 0; i < a->nodes.nr; i++)
		text_node(f, &a->nodes.node[i]);
	for (unsigned i = 0; i < a->nr_notes; i++)
		fprintf(f, "%s\n", a->note[i]);
}

static void json_node(FILE *f, const struct kn_nodes *nodes, int i)
{
	const struct kn_node *node = &nodes->node[i];
	char list[KN_IDS_LEN];

	fprintf(f, "%s\n\t{\"id\": %d, \"cpus\": \"%s\", \"memory\": %s, ",
		i ? "," : "", node->id,
		kn_ids_print(&node->cpus, list, sizeof(list)),
		kn_json_bool(node->has_memory));
	fputs("\"free_bytes\": ", f);
	if (node->free_bytes)
		fprintf(f, "%llu", (unsigned long long)node->free_bytes);
	else
		fputs("null", f);
	fputs(", \"distance\": [", f);
	for (int k = 0; k < nodes->nr; k++) {
		if (node->distance[k] < 0)
			fprintf(f, "%snull", k ? ", " : "");
		else
			fprintf(f, "%s%d", k ? ", " : "", node->distance[k]);
	}
	fputs("]}", f);
}

void kn_about_json(FILE *f, const struct kn_about *a)
{
	fprintf(f, "\"schema\": 1,\n\"version\": \"%s\",\n\"system\": ",
		KNUMA_VERSION_STRING);
	kn_json_string(f, a->machine.system);
	fputs(",\n\"cpu\": ", f);
	kn_json_string(f, a->machine.cpu);
	fputs(",\n\"hypervisor\": ", f);
	kn_json_optional(f, a->machine.hypervisor);
	fprintf(f,
		",\n\"emulated\": %s,\n\"fake_nodes\": %s,\n\"runs\": %u,\n"
		"\"quick\": %s,\n\"interrupted\": %s,\n\"nodes\": [",
		kn_json_bool(a->machine.emulated), kn_json_bool(a->nodes.fake),
		a->runs, kn_json_bool(a->quick), kn_json_bool(a->interrupted));
	for (int i = 0; i < a->nodes.nr; i++)
		json_node(f, &a->nodes, i);
	fputs("\n],\n\"notes\": [", f);
	for (unsigned i = 0; i < a->nr_notes; i++) {
		fputs(i ? ",\n\t" : "\n\t", f);
		kn_json_string(f, a->note[i]);
	}
	fputs("\n]", f);
}
