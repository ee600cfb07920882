/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vm/machine.h"

#include <stdio.h>
#include <stdlib.h>

static const char *variable(const char *name)
{
	const char *text = getenv(name);

	if (text)
		return text;
	fprintf(stderr, "%s is not set: start this by tests/vm/guest\n", name);
	exit(2);
}

/* Numbers up to the end or a ';'; says how many, and where the next begin. */
static int read_row(const char **text, int *row)
{
	int n = 0, used = 0;

	while (n < VM_MAX_NODES && sscanf(*text, "%d%n", &row[n], &used) == 1) {
		*text += used;
		n++;
	}
	while (**text == ' ' || **text == ';')
		++*text;
	return n;
}

static void read_matrix(const char *name, int nr,
			int matrix[VM_MAX_NODES][VM_MAX_NODES])
{
	const char *text = variable(name);

	for (int from = 0; from < nr; from++) {
		if (read_row(&text, matrix[from]) == nr)
			continue;
		fprintf(stderr, "%s: row %d is not of %d numbers\n", name, from,
			nr);
		exit(2);
	}
}

const struct vm_machine *vm_machine(void)
{
	static struct vm_machine m;
	const char *cpus, *mib;

	if (m.name)
		return &m;
	cpus = variable("KNUMA_VM_CPUS");
	mib = variable("KNUMA_VM_MIB");
	m.nr_nodes = read_row(&cpus, m.cpus);
	if (!m.nr_nodes || read_row(&mib, m.mib) != m.nr_nodes) {
		fputs("KNUMA_VM_CPUS and KNUMA_VM_MIB do not agree\n", stderr);
		exit(2);
	}
	for (int node = 0; node < m.nr_nodes; node++)
		m.nr_cpus += m.cpus[node];
	read_matrix("KNUMA_VM_DISTANCES", m.nr_nodes, m.distance);
	m.plugged = -1;
	if (getenv("KNUMA_VM_PLUGGED"))
		m.plugged = atoi(getenv("KNUMA_VM_PLUGGED"));
	m.hmat = getenv("KNUMA_VM_LATENCY_NS");
	if (m.hmat) {
		read_matrix("KNUMA_VM_LATENCY_NS", m.nr_nodes, m.latency_ns);
		read_matrix("KNUMA_VM_BANDWIDTH_MB", m.nr_nodes,
			    m.bandwidth_mb);
	}
	m.name = variable("KNUMA_VM_NAME");
	return &m;
}

int vm_node_of_cpu(int cpu)
{
	const struct vm_machine *m = vm_machine();
	int node = 0;

	for (; node < m->nr_nodes && cpu >= m->cpus[node]; node++)
		cpu -= m->cpus[node];
	return node < m->nr_nodes ? node : -1;
}

int vm_initiator(int node)
{
	const struct vm_machine *m = vm_machine();
	int best = -1;

	if (m->cpus[node])
		return node;
	for (int i = 0; i < m->nr_nodes; i++) {
		if (!m->cpus[i])
			continue;
		if (best < 0 || m->distance[i][node] < m->distance[best][node])
			best = i;
	}
	return best;
}
